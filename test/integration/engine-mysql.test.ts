// MySQL as far as it goes without one: a MariaDB that says it is MySQL, and its tools behind names, versions and options of MySQL's. What the
// script asks of the server, what it gives the tools and what comes back are real; what only MySQL has is not (docs/engines.md).
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Reason } from '../../crds/rules/reasons.ts';
import { expectFailure } from '../executor/engine-outcome.ts';
import { EngineRuns, type Source } from '../executor/engine-run.ts';
import { awkwardTables, contentOf } from '../executor/mysql-content.ts';
import { type Mariadb, startMariadb } from '../rig/servers/mariadb.ts';

const log = (line: string) => console.error(line);
const runs = new EngineRuns();
let server: Mariadb;
let tools: string;

const said = 'mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)';

/** Takes MySQL's options, notes what it was given, and hands the rest to MariaDB's tool. */
const mysqldump = (version: string): string => `
case $1 in
  --version) echo "${version}"; exit 0 ;;
  --no-defaults) echo "  --set-gtid-purged[=name]"; echo "  --column-statistics"; exit 0 ;;
esac
printf '%s\\n' "$@" > "$(dirname "$0")/arguments"
given=$#
while [ "$given" -gt 0 ]; do
  case $1 in --set-gtid-purged=OFF | --skip-column-statistics) ;; *) set -- "$@" "$1" ;; esac
  shift
  given=$((given - 1))
done
exec "$REAL" "$@"`;

beforeAll(async () => {
  server = await startMariadb({ log, settings: { version: '8.0.36' } });
  await server.sql('create database orders character set utf8mb4 collate utf8mb4_bin; create database target');
  await server.sql(awkwardTables, 'orders');
});
afterAll(async () => server?.stop());
afterEach(async () => runs.remove());

async function source(over: Partial<Source> = {}, version = said): Promise<Source> {
  tools = await runs.tool('mysqldump', '/usr/bin/mariadb-dump', mysqldump(version));
  return {
    engine: 'mysql',
    database: { host: server.host, port: server.port, name: 'orders' },
    access: { secret: { name: 'orders-db', keys: { username: 'username', password: 'password' } } },
    keys: { username: server.user, password: server.password },
    tools: [tools],
    ...over,
  };
}

test('one database comes back by hand, dumped without what would not fit another server', async () => {
  const backup = await runs.backup(await source());
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded', engineVersion: '8.0.36' });
  expect(backup.manifest).toMatchObject({ engine: 'mysql', dumpFormat: 'mysqldump-sql', toolVersion: said });
  const given = (await readFile(join(tools, 'arguments'), 'utf8')).trim().split('\n');
  expect(given).toEqual(
    expect.arrayContaining(['--set-gtid-purged=OFF', '--skip-column-statistics', '--no-tablespaces']),
  );
  expect(given.join(' ')).not.toContain(server.password);
  await server.sql('create or replace database target character set utf8mb4 collate utf8mb4_bin');
  await runs.restoreByHand(backup, {
    MYSQL_HOST: server.host,
    MYSQL_TCP_PORT: String(server.port),
    MYSQL_USER: server.user,
    MYSQL_PWD: server.password,
    MYSQL_DATABASE: 'target',
  });
  expect(await contentOf(server, 'target')).toBe(await contentOf(server, 'orders'));
});

test.each<[string, Partial<Source>, string, Reason, RegExp]>([
  ['a wrong password', { keys: { username: 'root', password: 'canary' } }, said, 'DatabaseAuthFailed', /ERROR 1045/],
  [
    "MariaDB's own tool",
    {},
    'mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, for Linux (x86_64)',
    'VersionSkew',
    /mysqldump is that of MariaDB/,
  ],
  [
    'a tool of a series before',
    {},
    'mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)',
    'VersionSkew',
    /mysqldump 5\.7 cannot dump server 8\.0/,
  ],
  [
    'the engine mariadb',
    { engine: 'mariadb' },
    said,
    'ConfigInvalid',
    /the server is MySQL 8\.0\.36.*: set spec\.database\.engine to mysql/,
  ],
])('%s', async (_what, over, version, reason, message) => {
  const ended = await runs.backup(await source(over, version));
  expectFailure(ended, reason, message);
  expect(ended.output).not.toContain('canary');
});

test('a tool of a newer series, and of one whose version has another form, dumps', async () => {
  for (const version of [
    'mysqldump  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)',
    'mysqldump  Ver 9.1.0 for macos14 on arm64 (Homebrew)',
  ]) {
    const backup = await runs.backup(await source({}, version));
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  }
});

/** MySQL's client, whose server answers SHOW GRANTS so: what MariaDB cannot take back on one schema. */
const granted = (...lines: string[]): Promise<string> =>
  runs.tool(
    'mysql',
    '/usr/bin/mariadb',
    `case "$*" in *'-e show grants'*) cat << 'END'\n${lines.join('\n')}\nEND\nexit 0 ;; esac\nexec "$REAL" "$@"`,
  );
const onServer = 'GRANT SELECT, INSERT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON *.* TO `least`@`%`';
const taken = (rights: string, schema: string) => `REVOKE ${rights} ON \`${schema}\`.* FROM \`least\`@\`%\``;

describe('rights on the server that are taken back on one schema', () => {
  const all = () => ({ host: server.host, port: server.port, allDatabases: true as const });

  test.each<[string, () => Partial<Source>, string, RegExp]>([
    [
      'of all databases',
      () => ({ database: all() }),
      taken('INSERT, SELECT', 'secret'),
      /it has no SELECT on secret\.\*, by/,
    ],
    [
      'of all databases, with an odd name',
      () => ({ database: all() }),
      taken('EVENT', "a``b'c\\_%"),
      /no EVENT on a`b'c\\_%\.\*, by/,
    ],
    [
      'of the database that is dumped',
      () => ({}),
      taken('SHOW VIEW, SELECT', 'orders'),
      /no SELECT on orders\.\*, SHOW VIEW on orders\.\*, by/,
    ],
  ])('are told, and nothing is dumped, %s', async (_what, over, revoke, message) => {
    const one = await source(over());
    const tools = [await granted(onServer, revoke), ...(one.tools ?? [])];
    expectFailure(await runs.backup({ ...one, tools }), 'DatabaseAuthFailed', message);
  });

  test.each<[string, () => Partial<Source>, string]>([
    ['another database', () => ({}), taken('SELECT', 'secret')],
    ['a right that a dump does not need', () => ({ database: all() }), taken('INSERT, EXECUTE', 'secret')],
    ['a right that is not asked for', () => ({ arguments: ['--skip-events'] }), taken('EVENT', 'orders')],
    ['a schema that is never dumped with all', () => ({ database: all() }), taken('SELECT', 'performance_schema')],
  ])('do not stand in the way for %s', async (_what, over, revoke) => {
    const one = await source(over());
    const tools = [await granted(onServer, revoke), ...(one.tools ?? [])];
    const backup = await runs.backup({ ...one, tools });
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  });
});

test('a login without SHOW_ROUTINE is told so', async () => {
  await server.sql(
    "create user least identified by 'least'; grant select, show view, trigger, event on orders.* to least",
  );
  const keys = { username: 'least', password: 'least' };
  expectFailure(
    await runs.backup(await source({ keys })),
    'DatabaseAuthFailed',
    /may not see all stored routines: it lacks SHOW_ROUTINE on \*\.\*/,
  );
});
