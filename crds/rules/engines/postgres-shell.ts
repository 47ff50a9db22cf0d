// The shell of PostgreSQL's dump container: login, versions, what the login may read, and the dump.
import { code } from './script.ts';

/** Arguments that choose what is dumped: pg_dump itself then says what it may not read, before its first byte. */
const choosing =
  '--table=* | --exclude-table* | --schema=* | --exclude-schema=* | --extension=* | --exclude-database=* | --enable-row-security';

// What the login may not read of what is dumped; at most five of them. The data of extensions is theirs. Subscriptions and the options of user
// mappings pg_dump leaves out without an error. $extent is "chosen" where pg_dump is told what to dump.
const unreadable = `
  with relation as (select c.oid, c.relkind, n.oid as schema, n.nspname, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where '$extent' = 'all' and c.relkind in ('r', 'p', 'S') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')),
  lacking as (
    select distinct format('USAGE on schema %I', nspname) as what from relation where not has_schema_privilege(schema, 'USAGE')
    union all select 'SELECT on ' || case relkind when 'S' then 'sequence ' else 'table ' end || name from relation
      where has_schema_privilege(schema, 'USAGE') and not has_table_privilege(oid, 'SELECT')
    union all select 'BYPASSRLS for table ' || name from relation where relkind in ('r', 'p') and has_table_privilege(oid, 'SELECT') and row_security_active(oid)
    union all select 'SELECT on large object ' || l.oid from pg_largeobject_metadata l where '$extent' = 'all' and not pg_has_role(l.lomowner, 'USAGE')
      and not exists (select from aclexplode(l.lomacl) a where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'USAGE')))
    union all select format('SUPERUSER for subscription %I (or --no-subscriptions in spec.database.extraArgs)', subname) from pg_subscription
      where '$subscriptions' = 'needed' and current_setting('is_superuser') <> 'on' and subdbid = (select oid from pg_database where datname = current_database())
    union all select format('SUPERUSER for the options of the user mapping of %s on server %I', v.usename, v.srvname) $hidden and '$extent' = 'all')
  select coalesce((select string_agg(what, ', ') from (select what from lacking order by what limit 5) as few), '')`;

export const postgresShell = `
# A passfile must be private (0600): the Secret's own file is readable by the group, and libpq then ignores it.
log_in() {
  need "$DBBACKUP_USERNAME_KEY"
  need "$DBBACKUP_PASSWORD_KEY"
  PGUSER=$(cat "$KEYS/$DBBACKUP_USERNAME_KEY")
  export PGUSER
  PGPASSFILE=$TEMPORARY/passfile
  export PGPASSFILE
  printf '*:*:*:*:%s\\n' "$(sed 's/[\\\\:]/\\\\&/g' "$KEYS/$DBBACKUP_PASSWORD_KEY")" > "$PGPASSFILE"
  secure
  tool_name=pg_dump
  [ -z "$DBBACKUP_ALL_DATABASES" ] || tool_name=pg_dumpall
  command -v "$tool_name" > /dev/null || refuse ${code('ConfigInvalid')} "run $tool_name: spec.database.image has no such program"
  server=$(ask "select current_setting('server_version_num')") || login_failed
  [ -n "$server" ] || login_failed
  version=$(ask "select current_setting('server_version')")
  tool=$("$tool_name" --version)
  major=$(printf '%s\\n' "$tool" | sed -n 's/^[^0-9]*\\([0-9][0-9]*\\).*/\\1/p')
  [ "\${major:-0}" -ge "$((server / 10000))" ] || refuse ${code('VersionSkew')} "$tool_name $major cannot dump server $version"
  # pg_control_system is not for every login: without it the database has no identity.
  own="|| '/' || (select oid from pg_database where datname = current_database())"
  [ -z "$DBBACKUP_ALL_DATABASES" ] || own=
  identity=$(ask "select system_identifier $own from pg_control_system()" 2> /dev/null) || identity=
  tell serverVersion "$version"
  tell toolVersion "$tool"
  tell identity "$identity"
}

# Without authorities of our own verify-full asks those of the system, which libpq knows since 16.
secure() {
  [ -z "$DBBACKUP_TLS_MODE" ] || { PGSSLMODE=$DBBACKUP_TLS_MODE && export PGSSLMODE; }
  PGSSLROOTCERT=$AUTHORITIES
  case $AUTHORITIES$DBBACKUP_TLS_MODE in verify-full) PGSSLROOTCERT=system ;; esac
  [ -z "$PGSSLROOTCERT" ] || export PGSSLROOTCERT
}

ask() {
  psql -XAtqw -v ON_ERROR_STOP=1 -c "$1" 2>> "$TEMPORARY/stderr"
}

# What a user or a database is called says nothing of what went wrong: names are quoted.
login_failed() {
  said=$(complaint)
  case $DBBACKUP_TLS_MODE:$(tail -c 900 "$TEMPORARY/stderr" | sed 's/"[^"]*"/""/g') in
    *'certificate verify failed'* | *'root certificate'* | *'server certificate'* | *'client certificate'* | *'server does not support SSL'* | *'SSL error'* | *'sslmode'*) refuse ${code('ConfigInvalid')} "spec.database.tls: $said" ;;
    # The server may have an entry for those who come with TLS.
    disable:*'pg_hba.conf'*'no encryption'* | disable:*'pg_hba.conf'*'SSL off'*) refuse ${code('ConfigInvalid')} "spec.database.tls: $said" ;;
    *'authentication failed'* | *'pg_hba.conf'* | *'no password supplied'* | *'role "'*'does not exist'* | *'role "'*'is not permitted to log in'* | *'permission denied for database'*) refuse ${code('DatabaseAuthFailed')} "$said" ;;
    *'database "'*'does not exist'*) refuse ${code('ConfigInvalid')} "spec.database.name: $said" ;;
    *) refuse ${code('DatabaseUnreachable')} "$said" ;;
  esac
}

# A question that the server does not answer once the login has worked.
question_failed() {
  case $(tail -c 900 "$TEMPORARY/stderr" | sed 's/"[^"]*"/""/g') in *'permission denied for database'*) login_failed ;; esac
  refuse ${code('DumpFailed')} "look at what the login may read: $(complaint)"
}

# A dump of roles and tablespaces alone reads no database.
preflight() {
  passwords=needed extent=all subscriptions=needed
  for argument in "$@"; do
    case $argument in
      --table=* | --schema=* | --extension=*) extent=chosen subscriptions= ;;
      ${choosing}) extent=chosen ;;
      --globals-only | --roles-only) extent=none ;;
      --no-role-passwords) passwords= ;;
      --no-subscriptions) subscriptions= ;;
    esac
  done
  [ "$extent" != none ] || tell only roles
  [ -n "$DBBACKUP_ALL_DATABASES" ] || { readable; return; }
  [ -z "$passwords" ] || [ "$(ask "select has_table_privilege('pg_catalog.pg_authid', 'SELECT')")" = t ] || refuse ${code('DatabaseAuthFailed')} "the login may not read the roles with their passwords: it lacks SELECT on pg_catalog.pg_authid; dump as a superuser, or add --no-role-passwords to spec.database.extraArgs"
  # Which databases they are only pg_dumpall knows.
  [ "$extent" = all ] || return 0
  count=$(ask "select count(*) from pg_database where datallowconn") || question_failed
  index=0
  while [ "$index" -lt "$count" ]; do
    PGDATABASE=$(ask "select datname from pg_database where datallowconn order by oid limit 1 offset $index") || question_failed
    readable
    PGDATABASE=postgres
    index=$((index + 1))
  done
}

# Who may not see whether there are options is refused where they may be.
readable() {
  if [ "$(ask "select has_table_privilege('pg_catalog.pg_user_mapping', 'SELECT')")" = t ]; then
    hidden='from pg_user_mappings v join pg_user_mapping m on m.oid = v.umid where v.umoptions is null and m.umoptions is not null'
  else
    hidden='from pg_user_mappings v where v.umoptions is null and v.usename <> current_user'
  fi
  lacks=$(ask "${unreadable.replaceAll('\n', ' ').replace(/ +/g, ' ')}") || question_failed
  [ -z "$lacks" ] || refuse ${code('DatabaseAuthFailed')} "the login may not read all of database \\"$PGDATABASE\\": it lacks $lacks"
}

dump() {
  [ -z "$DBBACKUP_ALL_DATABASES" ] || exec pg_dumpall -w "$@"
  exec pg_dump -w -Fc -Z0 "$@"
}
`;
