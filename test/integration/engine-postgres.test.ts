// PostgreSQL beyond what the executor's own tests ask of it: everything that one database or a whole server holds comes back, a login that
// lacks a right is told which, and TLS is what the manifest says.
import { chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { TlsMode } from '../../crds/rules/engines/engine.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { expectFailure, mebibytes, tables } from '../executor/engine-outcome.ts';
import { manyTables } from '../executor/postgres-content.ts';
import { PostgresRuns } from '../executor/postgres-runs.ts';
import { clientEnv } from '../executor/world.ts';
import { Authority } from '../rig/cluster/certificates.ts';
import { NOBODY } from '../rig/servers/child.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { waitFor } from '../wait.ts';

const world = new PostgresRuns();
const { runs, log, sql, sqlOf, contentOf, source, database, whole, fresh, expectSuccess } = world;
let server: Postgres;

beforeAll(async () => {
  server = await world.start();
});
afterAll(() => world.stop());
afterEach(() => runs.remove());

describe('one database', () => {
  test('with everything that PostgreSQL knows comes back by hand', async () => {
    const backup = await runs.backup(source());
    expectSuccess(backup);
    await runs.restoreByHand(backup, await fresh('target'));
    const there = await contentOf('orders');
    expect(there).toMatch(/large object 200001[\s\S]*漢/);
    expect(await contentOf('target')).toBe(there);
  });

  test.each([
    [`${tables} tables`, manyTables(tables)],
    [
      `rows of ${mebibytes} MiB`,
      `create table large as select n, decode(repeat(md5(n::text), 4096), 'hex') as bytes from generate_series(1, ${mebibytes * 16}) n`,
    ],
  ])(
    'of %s comes back',
    async (what, text) => {
      const env = await fresh('target');
      await fresh('big');
      await sql(text, 'big');
      const before = performance.now();
      const backup = await runs.backup(database('big'));
      expectSuccess(backup);
      const between = performance.now();
      await runs.restoreByHand(backup, env);
      const [took, back] = [between - before, performance.now() - between].map((one) => (one / 1000).toFixed(1));
      log(`${what}: backup ${took} s, restore ${back} s, dump ${backup.manifest?.plainSize} bytes`);
      expect(await contentOf('target')).toBe(await contentOf('big'));
      await sql('drop database big');
    },
    1_800_000,
  );
});

describe('a whole server', () => {
  test('comes back in an empty one, with its roles, their passwords and memberships', async () => {
    await sql(
      `create role "tä m" login password 'canary'; create role reading; grant reading to "tä m"; grant select on all tables in schema public to reading; alter database orders set work_mem = '8MB'; alter role reading in database orders set search_path = public`,
      'orders',
    );
    await sql('create table in_postgres (n int); insert into in_postgres values (1)');
    await sql('create database "z\'w ei"');
    await sql("create table t (v text); insert into t values (E'CREATE ROLE x;\\n\\\\connect postgres')", "z'w ei");
    const backup = await runs.backup(whole());
    expectSuccess(backup);
    expect(backup.manifest).toMatchObject({ dumpFormat: 'pg_dumpall-sql', database: '', allDatabases: true });
    const other = await startPostgres({ log });
    try {
      const { PGDATABASE: _, ...env } = clientEnv(other, 'postgres');
      await runs.restoreByHand(backup, env);
      for (const name of ['orders', 'postgres', "z'w ei"])
        expect(await contentOf(name, other)).toBe(await contentOf(name));
      const roles = `select r.rolname, a.rolpassword, array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid) from pg_roles r join pg_authid a on a.oid = r.oid where r.rolname !~ '^pg_' and r.rolname <> 'postgres' order by 1`;
      expect(await sqlOf(other)(roles, 'postgres')).toBe(await sql(roles));
      await expect(runs.restoreByHand(backup, env)).rejects.toThrow(/is not empty/);
    } finally {
      await other.stop();
      await sql('drop table in_postgres');
      await sql('drop database "z\'w ei"');
    }
  }, 400_000);

  test('whose roles the login may not read is not dumped', async () => {
    await sql("create role modest login password 'modest'");
    const keys = { username: 'modest', password: 'modest' };
    expectFailure(await runs.backup(whole({ keys })), 'DatabaseAuthFailed', /lacks SELECT on pg_catalog\.pg_authid/);
  });

  test('of which a database may not be read is not dumped', async () => {
    await fresh('secret');
    await sql('create table hidden (n int)', 'secret');
    await sql(
      "drop role if exists dumping; create role dumping login password 'dumping'; grant select on pg_authid to dumping",
    );
    expectFailure(
      await runs.backup(whole({ keys: { username: 'dumping', password: 'dumping' } })),
      'DatabaseAuthFailed',
      /may not read all of database "(orders|secret)": it lacks .*(SELECT on|USAGE on)/,
    );
  });

  test.each<[string, string, Reason, RegExp]>([
    [
      'writes half and says it went well',
      '"$REAL" "$@" | head -c 3000',
      'DumpFailed',
      /without the last line of pg_dumpall/,
    ],
    [
      'leaves out the last lines',
      '"$REAL" "$@" | sed "/cluster dump complete/d"',
      'DumpFailed',
      /without the last line/,
    ],
    ['writes nothing', 'exit 0', 'DumpEmpty', /not a byte/],
    ['ends with an error', '"$REAL" "$@"; echo gone >&2; exit 3', 'DumpFailed', /exit code 3: gone/],
  ])('whose tool %s is not backed up', async (_what, body, reason, message) => {
    const version = '[ "$1" = --version ] && exec "$REAL" --version';
    const tool = await runs.tool('pg_dumpall', join(server.bin, 'pg_dumpall'), `${version}\n${body}`);
    expectFailure(await runs.backup(whole({ tools: [tool, server.bin] })), reason, message);
  });
});

describe('a login', () => {
  const keys = { username: 'least', password: 'least' };
  const grants =
    'grant usage on schema public, "über ""schema""" to least; grant select on all tables in schema public, "über ""schema""" to least; grant select on all sequences in schema public to least; grant select on large object 200001, 200002, 200003 to least;';

  test.each([
    ['a table', 'revoke select on texts from least', /it lacks SELECT on table public\.texts$/],
    ['a sequence', 'revoke select on sequence counter from least', /it lacks SELECT on sequence public\.counter$/],
    ['a schema', 'revoke usage on schema "über ""schema""" from least', /it lacks USAGE on schema "über ""schema"""$/],
    ['a large object', 'revoke select on large object 200002 from least', /it lacks SELECT on large object 200002$/],
    ['rows of a policy', 'alter table texts enable row level security', /it lacks BYPASSRLS for table public\.texts$/],
  ])('that may not read %s is told which, before the dump', async (_what, revoke, message) => {
    await sql('drop owned by least; drop role if exists least', 'orders').catch(() => {});
    await sql("drop role if exists least; create role least login password 'least'");
    await sql(`alter table no_rows disable row level security; ${grants} ${revoke}`, 'orders');
    expectFailure(await runs.backup(source({ keys })), 'DatabaseAuthFailed', message);
    await sql(
      'alter table texts disable row level security; alter table no_rows enable row level security; drop owned by least',
      'orders',
    );
  });

  test('that may not read what is left out is enough', async () => {
    await sql("drop role if exists least; create role least login password 'least'");
    await sql(`${grants} revoke select on texts from least`, 'orders');
    const backup = await runs.backup(source({ keys, arguments: ['--exclude-table=texts', '--exclude-table=no_rows'] }));
    expectSuccess(backup);
    await sql('drop owned by least', 'orders');
  });
});

describe('a login with pg_read_all_data', () => {
  const keys = { username: 'reader', password: 'reader' };
  beforeAll(() => sql("create role reader login password 'reader' in role pg_read_all_data"));
  const dumped = (...options: string[]) => runs.backup({ ...database('odd'), keys, arguments: options });

  test('that pg_dump would silently give no subscription is told so', async () => {
    await fresh('odd');
    await sql('create subscription "s 1" connection \'host=nowhere\' publication p with (connect = false)', 'odd');
    const message = /it lacks SUPERUSER for subscription "s 1" \(or --no-subscriptions in spec\.database\.extraArgs\)$/;
    expectFailure(await dumped(), 'DatabaseAuthFailed', message);
    expectFailure(await dumped('--exclude-table=none'), 'DatabaseAuthFailed', message);
    expectSuccess(await dumped('--no-subscriptions'));
    expectSuccess(await dumped('--schema=public'));
    expectSuccess(await runs.backup({ ...database('odd') }));
    // Another database's are not in this one's dump.
    await fresh('plain');
    expectSuccess(await runs.backup({ ...database('plain'), keys }));
    await sql('alter subscription "s 1" set (slot_name = none)', 'odd');
    await sql('drop subscription "s 1"', 'odd');
    await sql('drop database plain');
  });

  test('that pg_dump would silently give no options of a user mapping is told so', async () => {
    await fresh('odd');
    await sql(
      "create foreign data wrapper w; create server away foreign data wrapper w; create user mapping for postgres server away options (password 'canary-mapping')",
      'odd',
    );
    const message = /it lacks SUPERUSER for the options of the user mapping of postgres on server away$/;
    const refused = await dumped();
    expectFailure(refused, 'DatabaseAuthFailed', message);
    expect(refused.output).not.toContain('canary-mapping');
    await sql('revoke pg_read_all_data from reader');
    expectFailure(await dumped(), 'DatabaseAuthFailed', message);
    await sql('grant pg_read_all_data to reader');
    await sql('alter user mapping for postgres server away options (drop password)', 'odd');
    expectSuccess(await dumped());
    await sql('drop database odd');
  });
});

describe('a login that may not come in', () => {
  const keys = { username: 'shut', password: 'canary-shut' };

  test('by its role, or for want of CONNECT, is told as such', async () => {
    await sql("create role shut password 'canary-shut'");
    const byRole = /role "shut" is not permitted to log in/;
    expectFailure(await runs.backup(source({ keys })), 'DatabaseAuthFailed', byRole);
    await sql('alter role shut login; grant pg_read_all_data to shut; revoke connect on database orders from public');
    const byGrant = /permission denied for database "orders"/;
    expectFailure(await runs.backup(source({ keys })), 'DatabaseAuthFailed', byGrant);
    expectFailure(await runs.backup(whole({ keys })), 'DatabaseAuthFailed', byGrant);
    await sql('grant connect on database orders to public; drop role shut');
  });
});

describe('a login that fails', () => {
  const from = 'connection to server at "db" (10.0.0.1), port 5432 failed: ';
  const noEntry = (user: string, last: string) =>
    `FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "${user}", database "orders", ${last}`;

  test.each<[string, string, TlsMode | undefined, Reason]>([
    ['a missing entry', noEntry('me', 'no encryption'), undefined, 'DatabaseAuthFailed'],
    ['a missing entry with TLS', noEntry('me', 'SSL encryption'), 'require', 'DatabaseAuthFailed'],
    [
      'a missing entry for who is called certificates',
      noEntry('certificates', 'no encryption'),
      undefined,
      'DatabaseAuthFailed',
    ],
    [
      'a missing entry for who is called as a fault',
      noEntry('SSL error', 'SSL encryption'),
      'require',
      'DatabaseAuthFailed',
    ],
    ['an entry that is for TLS', noEntry('me', 'no encryption'), 'disable', 'ConfigInvalid'],
    ['an entry of an older server that is for TLS', noEntry('me', 'SSL off'), 'disable', 'ConfigInvalid'],
    ['a certificate of nobody', 'SSL error: certificate verify failed', 'verify-ca', 'ConfigInvalid'],
    ['no authorities', 'root certificate file "/nobody/root.crt" does not exist', 'verify-ca', 'ConfigInvalid'],
    [
      'a certificate of another',
      'server certificate for "a" does not match host name "b"',
      'verify-full',
      'ConfigInvalid',
    ],
    ['a server without TLS', 'server does not support SSL, but SSL was required', 'require', 'ConfigInvalid'],
    ['a password', 'FATAL:  password authentication failed for user "me"', undefined, 'DatabaseAuthFailed'],
    ['a database', 'FATAL:  database "certificate" does not exist', undefined, 'ConfigInvalid'],
    ['a host', 'could not translate host name "certificate.shop" to address', undefined, 'DatabaseUnreachable'],
  ])('for %s is told as such', async (_what, said, mode, reason) => {
    const psql = await runs.tool('psql', '', `cat >&2 << 'END'\npsql: error: ${from}${said}\nEND\nexit 2`);
    const access = { ...source().access, ...(mode === undefined ? {} : { tls: { mode } }) };
    const ended = await runs.backup(source({ access, tools: [psql, server.bin] }));
    expectFailure(ended, reason, /connection to server at "db"/);
    const message = ended.result?.run.outcome === 'Failed' ? ended.result.run.message : '';
    expect(message.includes('spec.database.tls')).toBe(reason === 'ConfigInvalid' && !said.includes('database "cert'));
  });
});

describe('F23 what a dump tool says', () => {
  const password = String.raw`canary.*[a&\1'"$(id)/`;

  test('is told without the password, also where it is cut', async () => {
    await sql(`drop role if exists odd; create role odd superuser login password '${password.replaceAll("'", "''")}'`);
    const version = '[ "$1" = --version ] && exec "$REAL" --version';
    // Wherever its end begins, it does so in the middle of one.
    const words = `for n in $(seq 60); do cut -d : -f 5- "$PGPASSFILE" | sed 's/\\\\\\(.\\)/\\1/g' | tr -d '\\n' >&2; done`;
    const body = `${version}\n${words}\necho ' is bad' >&2\nexit 3`;
    const tool = await runs.tool('pg_dump', join(server.bin, 'pg_dump'), body);
    const ended = await runs.backup(source({ keys: { username: 'odd', password }, tools: [tool, server.bin] }));
    expectFailure(ended, 'DumpFailed', /exit code 3: [\][secrt]*\[secret\] is bad$/);
    const told = `${ended.output}\n${JSON.stringify(ended.result)}`;
    for (const part of ['canary', '[a&', '(id)/']) expect(told).not.toContain(part);
  });

  test('is told without any value of the Secret where the keys are for a command to read', async () => {
    const body = 'cd "$DBBACKUP_KEYS"; for key in *; do echo "$key is <$(cat "$key")>" >&2; done; exit 4';
    const tool = await runs.tool('dump-it', '', body);
    const ended = await runs.backup({
      engine: 'command',
      database: { host: 'db', port: 1, restoreCommand: ['true'] },
      access: { secret: { name: 'orders-db', keys: {} } },
      keys: { login: 'orders-app', password: 'orders-app-canary', tls: 'BEGIN KEY\ncanaryMIIE\nEND KEY\n', mode: 'on' },
      tools: [tool],
      arguments: ['dump-it'],
    });
    const told = 'login is <[secret]> mode is <on> password is <[secret]> tls is <[secret] [secret] [secret]>';
    expectFailure(ended, 'DumpFailed', /exit code 4: /);
    expect(ended.result?.run).toMatchObject({ message: expect.stringContaining(told) });
    expect(`${ended.output}${JSON.stringify(ended.result)}`).not.toMatch(/canary|BEGIN/);
  });
});

describe('TLS', () => {
  beforeAll(async () => {
    const authority = await Authority.create(await runs.folder());
    const server = await authority.sign('server', { commonName: 'server', names: ['localhost'] });
    const data = (await sql('show data_directory')).trim();
    const files = { 'server.crt': server.cert, 'server.key': server.key };
    for (const [name, made] of Object.entries(files)) {
      await writeFile(join(data, name), await readFile(made), { mode: 0o600 });
      if (process.getuid?.() === 0) await chown(join(data, name), NOBODY, NOBODY);
    }
    await sql('alter system set ssl = on; select pg_reload_conf()');
    await waitFor('TLS', async () => (await sql('show ssl')).trim() === 'on');
    authorities.ours = await readFile(authority.cert, 'utf8');
    authorities.others = await readFile((await Authority.create(await runs.folder())).cert, 'utf8');
  });
  const authorities = { ours: '', others: '' };
  const words = 'ConfigMap "orders-ca", key "ca.crt"';

  test.each<
    [string, 'require' | 'verify-ca' | 'verify-full', 'ours' | 'others' | undefined, string, RegExp | undefined]
  >([
    ['takes any certificate where none is looked at', 'require', undefined, '127.0.0.1', undefined],
    ['takes a certificate of the authority', 'verify-ca', 'ours', '127.0.0.1', undefined],
    ['takes a certificate with the name of the host', 'verify-full', 'ours', 'localhost', undefined],
    ['refuses a certificate of another authority', 'verify-ca', 'others', '127.0.0.1', /certificate verify failed/],
    ['refuses a certificate with another name', 'verify-full', 'ours', '127.0.0.1', /does not match host name/],
  ])('%s', async (_what, mode, whose, host, message) => {
    const tls = { mode, ...(whose === undefined ? {} : { authorities: words }) };
    const ended = await runs.backup(
      source({
        access: { ...source().access, tls },
        database: { ...source().database, host },
        ...(whose === undefined ? {} : { authorities: authorities[whose] }),
      }),
    );
    if (message === undefined) expectSuccess(ended);
    else expectFailure(ended, 'ConfigInvalid', message);
  });
});
