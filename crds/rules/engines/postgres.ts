// PostgreSQL: one database by pg_dump in custom format, uncompressed (the stream is compressed later), or all of a server with its roles
// by pg_dumpall as SQL.
import type { ByHand, Engine, Scope } from './engine.ts';
import { postgresArchive } from './postgres-archive.ts';
import { postgresRestore, postgresRoles } from './postgres-restore.ts';
import { postgresShell } from './postgres-shell.ts';
import { textDump } from './text-dump.ts';

/** What may be chosen: which objects are dumped and how long locks are waited for. Not the server, the login, the format or the file. */
const ofBoth = {
  withValue: ['lock-wait-timeout', 'extra-float-digits', 'encoding'],
  withoutValue: [
    ...['no-comments', 'no-publications', 'no-subscriptions', 'no-security-labels', 'no-owner', 'no-privileges'],
    ...['no-tablespaces', 'no-unlogged-table-data', 'load-via-partition-root', 'quote-all-identifiers'],
  ],
};
const ofOne = {
  withValue: [
    ...['table', 'exclude-table', 'exclude-table-data', 'schema', 'exclude-schema', 'extension'],
    ...['include-foreign-data', ...ofBoth.withValue],
  ],
  withoutValue: [
    ...['blobs', 'no-blobs', ...ofBoth.withoutValue, 'enable-row-security', 'strict-names', 'serializable-deferrable'],
  ],
};
const ofAll = {
  withValue: ['exclude-database', ...ofBoth.withValue],
  withoutValue: [...ofBoth.withoutValue, 'no-role-passwords', 'globals-only', 'roles-only'],
};

const allowed = ({ withValue, withoutValue }: typeof ofBoth): Record<string, boolean> =>
  Object.fromEntries([
    ...withValue.map((name) => [`--${name}`, true] as const),
    ...withoutValue.map((name) => [`--${name}`, false] as const),
  ]);

// Newer minor versions enclose the text in \restrict and \unrestrict.
const allMarker = textDump({
  tool: 'pg_dumpall',
  begins: /^--\n-- PostgreSQL database cluster dump\n/,
  ends: /\n-- PostgreSQL database cluster dump complete\n--\n\n(\\unrestrict [A-Za-z0-9]+\n\n?)?$/,
});

const needPsql = `command -v psql > /dev/null || { printf '%s\\n' "restore stopped: the program psql is missing; fix: install the client of PostgreSQL" >&2; exit 1; }`;

/** @param where shell text that names the target */
const emptyCheck = (query: string, where: string): string[] => [
  needPsql,
  `objects=$(psql -XAtqw -v ON_ERROR_STOP=1 -c "${query}") || { printf '%s\\n' "restore stopped: cannot log in to ${where}; fix: set PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE to an empty database that exists" >&2; exit 1; }`,
  `[ "$objects" = 0 ] || [ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || { printf '%s\\n' "restore stopped: ${where} is not empty, it has $objects tables, views, sequences and large objects; fix: set PGDATABASE to an empty database, or DBBACKUP_RESTORE_NONEMPTY=1 to restore into this one" >&2; exit 1; }`,
];

// What extensions brought along does not count: some images have them in every new database.
const objects =
  "select (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) + (select count(*) from pg_largeobject_metadata)";
const databases = `${objects} + (select count(*) from pg_database where not datistemplate and datname <> 'postgres')`;

const oneByHand: ByHand = {
  tools: ['psql', 'pg_restore'],
  checks: [
    ': "${PGHOST:?set PGHOST to the server to restore into}"',
    ': "${PGDATABASE:?set PGDATABASE to the empty database to restore into}"',
    ...emptyCheck(objects, '$PGDATABASE on $PGHOST'),
  ],
  // Owners and grants as dumped; PG_RESTORE_ARGS='--no-owner --no-acl' where the target lacks the roles of the source.
  command: 'pg_restore --exit-on-error --single-transaction ${PG_RESTORE_ARGS:-} --dbname= "$dump"',
  target: '$PGDATABASE on $PGHOST',
  exports: ['export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...', 'export PGDATABASE=...   # an empty database'],
  fix: "nothing was changed, it is one transaction; where the target lacks the roles of the source set PG_RESTORE_ARGS='--no-owner --no-acl'",
};

const allByHand: ByHand = {
  tools: ['psql'],
  checks: [
    ': "${PGHOST:?set PGHOST to the server to restore into}"',
    'PGDATABASE=postgres',
    'export PGDATABASE',
    ...emptyCheck(databases, '$PGHOST'),
    ...postgresRoles.trim().split('\n'),
  ],
  command:
    '{ tolerate_roles < "$dump" || printf \'%s\\n\' "\\\\." "\\\\stop"; } | psql -Xqw -v ON_ERROR_STOP=1 -o /dev/null',
  target: '$PGHOST',
  exports: ['export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...   # an empty server, its superuser'],
  fix: 'look at the message above; the server holds a part of the dump now: begin again with an empty one',
};

const isAll = (scope: Scope): boolean => scope.allDatabases === true;

export const postgres: Engine = {
  hasDatabases: true,
  defaultPort: 5432,
  secretKeys: { username: 'username', password: 'password' },
  optionalKeys: [],
  mayLackLogin: false,
  dumpFormat: (scope) => (isAll(scope) ? 'pg_dumpall-sql' : 'pg_dump-custom'),
  endMarker: (scope) => (isAll(scope) ? allMarker() : postgresArchive()),
  variables: ({ host, port, name, allDatabases }) => [
    { name: 'PGHOST', value: host },
    { name: 'PGPORT', value: String(port) },
    // libpq takes this one as a name only; --dbname would be expanded as a connection string.
    { name: 'PGDATABASE', value: name ?? 'postgres' },
    { name: 'PGCONNECT_TIMEOUT', value: '15' },
    { name: 'PGAPPNAME', value: 'dbbackup' },
    { name: 'LC_ALL', value: 'C' },
    { name: 'DBBACKUP_ALL_DATABASES', value: allDatabases === true ? 'true' : '' },
  ],
  allowedArguments: (scope) => allowed(isAll(scope) ? ofAll : ofOne),
  shell: postgresShell,
  restoreShell: postgresRestore(objects, databases),
  byHand: (scope) => (isAll(scope) ? allByHand : oneByHand),
};
