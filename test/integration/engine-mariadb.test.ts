// MariaDB: what a real server holds comes back whole, by hand and by the script of a restore; a login that lacks a right, a dump that does
// not end well and a server that is away leave nothing and say why.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { TlsMode } from '../../crds/rules/engines/engine.ts';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { dumpOf, expectFailure, mebibytes, raw, tables } from '../executor/engine-outcome.ts';
import { type Backup, EngineRuns, type Source } from '../executor/engine-run.ts';
import { awkwardTables, contentOf, manyTables, userOf } from '../executor/mysql-content.ts';
import { Authority } from '../rig/cluster/certificates.ts';
import { type Mariadb, startMariadb } from '../rig/servers/mariadb.ts';

const log = (line: string) => console.error(line);
const runs = new EngineRuns();
let server: Mariadb;

// CREATE OR REPLACE DATABASE would ask for foreign keys, DROP DATABASE does not.
const emptyTarget = () =>
  server.sql('drop database if exists target; create database target character set utf8mb4 collate utf8mb4_bin');

beforeAll(async () => {
  server = await startMariadb({ log });
  await server.sql('create database orders character set utf8mb4 collate utf8mb4_bin');
  await server.sql(awkwardTables, 'orders');
  await server.sql("create user locked identified by 'canary-wrong' account lock");
  await emptyTarget();
});
afterAll(async () => server?.stop());
afterEach(async () => {
  await runs.remove();
  await emptyTarget();
});

const login = { secret: { name: 'orders-db', keys: { username: 'username', password: 'password' } } };
const source = (over: Partial<Source> = {}): Source => ({
  engine: 'mariadb',
  database: { host: server.host, port: server.port, name: 'orders' },
  access: login,
  keys: { username: server.user, password: server.password },
  ...over,
});
const database = (name: string): Source => source({ ...raw, database: { ...source().database, name } });
const client = ({ host, port, user, password }: Mariadb, name: string): NodeJS.ProcessEnv => ({
  MYSQL_HOST: host,
  MYSQL_TCP_PORT: String(port),
  MYSQL_USER: user,
  MYSQL_PWD: password,
  MYSQL_DATABASE: name,
});
const into = (name: string): NodeJS.ProcessEnv => client(server, name);

function expectSuccess(backup: Backup): void {
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded', identity: '' });
  expect(backup.output).not.toContain(server.password);
}

describe('one database', () => {
  test('with everything that a table, view, routine, trigger and event may hold comes back by hand', async () => {
    const backup = await runs.backup(source());
    expectSuccess(backup);
    expect(backup.manifest).toMatchObject({ engine: 'mariadb', dumpFormat: 'mariadb-dump-sql', database: 'orders' });
    await runs.restoreByHand(backup, into('target'));
    const there = await contentOf(server, 'orders');
    expect(there).toContain('漢');
    expect(await contentOf(server, 'target')).toBe(there);
    await expect(runs.restoreByHand(backup, into('target'))).rejects.toThrow(/target on 127.0.0.1 is not empty/);
  });

  test("comes back through the script of a restore's pod, which spares what is there unless it is told otherwise", async () => {
    const dump = await dumpOf(await runs.backup(database('orders')));
    const ended = await runs.restore(database('target'), dump);
    expect(ended.exit, ended.output).toBe('0 -');
    expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'orders'));
    await server.sql('create table more (n int)', 'target');
    const again = await runs.restore(database('target'), dump);
    expect(again.exit).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
    const skipped = await runs.restore(database('target'), dump, 'Skip');
    expect(skipped.exit).toBe('0 -');
    const over = await runs.restore(database('target'), dump, 'Overwrite');
    expect(over.exit, over.output).toBe('0 -');
    expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'orders'));
  });

  test('is not overwritten by a login that lacks a right to it', async () => {
    await server.sql(
      'create or replace database simple; create table simple.t (n int); insert into simple.t values (3)',
    );
    const dump = await dumpOf(await runs.backup(database('simple')));
    await server.sql(
      "create or replace user least identified by 'least'; grant select, drop on target.* to least; create table target.living (n int)",
    );
    const target = { ...database('target'), keys: { username: 'least', password: 'least' } };
    const refused = await runs.restore(target, dump, 'Overwrite');
    expect(refused.exit, refused.output).toBe(`${reasons.DatabaseAuthFailed.exitCode} DatabaseAuthFailed untouched`);
    expect(refused.error).toMatch(/it lacks ALTER, CREATE, INSERT, LOCK TABLES on target\.\*$/m);
    expect(await server.sql('show tables', 'target')).toBe('living\n');
    await server.sql('grant all on target.* to least');
    const over = await runs.restore(target, dump, 'Overwrite');
    expect(over.exit, over.output).toBe('0 -');
    expect(await server.sql('select n from t', 'target')).toBe('3\n');
    await server.sql('drop database simple; drop user least');
  });

  test('keeps the history of its tables with --dump-history', async () => {
    await server.sql(
      'create or replace database past; create table past.t (n int primary key, v text) with system versioning; insert into past.t values (1, "a"); update past.t set v = "b"; delete from past.t where n = 1; insert into past.t values (2, "c")',
    );
    const history = 'select n, v, row_start, row_end from t for system_time all order by row_start, row_end';
    const backup = await runs.backup({ ...database('past'), arguments: ['--dump-history'] });
    expectSuccess(backup);
    await runs.restoreByHand(backup, into('target'));
    const there = await server.sql(history, 'past');
    expect(there.trim().split('\n')).toHaveLength(3);
    expect(await server.sql(history, 'target')).toBe(there);
    await server.sql('drop database past');
    const older = await runs.tool(
      'mariadb-dump',
      '/usr/bin/mariadb-dump',
      'case $1 in --no-defaults) exit 0 ;; esac\nexec "$REAL" "$@"',
    );
    expectFailure(
      await runs.backup(source({ tools: [older], arguments: ['--dump-history'] })),
      'ConfigInvalid',
      /spec\.database\.extraArgs: mariadb-dump knows no --dump-history/,
    );
  });

  test('that is empty comes back empty', async () => {
    await server.sql('create or replace database nothing');
    const backup = await runs.backup(database('nothing'));
    expectSuccess(backup);
    await runs.restoreByHand(backup, into('target'));
    expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'nothing'));
  });

  test.each([
    [`${tables} tables`, manyTables(tables)],
    [
      `rows of ${mebibytes} MiB`,
      `create table large (n int primary key, text longblob); insert into large select seq, repeat(unhex(sha2(seq, 512)), 1024) from seq_1_to_${mebibytes * 16}`,
    ],
  ])(
    'of %s comes back',
    async (_what, text) => {
      await server.sql('create or replace database big');
      await server.sql(text, 'big');
      const before = performance.now();
      const backup = await runs.backup(database('big'));
      expectSuccess(backup);
      const between = performance.now();
      await runs.restoreByHand(backup, into('target'));
      const [took, back] = [between - before, performance.now() - between].map((one) => (one / 1000).toFixed(1));
      log(`${_what}: backup ${took} s, restore ${back} s, dump ${backup.manifest?.plainSize} bytes`);
      expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'big'));
      await server.sql('drop database big');
    },
    1_800_000,
  );

  test('with a name that means something to a shell, to SQL and to a file of options', async () => {
    const name = 'o\'"`$(id) #;%_漢';
    const quoted = `\`${name.replaceAll('`', '``')}\``;
    await server.sql(`create database ${quoted}; create table ${quoted}.t (n int); insert into ${quoted}.t values (1)`);
    const backup = await runs.backup(database(name));
    expectSuccess(backup);
    await runs.restoreByHand(backup, into('target'));
    expect(await server.sql('select * from t', 'target')).toBe('1\n');
    await server.sql(`drop database ${quoted}`);
  });
});

test('all databases and the accounts come back in an empty server', async () => {
  await server.sql("create user `tä m`@'%' identified by 'secret'; grant select on orders.* to `tä m`@'%'");
  await server.sql('create or replace database second; create table second.t (n int); insert into second.t values (7)');
  const { host, port } = server;
  const backup = await runs.backup(source({ database: { host, port, allDatabases: true } }));
  expectSuccess(backup);
  expect(backup.manifest).toMatchObject({ database: '', allDatabases: true });
  const other = await startMariadb({ log });
  try {
    const { MYSQL_DATABASE: _, ...env } = client(other, '');
    await runs.restoreByHand(backup, env);
    // The accounts of the dump are those of the server now, its password included.
    const restored = { ...other, sql: (text: string, name?: string) => userOf(other, server.password)(text, name) };
    expect(await contentOf(restored, 'orders')).toBe(await contentOf(server, 'orders'));
    expect(await restored.sql('select n from second.t')).toBe('7\n');
    const grants = "show grants for `tä m`@'%'";
    expect(await restored.sql(grants)).toBe(await server.sql(grants));
  } finally {
    await other.stop();
    await server.sql("drop user `tä m`@'%'; drop database second");
  }
}, 400_000);

test('a server whose data is in the database called test is not empty', async () => {
  const other = await startMariadb({ log });
  try {
    const { host, port, password } = other;
    const target = source({ database: { host, port, allDatabases: true }, keys: { username: 'root', password } });
    const dump = Buffer.from('create database restored;\n');
    await other.sql('create database test');
    const ended = await runs.restore(target, dump);
    expect(ended.exit, ended.output).toBe('0 -');
    await other.sql('drop database restored; create function test.one() returns int deterministic return 1');
    const refused = await runs.restore(target, dump);
    expect(refused.exit, refused.output).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
    expect(refused.error).toContain('holds 1 things already');
    await other.sql('drop function test.one; create table test.t (n int)');
    const backup = await runs.backup(
      source({ database: { host, port, allDatabases: true }, keys: { username: 'root', password } }),
    );
    const { MYSQL_DATABASE: _, ...env } = client(other, '');
    await expect(runs.restoreByHand(backup, env)).rejects.toThrow(/is not empty, it holds 1 databases/);
  } finally {
    await other.stop();
  }
}, 240_000);

describe('a login', () => {
  const password = String.raw`a b:c\d'e"f$g%h#*;=`;
  const least = (): Source => source({ keys: { username: 'least', password } });
  const rights = ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT'];

  test.each(rights)('without %s is told so before the dump', async (right) => {
    const granted = rights.filter((one) => one !== right);
    await server.sql(
      `create or replace user least identified by '${password.replaceAll(/['\\]/g, '\\$&')}'; grant ${granted.join(', ')} on orders.* to least; grant select on mysql.proc to least`,
    );
    expectFailure(
      await runs.backup(least()),
      'DatabaseAuthFailed',
      new RegExp(`may not read all of orders: it lacks ${right} on orders\\.\\*`),
    );
  });

  test('that may read some of the tables only would leave the others out, and is told so', async () => {
    await server.sql(
      `create or replace user least identified by '${password.replaceAll(/['\\]/g, '\\$&')}'; grant select on orders.numbers to least`,
    );
    expectFailure(await runs.backup(least()), 'DatabaseAuthFailed', /it lacks EVENT, SELECT, SHOW VIEW, TRIGGER/);
  });

  test('that may not see routines is told so, and without them it is enough', async () => {
    await server.sql(
      `create or replace user least identified by '${password.replaceAll(/['\\]/g, '\\$&')}'; grant ${rights.join(', ')} on \`order_\`.* to least`,
    );
    expectFailure(await runs.backup(least()), 'DatabaseAuthFailed', /stored routines: it lacks SELECT on mysql\.proc/);
    expectSuccess(await runs.backup({ ...least(), arguments: ['--skip-routines'] }));
  });

  test('with what docs/engines.md grants is enough, by a role too, and its password is in no output', async () => {
    await server.sql(
      `create or replace user least identified by '${password.replaceAll(/['\\]/g, '\\$&')}'; create or replace role reading; grant ${rights.join(', ')} on orders.* to reading; grant select on mysql.proc to reading; grant reading to least; set default role reading for least`,
    );
    const backup = await runs.backup(least());
    expectSuccess(backup);
    expect(backup.output).not.toContain('c\\d');
    await runs.restoreByHand(backup, into('target'));
    expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'orders'));
  });
});

test.each<[string, Partial<Source>, Reason, RegExp]>([
  ['a wrong password', { keys: { username: 'root', password: 'canary-wrong' } }, 'DatabaseAuthFailed', /ERROR 1045/],
  [
    'an account that is locked',
    { keys: { username: 'locked', password: 'canary-wrong' } },
    'DatabaseAuthFailed',
    /ERROR 4151/,
  ],
  ['a password that is missing', { keys: { username: 'root' } }, 'SecretInvalid', /Secret "orders-db": key "password"/],
  [
    'a database that is not there',
    { database: { host: '127.0.0.1', port: 0, name: 'missing' } },
    'ConfigInvalid',
    /spec\.database\.name: ERROR 1049/,
  ],
  [
    'a port where nobody listens',
    { database: { host: '127.0.0.1', port: 9, name: 'orders' } },
    'DatabaseUnreachable',
    /ERROR 2002/,
  ],
  [
    'a server without TLS',
    { access: { ...login, tls: { mode: 'require' } } },
    'ConfigInvalid',
    /spec\.database\.tls: the server takes no TLS/,
  ],
  [
    'authorities that are not there',
    { access: { ...login, tls: { mode: 'verify-full', authorities: 'ConfigMap "orders-ca", key "ca.crt"' } } },
    'SecretInvalid',
    /ConfigMap "orders-ca", key "ca\.crt" is missing/,
  ],
  [
    'the tools of MySQL',
    { engine: 'mysql' },
    'ConfigInvalid',
    /the server is MariaDB .*: set spec\.database\.engine to mariadb/,
  ],
])('%s', async (_what, over, reason, message) => {
  const wanted = source(over);
  const { host, port, name = '' } = wanted.database;
  const ended = await runs.backup({ ...wanted, database: { host, name, port: port === 0 ? server.port : port } });
  expectFailure(ended, reason, message);
  expect(ended.output).not.toContain('canary-wrong');
});

describe('TLS', () => {
  let secured: Mariadb;
  const certificates = { ours: '', others: '' };
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dbbackup-mariadb-tls-'));
    const authority = await Authority.create(join(folder, 'ours'));
    const made = await authority.sign('server', { commonName: 'localhost', names: ['localhost'] });
    certificates.ours = await readFile(authority.cert, 'utf8');
    certificates.others = await readFile((await Authority.create(join(folder, 'others'))).cert, 'utf8');
    // The server runs as another user; the key is nobody's secret.
    for (const path of [folder, join(folder, 'ours')]) await chmod(path, 0o755);
    for (const path of [made.cert, made.key]) await chmod(path, 0o644);
    secured = await startMariadb({ log, settings: { ssl_cert: made.cert, ssl_key: made.key } });
    await secured.sql('create database orders');
    await rm(folder, { recursive: true });
  });
  afterAll(async () => secured?.stop());

  test.each<[string, TlsMode, 'ours' | 'others' | undefined, string, RegExp | undefined]>([
    ['takes any certificate where none is looked at', 'require', undefined, '127.0.0.1', undefined],
    ['takes a certificate with the name of the host', 'verify-full', 'ours', 'localhost', undefined],
    ['refuses a certificate of another authority', 'verify-ca', 'others', 'localhost', /ERROR 2026/],
    ['refuses a certificate with another name', 'verify-full', 'ours', '127.0.0.1', /ERROR 2026/],
  ])('%s', async (_what, mode, whose, host, message) => {
    const tls = { mode, ...(whose === undefined ? {} : { authorities: 'ConfigMap "orders-ca", key "ca.crt"' }) };
    const ended = await runs.backup(
      source({
        access: { ...login, tls },
        database: { host, port: secured.port, name: 'orders' },
        keys: { username: 'root', password: secured.password },
        ...(whose === undefined ? {} : { authorities: certificates[whose] }),
      }),
    );
    if (message === undefined) expectSuccess(ended);
    else expectFailure(ended, 'ConfigInvalid', message);
  });
});

describe('a dump tool', () => {
  const broken = async (body: string): Promise<Backup> => {
    const version = '[ "$1" = --version ] && exec "$REAL" --version';
    const tool = await runs.tool('mariadb-dump', '/usr/bin/mariadb-dump', `${version}\n${body}`);
    return runs.backup(source({ tools: [tool] }));
  };

  test.each<[string, string, Reason, RegExp]>([
    [
      'that writes half and says it went well',
      '"$REAL" "$@" | head -c 3000',
      'DumpFailed',
      /without the last line of mariadb-dump/,
    ],
    ['that leaves out the last line', '"$REAL" "$@" | sed "\\$d"', 'DumpFailed', /without the last line/],
    ['that writes nothing', 'exit 0', 'DumpEmpty', /not a byte/],
    ['that writes something else', 'echo "Dump completed"', 'DumpFailed', /does not begin as what mariadb-dump writes/],
    ['that ends with an error', '"$REAL" "$@"; echo gone >&2; exit 3', 'DumpFailed', /exit code 3: gone/],
    ['that is killed', '"$REAL" "$@" | head -c 3000; kill -9 $$', 'DumpFailed', /exit code 137/],
  ])('%s', async (_what, body, reason, message) => {
    expectFailure(await broken(body), reason, message);
  });

  test('that is older than the server', async () => {
    const said = 'echo "mariadb-dump  Ver 10.19 Distrib 10.6.12-MariaDB, for Linux (x86_64)"';
    const tool = await runs.tool('mariadb-dump', '/usr/bin/mariadb-dump', said);
    expectFailure(await runs.backup(source({ tools: [tool] })), 'VersionSkew', /10\.6 cannot dump server 10\.11/);
  });

  test('whose server ends the connection half way', async () => {
    const kill = `MYSQL_PWD=${server.password} mariadb --no-defaults -h127.0.0.1 -P${server.port} -uroot -BNe "select concat('kill ', id, ';') from information_schema.processlist where db = 'slow'" | MYSQL_PWD=${server.password} mariadb --no-defaults -h127.0.0.1 -P${server.port} -uroot`;
    await server.sql('create or replace database slow');
    await server.sql(
      'create table t (n int, text longblob); insert into t select seq, repeat("x", 100000) from seq_1_to_200',
      'slow',
    );
    const body = `mkfifo "$TEMPORARY.gate" 2> /dev/null || mkfifo /tmp/gate.$$\n"$REAL" "$@" > /tmp/gate.$$ & pid=$!\nexec 3< /tmp/gate.$$; rm /tmp/gate.$$\nhead -c 1000000 <&3; ${kill}; cat <&3; wait $pid; exit $?`;
    const tool = await runs.tool(
      'mariadb-dump',
      '/usr/bin/mariadb-dump',
      `[ "$1" = --version ] && exec "$REAL" --version\n${body.replace('mkfifo "$TEMPORARY.gate" 2> /dev/null || ', '')}`,
    );
    expectFailure(
      await runs.backup({ ...database('slow'), tools: [tool] }),
      'DumpFailed',
      /exit code 3: .*Lost connection|exit code 3: .*gone away/,
    );
    await server.sql('drop database slow');
  });
});
