// PostgreSQL, what a restore puts in place of a living database: nothing goes before it is known that the restore can work, and what belongs
// to the database itself stays. And roles, which are no part of a database.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { dumpOf, raw } from '../executor/engine-outcome.ts';
import type { Source } from '../executor/engine-run.ts';
import { ownQuery } from '../executor/postgres-content.ts';
import { PostgresRuns } from '../executor/postgres-runs.ts';
import { clientEnv } from '../executor/world.ts';
import { startPostgres } from '../rig/servers/postgres.ts';
import { waitFor } from '../wait.ts';

const world = new PostgresRuns();
const { runs, log, sql, sqlOf, contentOf, source, database, whole, fresh, expectSuccess } = world;

beforeAll(async () => {
  await world.start();
});
afterAll(() => world.stop());
afterEach(() => runs.remove());

const exitOf = (reason: Reason, more = ''): string => `${reasons[reason].exitCode} ${reason}${more}`;

describe('an overwrite', () => {
  let dump: Buffer;
  beforeAll(async () => {
    dump = await dumpOf(await runs.backup(source(raw)));
  });
  const living = 'create table living (n int); insert into living values (7)';
  const expectLiving = async (name: string) => {
    expect(await sql('select n from living', name)).toBe('7\n');
    expect(await sql("select datname from pg_database where datname ~ '^dbbackup-new-'")).toBe('');
  };
  const overwrite = (over: Partial<Source> = {}, tool?: string) =>
    runs.restore({ ...database('target'), ...over }, dump, 'Overwrite', tool === undefined ? {} : { tool });

  test('leaves the database its own rights, settings and comment, whoever is connected to it', async () => {
    await fresh('target');
    await sql(living, 'target');
    await sql(
      String.raw`create role "o'wn ""er"; create role shopper; create role lender;
      alter database target owner to "o'wn ""er"; alter database target connection limit 40;
      comment on database target is 'it''s \ "ours"'; revoke all on database target from public;
      grant connect on database target to shopper; grant create, temporary on database target to lender with grant option;
      alter database target set search_path to "$user", "über ""x"" a,b", public; alter database target set work_mem = '7MB';
      alter database target set "my.thing" = 'a''b\, "c"'; alter database target set temp_tablespaces = '';
      alter role shopper in database target set search_path to ''; alter role shopper in database target set statement_timeout = 0`,
    );
    const own = await sql(ownQuery, 'target');
    for (const one of ['40|t|o', 'shopper|statement_timeout=0', `my.thing=a'b`, 'lender|"o'])
      expect(own).toContain(one);
    const others = "select oid, datname from pg_database where datname <> 'target' order by 1";
    const there = await sql(others);
    const sleeping = sql('select pg_sleep(300)', 'target').catch((error: Error) => error.message);
    await waitFor('a connection', async () =>
      (await sql("select count(*) from pg_stat_activity where datname = 'target'")).startsWith('1'),
    );
    const ended = await overwrite();
    expect(ended.exit, ended.output).toBe('0 -');
    expect(await sleeping).toContain('terminating connection');
    expect(await sql(ownQuery, 'target')).toBe(own);
    expect(await sql(others)).toBe(there);
    await sql('alter database target reset search_path');
    expect(await contentOf('target')).toBe(await contentOf('orders'));
    await sql('drop database target');
    await sql(`drop role "o'wn ""er", shopper, lender`);
  });

  test('that the login has no right to costs nothing', async () => {
    await sql("create role own login password 'own'; create role wide login createdb password 'wide'");
    await fresh('target');
    await sql(living, 'target');
    await sql(
      'alter database target owner to own; grant connect on database target to wide; grant select on living to wide',
      'target',
    );
    const lacks = await overwrite({ keys: { username: 'own', password: 'own' } });
    expect(lacks.exit, lacks.output).toBe(exitOf('DatabaseAuthFailed', ' untouched'));
    expect(lacks.error).toMatch(/may not make the database anew, as Overwrite does: it lacks CREATEDB$/m);
    const foreign = await overwrite({ keys: { username: 'wide', password: 'wide' } });
    expect(foreign.exit, foreign.output).toBe(exitOf('DatabaseAuthFailed', ' untouched'));
    expect(foreign.error).toMatch(/it lacks ownership of the database$/m);
    await expectLiving('target');
  });

  test('by an owner who may make databases goes through', async () => {
    const simple = database('simple');
    await fresh('simple');
    await sql('create table only_one (n int); insert into only_one values (3)', 'simple');
    const bytes = await dumpOf(await runs.backup({ ...simple, ...raw }));
    await fresh('target');
    await sql("drop role if exists maker; create role maker login createdb password 'maker'");
    await sql(
      'alter database target owner to maker; comment on database target is $$kept$$; alter database target set work_mem = $$9MB$$',
    );
    await sql(living, 'target');
    const keys = { username: 'maker', password: 'maker' };
    const ended = await runs.restore(
      { ...database('target'), keys, arguments: ['--no-owner', '--no-acl'] },
      bytes,
      'Overwrite',
    );
    expect(ended.exit, ended.output).toBe('0 -');
    expect(await sql('select n from only_one', 'target')).toBe('3\n');
    expect(await sql(ownQuery, 'target')).toMatch(/^kept\|-1\|t\|maker[\s\S]*work_mem=9MB/);
    await sql('drop database target; drop database simple; drop role maker');
  });

  test('of what a newer tool dumped costs nothing', async () => {
    await fresh('target');
    await sql(living, 'target');
    const ended = await overwrite({}, 'pg_dump (PostgreSQL) 99.1 (Debian 99.1-1)');
    expect(ended.exit, ended.output).toBe(exitOf('VersionSkew', ' untouched'));
    expect(ended.error).toContain('restore a dump by version 99: pg_restore 15 is older');
    await expectLiving('target');
  });

  test('of what cannot be dropped costs nothing', async () => {
    await fresh('target');
    await sql(`${living}; begin; create table held (n int); prepare transaction 'held'`, 'target');
    const ended = await overwrite({}, 'pg_dump (PostgreSQL) 15.18');
    expect(ended.exit, ended.output).toBe(exitOf('RestoreFailed', ' untouched'));
    expect(ended.error).toMatch(/empty the target: .*prepared transaction/);
    await expectLiving('target');
    await sql("rollback prepared 'held'", 'target');
  });

  test('of what cannot be made again costs nothing', async () => {
    await fresh('target');
    await sql(living, 'target');
    // Who may not set what is set for the database, may not set it for the new one either.
    await sql(
      "drop role if exists maker; create role maker login createdb password 'maker'; alter database target owner to maker; alter database target set log_statement = 'all'",
    );
    const ended = await overwrite({ keys: { username: 'maker', password: 'maker' } });
    expect(ended.exit, ended.output).toBe(exitOf('RestoreFailed', ' untouched'));
    expect(ended.error).toMatch(/empty the target: .*log_statement/);
    await expectLiving('target');
    await sql('drop database target; drop role maker');
  });

  test('of a whole server leaves nothing of the old one, whoever is connected', async () => {
    await fresh('target');
    const bytes = await dumpOf(await runs.backup(whole(raw)));
    const other = await startPostgres({ log });
    try {
      const there = sqlOf(other);
      await there('create database old', 'postgres');
      await there("comment on database postgres is 'kept'; create table living (n int)", 'postgres');
      const sleeping = ['old', 'postgres'].map((name) =>
        there('select pg_sleep(300)', name).catch((error: Error) => error.message),
      );
      await waitFor(
        'two connections',
        async () =>
          (
            await there("select count(*) from pg_stat_activity where query ~ '^select pg_sleep'", 'template1')
          ).trim() === '2',
      );
      const target = {
        ...whole(),
        database: { host: other.host, port: other.port, allDatabases: true } as const,
        keys: { username: other.user, password: other.password },
      };
      const ended = await runs.restore(target, bytes, 'Overwrite');
      expect(ended.exit, ended.output).toBe('0 -');
      for (const one of await Promise.all(sleeping)) expect(one).toContain('terminating connection');
      expect(await contentOf('orders', other)).toBe(await contentOf('orders'));
      const databases = 'select datname, datallowconn, datconnlimit from pg_database order by 1';
      expect(await there(databases, 'postgres')).toBe(await sql(databases));
      expect(await there(ownQuery, 'postgres')).toMatch(/^kept\|/);
    } finally {
      await other.stop();
    }
  }, 400_000);
});

test('roles alone come back, with passwords and memberships, though the login may read no table', async () => {
  await sql(
    "create role parent; create role child login password 'canary-child' in role parent; alter role child set work_mem = '8MB'; create role globals login password 'globals'; grant select on pg_authid to globals",
  );
  for (const option of ['--globals-only', '--roles-only']) {
    const backup = await runs.backup(
      whole({ ...raw, keys: { username: 'globals', password: 'globals' }, arguments: [option] }),
    );
    expectSuccess(backup);
    expect(backup.manifest).toMatchObject({ dumpFormat: 'pg_dumpall-sql', allDatabases: true, onlyRoles: true });
    const other = await startPostgres({ log });
    try {
      const roles =
        "select r.rolname, a.rolpassword, r.rolconfig, array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid) from pg_roles r join pg_authid a on a.oid = r.oid where r.rolname !~ '^pg_' and r.rolname <> 'postgres' order by 1";
      const target = {
        ...whole(),
        database: { host: other.host, port: other.port, allDatabases: true } as const,
        keys: { username: other.user, password: other.password },
      };
      const ended = await runs.restore(target, await dumpOf(backup));
      expect(ended.exit, ended.output).toBe('0 -');
      const there = await sqlOf(other)(roles, 'postgres');
      expect(there).toContain('child|SCRAM-SHA-256$');
      expect(there).toBe(await sql(roles));
      const { PGDATABASE: _, ...env } = clientEnv(other, 'postgres');
      await runs.restoreByHand(backup, env);
    } finally {
      await other.stop();
    }
  }
  await sql('revoke all on pg_authid from globals; drop role child, parent, globals');
}, 400_000);
