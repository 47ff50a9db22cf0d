// What MySQL and MariaDB have in common: one database or all of a server by the dump tool as SQL, restored by the client. What sets them
// apart are the names of the tools, TLS, and who may see stored routines.
import type { ByHand, Engine, Scope } from './engine.ts';
import { databasesOfServer, mysqlRestore } from './mysql-restore.ts';
import { mysqlShell } from './mysql-shell.ts';
import { textDump } from './text-dump.ts';

export interface Flavour {
  /** mysql or mariadb, as the server and the tools say of themselves. */
  name: 'mysql' | 'mariadb';
  /** Names that the programs go by, the preferred first. */
  dumpTools: readonly string[];
  clients: readonly string[];
  /** Options with a value that extraArgs may name. */
  choices: readonly string[];
  /** Options without a value that it alone knows. */
  switches: readonly string[];
}

/** What may be chosen: which objects are dumped, and in what form rows are written. */
const withoutValue = [
  ...['skip-routines', 'skip-events', 'skip-triggers'],
  ...['skip-extended-insert', 'complete-insert', 'order-by-primary'],
];
/** MariaDB's first line keeps its client from running what a dump might smuggle in. */
const begins = /^(\/\*M?!999999\\- enable the sandbox mode \*\/ *\n)?-- (MariaDB|MySQL) dump /;
const ends = /\n-- Dump completed( on [0-9: -]+)?\n$/;

function byHand({ clients }: Flavour, { allDatabases }: Scope): ByHand {
  const [client = 'mysql'] = clients;
  const login = `${client} --host="$MYSQL_HOST" --port="\${MYSQL_TCP_PORT:-3306}" --user="$MYSQL_USER" --default-character-set=utf8mb4`;
  const where = allDatabases === true ? '$MYSQL_HOST' : '$MYSQL_DATABASE on $MYSQL_HOST';
  const database = allDatabases === true ? '' : ' --database="$MYSQL_DATABASE"';
  const count =
    allDatabases === true
      ? databasesOfServer
      : '(select count(*) from information_schema.tables where table_schema = database()) + (select count(*) from information_schema.routines where routine_schema = database()) + (select count(*) from information_schema.events where event_schema = database())';
  const query = allDatabases === true ? count : `select ${count}`;
  return {
    tools: [client],
    checks: [
      ': "${MYSQL_HOST:?set MYSQL_HOST to the server to restore into}"',
      ': "${MYSQL_USER:?set MYSQL_USER, and MYSQL_PWD to its password}"',
      ...(allDatabases === true
        ? []
        : [': "${MYSQL_DATABASE:?set MYSQL_DATABASE to the empty database to restore into}"']),
      `command -v ${client} > /dev/null || { printf '%s\\n' "restore stopped: the program ${client} is missing; fix: install it" >&2; exit 1; }`,
      `objects=$(${login}${database} --batch --skip-column-names -e "${query}") || { printf '%s\\n' "restore stopped: cannot log in to ${where}; fix: set MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER, MYSQL_PWD and MYSQL_DATABASE to an empty database that exists" >&2; exit 1; }`,
      `[ "$objects" = 0 ] || [ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || { printf '%s\\n' "restore stopped: ${where} is not empty, it holds $objects ${allDatabases === true ? 'databases' : 'tables, views, routines and events'}; fix: set MYSQL_DATABASE to an empty database, or DBBACKUP_RESTORE_NONEMPTY=1 to restore into this one" >&2; exit 1; }`,
    ],
    // In binary mode the client runs none of its own commands that a dump might hold.
    command: `${login}${database} --binary-mode --max-allowed-packet=1G < "$dump"`,
    target: where,
    exports: [
      'export MYSQL_HOST=... MYSQL_TCP_PORT=3306 MYSQL_USER=... MYSQL_PWD=...',
      ...(allDatabases === true ? [] : ['export MYSQL_DATABASE=...   # an empty database']),
    ],
    fix: 'look at the message above; the target holds a part of the dump now: begin again with an empty one',
  };
}

export function mysqlFamily(flavour: Flavour): Engine {
  const allowed = Object.fromEntries([
    ...flavour.choices.map((name) => [`--${name}`, true] as const),
    ...[...withoutValue, ...flavour.switches].map((name) => [`--${name}`, false] as const),
  ]);
  const endMarker = textDump({ tool: flavour.dumpTools[0] ?? '', begins, ends });
  return {
    hasDatabases: true,
    defaultPort: 3306,
    secretKeys: { username: 'username', password: 'password' },
    optionalKeys: [],
    mayLackLogin: false,
    dumpFormat: () => `${flavour.name}dump-sql`.replace('mariadbdump', 'mariadb-dump'),
    endMarker,
    variables: ({ host, port, name, allDatabases }) => [
      { name: 'DBBACKUP_HOST', value: host },
      { name: 'DBBACKUP_PORT', value: String(port) },
      { name: 'DBBACKUP_DATABASE', value: name ?? '' },
      { name: 'DBBACKUP_ALL_DATABASES', value: allDatabases === true ? 'true' : '' },
      { name: 'LC_ALL', value: 'C' },
    ],
    allowedArguments: () => allowed,
    shell: mysqlShell(flavour),
    restoreShell: mysqlRestore,
    byHand: (scope) => byHand(flavour, scope),
  };
}
