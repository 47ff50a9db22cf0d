// The shell that puts a dump of PostgreSQL back.
import { code } from './script.ts';

/**
 * The roles of a pg_dumpall: one that is there already, as the one that restores always is, is no error, and that one keeps its password, with
 * which psql has to log in for every database. They all stand before the first \connect, so that no row can be taken for one.
 */
export const postgresRoles = `
tolerate_roles() {
  me=$(psql -XAtqw -v ON_ERROR_STOP=1 -c 'select quote_ident(current_user)' < /dev/null) || return 1
  while IFS= read -r line; do
    case $line in
      'CREATE ROLE '*';') printf 'DO $dbbackup$ BEGIN %s EXCEPTION WHEN duplicate_object THEN NULL; END $dbbackup$;\\n' "$line" ;;
      "ALTER ROLE $me WITH "*" PASSWORD '"*) printf '%s;\\n' "\${line%% PASSWORD \\'*}" ;;
      *) printf '%s\\n' "$line" ;;
    esac
    case $line in '\\connect '*) break ;; esac
  done
  cat
}
`;

/** Settings whose values are lists of names, which the server keeps as it would write them. */
const listSettings =
  "'local_preload_libraries', 'search_path', 'session_preload_libraries', 'shared_preload_libraries', 'temp_tablespaces', 'unix_socket_directories'";

// Databases are made again, not emptied: to drop ten thousand tables at once needs more locks than a server has. The new one stands under
// another name, closed to all, before the old one goes: what cannot be made costs nothing. It has of the old one what no dump restores.
const statements = `
with old as (
  select d.*, to_jsonb(d) as j, 'dbbackup-new-' || d.oid as made, pg_get_userbyid(d.datdba) as owner from pg_database d where datname = :'database'),
setting as (
  select made, r.rolname as role, split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as value
  from old join pg_db_role_setting s on s.setdatabase = old.oid left join pg_roles r on r.oid = s.setrole cross join unnest(s.setconfig) c),
said as (
  select *, case when name not in (${listSettings}) then quote_literal(value) else coalesce((
    select string_agg(quote_literal(case when m[1] like '"%' then replace(substr(m[1], 2, length(m[1]) - 2), '""', '"') else m[1] end), ', ')
    from regexp_matches(value, '"(?:[^"]|"")*"|[^",[:space:]]+', 'g') m), quote_literal('')) end as words
  from setting)
select text from (
  select 1 as n, format('drop database %I', made) as text from old where exists (select from pg_database where datname = made)
  union all select 2, format('create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L connection limit %s allow_connections false', made, owner, pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit)
    || coalesce((select format(' tablespace %I', spcname) from pg_tablespace t where t.oid = dattablespace and spcname <> 'pg_default'), '')
    || case j ->> 'datlocprovider' when 'c' then ' locale_provider libc'
      when 'i' then format(' locale_provider icu icu_locale %L', coalesce(j ->> 'daticulocale', j ->> 'datlocale')) || coalesce(format(' icu_rules %L', j ->> 'daticurules'), '')
      when 'b' then format(' locale_provider builtin builtin_locale %L', j ->> 'datlocale') else '' end from old
  union all select 3, format('comment on database %I is %L', made, shobj_description(oid, 'pg_database')) from old where shobj_description(oid, 'pg_database') is not null
  union all select 3, case when role is null then format('alter database %I set %I to ', made, name) else format('alter role %I in database %I set %I to ', role, made, name) end || words from said
  union all select 4, format('revoke all on database %I from public, %I', made, owner) from old where datacl is not null
  union all select 5, format('grant %s on database %I to ', a.privilege_type, made) || case a.grantee when 0 then 'public' else format('%I', pg_get_userbyid(a.grantee)) end || case when a.is_grantable then ' with grant option' else '' end
    from old cross join aclexplode(datacl) a
) as all_of_them order by n`;

/** What takes away databases, whoever is connected to them: before 13 there is no other way than to end their connections. */
const drop = `
select text from (
  select datname, 1 as n, format('select pg_terminate_backend(pid) from pg_stat_activity where datname = %L', datname) as text from pg_database
    where current_setting('server_version_num')::int < 130000
  union all select datname, 2, format('drop database %I', datname) || case when current_setting('server_version_num')::int < 130000 then '' else ' with (force)' end from pg_database
) as all_of_them where datname in (select datname from pg_database where`;
const inOrder = ') order by datname, n';

const others = "not datistemplate and datname <> 'postgres' and datname <> :'made'";

/** @param objects counts what a database holds; @param databases counts that of a whole server */
export const postgresRestore = (objects: string, databases: string): string => `
${postgresRoles}
# Runs what the query on standard input gives, beside the database that is made again: :'database', and as long as it has another name :'made'.
run_queries() {
  { cat && echo ' \\\\gexec'; } | PGDATABASE=template1 psql -XAtqw -v ON_ERROR_STOP=1 -v "database=$database" -v "made=$made" -o /dev/null
}

count_databases() {
  (PGDATABASE=template1 && ask 'select count(*) from pg_database where datconnlimit <> -2')
}

contents() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then ask "${databases}"; else ask "${objects}"; fi
}

can_restore() {
  restorer=pg_restore
  [ -z "$DBBACKUP_ALL_DATABASES" ] || restorer=psql
  command -v "$restorer" > /dev/null || refuse ${code('ConfigInvalid')} "run $restorer: the image has no such program"
  [ "$verdict" = overwrite ] || return 0
  lacks=$(ask "select concat_ws(', ', case when not rolsuper and '$DBBACKUP_ALL_DATABASES' <> '' then 'SUPERUSER, which alone restores a whole server' when not rolsuper and not rolcreatedb then 'CREATEDB' end, case when not pg_has_role((select datdba from pg_database where datname = current_database()), 'USAGE') then 'ownership of the database' end) from pg_roles where rolname = current_user") || refuse ${code('RestoreFailed')} "look at what the login may do: $(complaint)"
  [ -z "$lacks" ] || refuse ${code('DatabaseAuthFailed')} "the login may not make the database anew, as Overwrite does: it lacks $lacks"
  dumped=$(major "$dumped_tool") has=$(major "$("$restorer" --version < /dev/null 2> /dev/null)")
  [ "\${dumped:-0}" -le "\${has:-\${dumped:-0}}" ] || refuse ${code('VersionSkew')} "restore a dump by version $dumped: $restorer $has is older; take the image of version $dumped"
}

clear() {
  database=$PGDATABASE
  [ -z "$DBBACKUP_ALL_DATABASES" ] || database=postgres
  made="dbbackup-new-$(ask "select oid from pg_database where datname = current_database()")" || return
  make_new && there=$(count_databases) || { drop_made; return 1; }
  touches
  if drop_old; then
    rename_made && return
    printf 'the database %s is called %s now, and empty: give it its name\\n' "$database" "$made" >&2
  elif [ "$(count_databases)" = "$there" ]; then
    spares
    drop_made
  fi
  return 1
}

make_new() {
  run_queries << 'END'
${statements}
END
}

drop_made() {
  run_queries << 'END'
select format('drop database %I', datname) from pg_database where datname = :'made'
END
}

drop_old() {
  [ -z "$DBBACKUP_ALL_DATABASES" ] || run_queries << 'END' || return
${drop} ${others} ${inOrder}
END
  run_queries << 'END'
${drop} datname = :'database' ${inOrder}
END
}

# While it had the other name nobody could be connected to it, so that nothing is in the way.
rename_made() {
  run_queries << 'END'
select format('alter database %I rename to %I', :'made', :'database'), format('alter database %I allow_connections true', :'database')
END
}

restore() {
  if [ -z "$DBBACKUP_ALL_DATABASES" ]; then exec pg_restore -w --exit-on-error --single-transaction --dbname= "$@"; fi
  { tolerate_roles || printf '%s\\n' '\\.' '\\stop'; } | psql -Xqw -v ON_ERROR_STOP=1 -o /dev/null
}
`;
