// The shell that puts a dump of MySQL or MariaDB back.
import { lacking } from './mysql-shell.ts';
import { code } from './script.ts';

const ofDatabase =
  '(select count(*) from information_schema.tables where table_schema = database()) + (select count(*) from information_schema.routines where routine_schema = database()) + (select count(*) from information_schema.events where event_schema = database())';

/** Databases of a server. One that is called test comes with some of them, and counts when it holds something. */
export const databasesOfServer = `select count(*) from information_schema.schemata where schema_name not in ('mysql', 'sys', 'information_schema', 'performance_schema') and (schema_name <> 'test' or ${[
  ...['tables.table_schema', 'routines.routine_schema', 'events.event_schema'],
]
  .map((column) => `exists (select 1 from information_schema.${column.replace('.', ' where ')} = 'test')`)
  .join(' or ')})`;

/** SQL for one that is dropped and, where it is the target itself, made again as it was. */
const name = "concat('\\`', replace(schema_name, '\\`', '\\`\\`'), '\\`')";

export const mysqlRestore = `
contents() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then ask "${databasesOfServer}"; else ask "select ${ofDatabase}"; fi
}

# What a restore needs is asked for before anything goes; that of users and of single statements only the server knows.
can_restore() {
  [ "$verdict" = overwrite ] || return 0
  held_rights
  unneeded="''"
  lacks=$(ask "${lacking(['ALTER', 'CREATE', 'DROP', 'INSERT', 'LOCK TABLES'])}") || refuse ${code('RestoreFailed')} "look at what the login may do: $(complaint)"
  [ -z "$lacks" ] || refuse ${code('DatabaseAuthFailed')} "the login may not make the database anew, as Overwrite does: it lacks $lacks on \${DBBACKUP_DATABASE:-*}.*"
}

clear() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then
    statements=$(ask "select concat('drop database ', ${name}, ';') from information_schema.schemata where schema_name not in ('mysql', 'sys', 'information_schema', 'performance_schema')")
  else
    statements=$(ask "select concat('drop database ', ${name}, '; create database ', ${name}, ' character set ', default_character_set_name, ' collate ', default_collation_name, ';') from information_schema.schemata where schema_name = database()")
  fi && touches && ask "$statements"
}

# In binary mode the client runs none of its own commands that a dump might hold.
restore() {
  exec "$client" --defaults-file="$CLIENT_FILE" --default-character-set=utf8mb4 --binary-mode --max-allowed-packet=1G "$@"
}
`;
