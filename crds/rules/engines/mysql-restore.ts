// The shell that puts a dump of MySQL or MariaDB back.

const ofDatabase =
  '(select count(*) from information_schema.tables where table_schema = database()) + (select count(*) from information_schema.routines where routine_schema = database()) + (select count(*) from information_schema.events where event_schema = database())';
const ofServer =
  "(select count(*) from information_schema.schemata where schema_name not in ('mysql', 'sys', 'information_schema', 'performance_schema', 'test'))";

/** SQL for one that is dropped and, where it is the target itself, made again as it was. */
const name = "concat('\\`', replace(schema_name, '\\`', '\\`\\`'), '\\`')";

export const mysqlRestore = `
contents() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then ask "select ${ofServer}"; else ask "select ${ofDatabase}"; fi
}

clear() {
  if [ -n "$DBBACKUP_ALL_DATABASES" ]; then
    statements=$(ask "select concat('drop database ', ${name}, ';') from information_schema.schemata where schema_name not in ('mysql', 'sys', 'information_schema', 'performance_schema')")
  else
    statements=$(ask "select concat('drop database ', ${name}, '; create database ', ${name}, ' character set ', default_character_set_name, ' collate ', default_collation_name, ';') from information_schema.schemata where schema_name = database()")
  fi && ask "$statements"
}

# In binary mode the client runs none of its own commands that a dump might hold.
restore() {
  exec "$client" --defaults-file="$CLIENT_FILE" --default-character-set=utf8mb4 --binary-mode --max-allowed-packet=1G "$@"
}
`;
