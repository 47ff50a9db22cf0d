// PostgreSQL: one database by pg_dump in custom format, uncompressed (the stream is compressed later), restored by pg_restore.
import { reasons } from '../reasons.ts';
import type { Engine } from './engine.ts';
import { postgresArchive } from './postgres-archive.ts';

const code = (reason: keyof typeof reasons): string => `${reasons[reason].exitCode} ${reason}`;

const shell = `
# A passfile must be private (0600): the Secret's own file is readable by the group, and libpq then ignores it.
log_in() {
  need "$DBBACKUP_USERNAME_KEY"
  need "$DBBACKUP_PASSWORD_KEY"
  PGUSER=$(cat "$KEYS/$DBBACKUP_USERNAME_KEY")
  export PGUSER
  PGPASSFILE=$TEMPORARY/passfile
  export PGPASSFILE
  printf '*:*:*:*:%s\\n' "$(sed 's/[\\\\:]/\\\\&/g' "$KEYS/$DBBACKUP_PASSWORD_KEY")" > "$PGPASSFILE"
  command -v pg_dump > /dev/null || refuse ${code('ConfigInvalid')} "run pg_dump: spec.database.image has no such program"
  server=$(ask "select current_setting('server_version_num')") || login_failed
  [ -n "$server" ] || login_failed
  version=$(ask "select current_setting('server_version')")
  tool=$(pg_dump --version)
  major=$(printf '%s\\n' "$tool" | sed -n 's/^[^0-9]*\\([0-9][0-9]*\\).*/\\1/p')
  [ "\${major:-0}" -ge "$((server / 10000))" ] || refuse ${code('VersionSkew')} "pg_dump $major cannot dump server $version"
  # pg_control_system is not for every login: without it the database has no identity.
  identity=$(ask "select system_identifier || '/' || (select oid from pg_database where datname = current_database()) from pg_control_system()" 2> /dev/null) || identity=
  tell serverVersion "$version"
  tell toolVersion "$tool"
  tell identity "$identity"
}

ask() {
  psql -XAtqw -v ON_ERROR_STOP=1 -c "$1" 2>> "$TEMPORARY/stderr"
}

login_failed() {
  said=$(tail -c 900 "$TEMPORARY/stderr" | tr '\\n' ' ')
  case $said in
    *'authentication failed'* | *'pg_hba.conf'* | *'no password supplied'* | *'role "'*'does not exist'*) refuse ${code('DatabaseAuthFailed')} "$said" ;;
    *'database "'*'does not exist'*) refuse ${code('ConfigInvalid')} "spec.database.name: $said" ;;
    *) refuse ${code('DatabaseUnreachable')} "$said" ;;
  esac
}

dump() {
  exec pg_dump -w -Fc -Z0 "$@"
}
`;

/** What may be chosen: which objects are dumped and how long locks are waited for. Not the server, the login, the format or the file. */
const withValue = [
  ...['table', 'exclude-table', 'exclude-table-data', 'schema', 'exclude-schema', 'extension', 'include-foreign-data'],
  ...['lock-wait-timeout', 'extra-float-digits', 'encoding'],
];
const withoutValue = [
  ...['blobs', 'no-blobs', 'no-comments', 'no-publications', 'no-subscriptions', 'no-security-labels', 'no-owner'],
  ...['no-privileges', 'no-tablespaces', 'no-unlogged-table-data', 'enable-row-security', 'strict-names'],
  ...['serializable-deferrable', 'load-via-partition-root', 'quote-all-identifiers'],
];
const allowedArguments = Object.fromEntries([
  ...withValue.map((name) => [`--${name}`, true] as const),
  ...withoutValue.map((name) => [`--${name}`, false] as const),
]);

export const postgres: Engine = {
  dumpFormat: 'pg_dump-custom',
  endMarker: postgresArchive,
  variables: ({ host, port, name }) => [
    { name: 'PGHOST', value: host },
    { name: 'PGPORT', value: String(port) },
    // libpq takes this one as a name only; --dbname would be expanded as a connection string.
    { name: 'PGDATABASE', value: name },
    { name: 'PGCONNECT_TIMEOUT', value: '15' },
    { name: 'PGAPPNAME', value: 'dbbackup' },
    { name: 'LC_ALL', value: 'C' },
  ],
  allowedArguments,
  secretKeys: { username: 'username', password: 'password' },
  shell,
  restoreChecks: [
    ': "${PGHOST:?set PGHOST to the server to restore into}"',
    ': "${PGDATABASE:?set PGDATABASE to the empty database to restore into}"',
    `command -v psql > /dev/null || { printf '%s\\n' "restore stopped: the program psql is missing; fix: install it with pg_restore" >&2; exit 1; }`,
    // What extensions brought along does not count: some images have them in every new database.
    `objects=$(psql -XAtqw -v ON_ERROR_STOP=1 -c "select (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) + (select count(*) from pg_largeobject_metadata)") || { printf '%s\\n' "restore stopped: cannot log in to $PGDATABASE on $PGHOST; fix: set PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE to an empty database that exists" >&2; exit 1; }`,
    `[ "$objects" = 0 ] || [ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || { printf '%s\\n' "restore stopped: $PGDATABASE on $PGHOST is not empty, it has $objects tables, views, sequences and large objects; fix: set PGDATABASE to an empty database, or DBBACKUP_RESTORE_NONEMPTY=1 to restore into this one" >&2; exit 1; }`,
  ],
  // Owners and grants as dumped; PG_RESTORE_ARGS='--no-owner --no-acl' where the target lacks the roles of the source.
  restoreCommand: 'pg_restore --exit-on-error --single-transaction ${PG_RESTORE_ARGS:-} --dbname= "$dump"',
  restoreTools: ['psql', 'pg_restore'],
};
