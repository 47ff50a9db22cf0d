// The shell that puts a dump of PostgreSQL back.

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

// Databases are made again, not emptied: to drop ten thousand tables at once needs more locks than a server has.
const recreate = `select format('drop database %I', datname), format('create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L', datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype) || case when to_jsonb(d) ->> 'datlocprovider' = 'i' then format(' locale_provider icu icu_locale %L', coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale')) else '' end from pg_database d where datname =`;

/** @param objects counts what a database holds; @param databases counts that of a whole server */
export const postgresRestore = (objects: string, databases: string): string => `
${postgresRoles}
# A reader of queries that runs what they give.
run_queries() {
  printf '%s \\\\gexec\\n' "$1" | PGDATABASE=$2 psql -XAtqw -v ON_ERROR_STOP=1 -v "database=$PGDATABASE" -o /dev/null
}

contents() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then ask "${databases}"; else ask "${objects}"; fi
}

clear() {
  if [ -z "$DBBACKUP_ALL_DATABASES" ]; then
    run_queries "${recreate} :'database'" template1
    return
  fi
  run_queries "select format('drop database %I', datname) from pg_database where not datistemplate and datname <> 'postgres'" template1 &&
    run_queries "${recreate} 'postgres'" template1
}

restore() {
  if [ -z "$DBBACKUP_ALL_DATABASES" ]; then exec pg_restore -w --exit-on-error --single-transaction --dbname= "$@"; fi
  { tolerate_roles || printf '%s\\n' '\\.' '\\stop'; } | psql -Xqw -v ON_ERROR_STOP=1 -o /dev/null
}
`;
