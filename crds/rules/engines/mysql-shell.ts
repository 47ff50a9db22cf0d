// The shell of the dump container of MySQL and MariaDB: login, versions, grants, and the dump.
import type { Flavour } from './mysql-family.ts';
import { code } from './script.ts';

/** One line of SQL for the inside of double quotes. */
const sql = (text: string): string => text.replaceAll('\n', ' ').replace(/ +/g, ' ').replaceAll('`', '\\`').trim();

/** Whether what is held of a scope counts for the database at hand. A scope is a pattern as in LIKE. */
const here = "(held.s = '%' or database() like held.s)";
const held = "(select '' as p, '' as s $rows) as held";
const allOf = (rows: string): string => `${rows}.p in (', ALL,', ', ALL PRIVILEGES,')`;
const all = allOf('held');
const rightsTable = (rights: readonly string[]): string =>
  `(${rights.map((right) => `select '${right}' as p`).join(' union all ')}) as wanted`;
const reading = ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT'];

/** Which of the rights the login lacks on the database at hand, or on the server; after held_rights, and with $unneeded. */
export const lacking = (rights: readonly string[]): string =>
  sql(`
  select coalesce(group_concat(wanted.p order by wanted.p separator ', '), '') from
  ${rightsTable(rights)}
  where wanted.p not in ($unneeded)
  and not exists (select 1 from ${held} where (${all} or held.p like concat('%, ', wanted.p, ',%')) and ${here})`);

/** What is taken back of rights on the server, by right and schema. The last four are never dumped with all databases, and mysql can hold no trigger. */
const takenBack = sql(`
  select coalesce(group_concat(concat(wanted.p, ' on ', barred.s, '.*') order by barred.s, wanted.p separator ', '), '') from
  ${rightsTable(reading)} join (select '' as p, '' as s $barred) as barred on ${allOf('barred')} or barred.p like concat('%, ', wanted.p, ',%')
  where wanted.p not in ($unneeded) and not (barred.s = 'mysql' and wanted.p = 'TRIGGER') and if(database() is null,
  barred.s not in ('information_schema', 'performance_schema', 'sys', 'ndbinfo'), barred.s = database())`);

/** Routines are hidden from a login that may not see them: their absence in a dump would go unnoticed. */
const seesRoutines = sql(`
  select count(*) from ${held} where ((${all} or held.p like '%, SELECT,%') and held.s = '%')
  or ((held.p like '%, SHOW\\_ROUTINE,%' or held.p like '%, SHOW CREATE ROUTINE,%') and ${here})`);
const mayExecute = sql(`
  select count(*) from ${held} where (${all} or held.p like '%, EXECUTE,%' or held.p like '%, ALTER ROUTINE,%') and ${here}`);

/** Rights on a server or a database as rows of SQL; those on single tables are not enough. Names that no pattern can hold are left out. */
const grantRows = `/\\\\[^_%]/d
s/'/''/g
s/^GRANT \\([A-Z_ ,]*\\) ON \\*\\.\\* TO .*/ union all select ', \\1,', '%'/p
t
s/^GRANT \\([A-Z_ ,]*\\) ON \`\\(.*\\)\`\\.\\* TO .*/ union all select ', \\1,', '\\2'/
t name
d
:name
s/\`\`/\`/g
p`;

/** Rights on the server that MySQL takes back on one schema (partial_revokes), as rows of SQL. Their names are no patterns. */
const revokeRows = `/^REVOKE [A-Z_ ,]* ON \`.*\`\\.\\* FROM /!d
s/\\\\/\\\\\\\\/g
s/'/''/g
s/^REVOKE \\([A-Z_ ,]*\\) ON \`\\(.*\\)\`\\.\\* FROM .*/ union all select ', \\1,', '\\2'/
s/\`\`/\`/g`;

const either = (names: readonly string[], variable: string): string =>
  `${variable}=\n  for name in ${names.join(' ')}; do [ -n "$${variable}" ] || ! command -v "$name" > /dev/null || ${variable}=$name; done
  [ -n "$${variable}" ] || refuse ${code('ConfigInvalid')} "run ${names[0]}: spec.database.image has no such program"`;

/** Lines of the client's file that ask for TLS. MariaDB's client checks the name in a certificate whenever it checks the certificate. */
const tls = {
  mysql: `
    disable) echo 'ssl-mode=DISABLED' ;;
    require) echo 'ssl-mode=REQUIRED' ;;
    verify-ca) echo 'ssl-mode=VERIFY_CA' ;;
    verify-full) echo 'ssl-mode=VERIFY_IDENTITY' ;;`,
  mariadb: `
    disable) echo 'ssl=0' ;;
    require) printf 'ssl=1\\nssl-verify-server-cert=0\\n' ;;
    verify-ca | verify-full) printf 'ssl=1\\nssl-verify-server-cert=1\\n' ;;`,
};

const isMariadb = { mysql: '', mariadb: 'yes' };

export const mysqlShell = ({ name, dumpTools, clients }: Flavour): string => `
# quoted FILE: its text as a value of an option file.
quoted() {
  printf '"%s"\\n' "$(sed 's/[\\\\"]/\\\\&/g' "$1")"
}

log_in() {
  need "$DBBACKUP_USERNAME_KEY"
  need "$DBBACKUP_PASSWORD_KEY"
  ${either(dumpTools, 'dumper')}
  ${either(clients, 'client')}
  CLIENT_FILE=$TEMPORARY/client.cnf
  printf '%s' "$DBBACKUP_HOST" > "$TEMPORARY/host"
  printf '%s' "$DBBACKUP_DATABASE" > "$TEMPORARY/database"
  {
    printf '[client]\\nprotocol=tcp\\nport=%s\\n' "$DBBACKUP_PORT"
    printf 'host=' && quoted "$TEMPORARY/host"
    printf 'user=' && quoted "$KEYS/$DBBACKUP_USERNAME_KEY"
    printf 'password=' && quoted "$KEYS/$DBBACKUP_PASSWORD_KEY"
    case $DBBACKUP_TLS_MODE in${tls[name]}
    esac
    [ -z "$AUTHORITIES" ] || printf 'ssl-ca="%s"\\n' "$AUTHORITIES"
    printf '[mysql]\\n'
    [ -z "$DBBACKUP_DATABASE" ] || { printf 'database=' && quoted "$TEMPORARY/database"; }
  } > "$CLIENT_FILE"
  version=$(ask 'select version()') || login_failed
  [ -n "$version" ] || login_failed
  # MariaDB's client takes a server without TLS for one with it where it looks at no certificate.
  case $DBBACKUP_TLS_MODE in
    '' | disable) ;;
    *) [ -n "$(ask "show session status like 'Ssl_cipher'" | cut -f 2)" ] || refuse ${code('ConfigInvalid')} "spec.database.tls: the server takes no TLS" ;;
  esac
  tool=$("$dumper" --version)
  check_versions
  identity=$(ask 'select @@server_uuid' 2> /dev/null) || identity=
  tell serverVersion "$version"
  tell toolVersion "$tool"
  tell identity "$identity"
}

ask() {
  "$client" --defaults-file="$CLIENT_FILE" --connect-timeout=15 --default-character-set=utf8mb4 --batch --skip-column-names --raw -e "$1" 2>> "$TEMPORARY/stderr"
}

check_versions() {
  case $version in
    *MariaDB*) [ -n "${isMariadb[name]}" ] || refuse ${code('ConfigInvalid')} "the server is MariaDB $version: set spec.database.engine to mariadb" ;;
    *) [ -z "${isMariadb[name]}" ] || refuse ${code('ConfigInvalid')} "the server is MySQL $version: set spec.database.engine to mysql" ;;
  esac
  case $tool in
    *MariaDB*) [ -n "${isMariadb[name]}" ] || refuse ${code('VersionSkew')} "$dumper is that of MariaDB ($tool): set spec.database.image to one of MySQL" ;;
    *) [ -z "${isMariadb[name]}" ] || refuse ${code('VersionSkew')} "$dumper is not that of MariaDB ($tool): set spec.database.image to one of MariaDB" ;;
  esac
  has=$(printf '%s\\n' "$tool" | sed -n -e 's/.*\\(Distrib\\|from\\) \\([0-9][0-9]*\\.[0-9][0-9]*\\).*/\\2/p' -e t -e 's/.*Ver \\([0-9][0-9]*\\.[0-9][0-9]*\\).*/\\1/p')
  wants=$(printf '%s\\n' "$version" | sed -n 's/^\\([0-9][0-9]*\\.[0-9][0-9]*\\).*/\\1/p')
  [ "$((\${has%.*} * 1000 + \${has#*.}))" -ge "$((\${wants%.*} * 1000 + \${wants#*.}))" ] || refuse ${code('VersionSkew')} "$dumper $has cannot dump server $version"
}

# Numbers of errors are the same in every language.
login_failed() {
  said=$(complaint)
  case $(tail -c 900 "$TEMPORARY/stderr") in
    *'ERROR 2026 '* | *'ERROR 3159 '*) refuse ${code('ConfigInvalid')} "spec.database.tls: $said" ;;
    *'ERROR 1049 '*) refuse ${code('ConfigInvalid')} "spec.database.name: $said" ;;
    *'ERROR 1044 '* | *'ERROR 1045 '* | *'ERROR 1130 '* | *'ERROR 1698 '* | *'ERROR 1820 '* | *'ERROR 1862 '* | *'ERROR 3118 '* | *'ERROR 4151 '*) refuse ${code('DatabaseAuthFailed')} "$said" ;;
    *'ERROR 1251 '* | *'ERROR 2059 '* | *'ERROR 2061 '*) refuse ${code('VersionSkew')} "$said" ;;
    *) refuse ${code('DatabaseUnreachable')} "$said" ;;
  esac
}

# A question that the server does not answer once the login has worked.
question_failed() {
  refuse ${code('DumpFailed')} "look at what the login may read: $(complaint)"
}

# Rights that come by a role are in the list of MariaDB; MySQL is asked for them.
held_rights() {
  using=
  if [ -z "${isMariadb[name]}" ]; then
    role=$(ask 'select current_role()') || role=
    case $role in '' | NONE | NULL) ;; *) using="for current_user() using $role" ;; esac
  fi
  : > "$TEMPORARY/stderr"
  text=$(ask "show grants $using") || question_failed
  cat > "$TEMPORARY/grants.sed" << 'END'
${grantRows}
END
  rows=$(printf '%s\\n' "$text" | sed -n -f "$TEMPORARY/grants.sed")
  cat > "$TEMPORARY/revokes.sed" << 'END'
${revokeRows}
END
  barred=$(printf '%s\\n' "$text" | sed -f "$TEMPORARY/revokes.sed")
}

preflight() {
  held_rights
  unneeded="''" routines=yes
  for argument in "$@"; do
    case $argument in
      --skip-routines) routines=no ;;
      --skip-events) unneeded="$unneeded, 'EVENT'" ;;
      --skip-triggers) unneeded="$unneeded, 'TRIGGER'" ;;
      --dump-history) "$dumper" --no-defaults --help 2> /dev/null | grep -q dump-history || refuse ${code('ConfigInvalid')} "spec.database.extraArgs: $dumper knows no --dump-history: take an image of MariaDB 10.11 or newer" ;;
    esac
  done
  lacks=$(ask "${lacking(reading)}") || question_failed
  [ -z "$lacks" ] || refuse ${code('DatabaseAuthFailed')} "the login may not read all of \${DBBACKUP_DATABASE:-the server}: it lacks $lacks on \${DBBACKUP_DATABASE:-*}.*"
  barred=$(ask "${takenBack}") || question_failed
  [ -z "$barred" ] || refuse ${code('DatabaseAuthFailed')} "the login may not read all of \${DBBACKUP_DATABASE:-the server}: it has no $barred, by REVOKE"
  [ "$routines" = no ] || check_routines
}

check_routines() {
  [ "$(ask "${seesRoutines}")" = 0 ] || return 0
  ask 'select 1 from mysql.proc limit 1' > /dev/null 2>&1 && return 0
  case $version in
    *MariaDB*) right='SELECT on mysql.proc' ;;
    *) right='SHOW_ROUTINE on *.*' ;;
  esac
  hidden=$(ask "select count(*) from information_schema.routines where routine_definition is null and (database() is null or routine_schema = database())")
  [ "$(ask "${mayExecute}")" != 0 ] && [ "$hidden" = 0 ] && return 0
  refuse ${code('DatabaseAuthFailed')} "the login may not see all stored routines: it lacks $right; grant it, or add --skip-routines to spec.database.extraArgs"
}

dump() {
  set -- --single-transaction --quick --routines --events --triggers --hex-blob --no-tablespaces --default-character-set=utf8mb4 --max-allowed-packet=1G --comments "$@"
  options=$("$dumper" --no-defaults --help 2> /dev/null)
  # What MySQL 8 asks for by itself would not fit another server: positions of replication, statistics of columns.
  case $options in *--set-gtid-purged*) set -- --set-gtid-purged=OFF "$@" ;; esac
  case $options in *--column-statistics*) set -- --skip-column-statistics "$@" ;; esac
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then
    exec "$dumper" --defaults-file="$CLIENT_FILE" "$@" --all-databases --flush-privileges
  fi
  exec "$dumper" --defaults-file="$CLIENT_FILE" "$@" -- "$DBBACKUP_DATABASE"
}
`;
