// Redis and Valkey: all databases of one server as the RDB file that a replica would get. One backup a server; of a cluster, one a shard.
import type { ByHand, Engine } from './engine.ts';
import { redisArchive } from './redis-archive.ts';
import { redisRestore, redisShell } from './redis-shell.ts';

const stop = (problem: string, fix: string): string =>
  `{ printf '%s\\n' "restore stopped: ${problem}; fix: ${fix}" >&2; exit 1; }`;

// Whether the server reads an append-only file decides where the data must be: one that finds none starts empty and passes the RDB file by.
// Redis makes that file itself, in the form of its own version.
const byHand: ByHand = {
  tools: ['redis-server', 'redis-cli', 'redis-check-rdb'],
  checks: [
    ': "${REDIS_DIR:?set REDIS_DIR to the data folder of the server to restore into, which must be stopped}"',
    ': "${REDIS_APPENDONLY:?set REDIS_APPENDONLY to yes or no, as appendonly in the configuration of the server}"',
    `[ -d "$REDIS_DIR" ] || ${stop('$REDIS_DIR is no folder', "set REDIS_DIR to the server's data folder")}`,
    `case $REDIS_APPENDONLY in yes | no) ;; *) ${stop('REDIS_APPENDONLY is $REDIS_APPENDONLY', 'set it to yes or no')} ;; esac`,
    `[ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || { [ ! -e "$REDIS_DIR/dump.rdb" ] && [ ! -e "$REDIS_DIR/appendonlydir" ] && [ ! -e "$REDIS_DIR/appendonly.aof" ]; } || ${stop('$REDIS_DIR holds dump.rdb or an append-only file', 'give an empty data folder, or DBBACKUP_RESTORE_NONEMPTY=1 to replace what is there')}`,
  ],
  command: [
    'redis-check-rdb "$dump" > /dev/null && rm -rf "$REDIS_DIR/appendonlydir" "$REDIS_DIR/appendonly.aof" && cp "$dump" "$REDIS_DIR/dump.rdb"',
    ' && { [ "$REDIS_APPENDONLY" = no ] || { (',
    ' cd "$REDIS_DIR" && rm -f restore.pid && redis-server --port 0 --unixsocket "$PWD/restore.sock" --save "" --appendonly no --dir . --dbfilename dump.rdb --daemonize yes --pidfile "$PWD/restore.pid" > /dev/null',
    ' && for _ in $(seq 86400); do redis-cli -s restore.sock PING 2> /dev/null | grep -q PONG && break; sleep 1; done',
    ' && redis-cli -s restore.sock CONFIG SET appendonly yes | grep -q OK',
    ' && while redis-cli -s restore.sock INFO persistence | grep -q "^aof_rewrite_\\(in_progress\\|scheduled\\):1"; do sleep 1; done',
    ' && redis-cli -s restore.sock INFO persistence | grep -q "^aof_last_bgrewrite_status:ok"',
    ' && redis-cli -s restore.sock SHUTDOWN NOSAVE && while [ -e restore.pid ]; do sleep 1; done',
    ' ); }; }',
  ].join(''),
  target: '$REDIS_DIR',
  exports: [
    'export REDIS_DIR=...          # data folder of the stopped server, empty',
    'export REDIS_APPENDONLY=no    # yes if its configuration says appendonly yes',
  ],
  fix: 'look at the message above; the server must be stopped, and the folder be writable; give its files to the user of the server',
};

export const redis: Engine = {
  hasDatabases: false,
  defaultPort: 6379,
  secretKeys: { username: 'username', password: 'password' },
  optionalKeys: ['username'],
  mayLackLogin: true,
  dumpFormat: () => 'rdb',
  endMarker: redisArchive,
  variables: ({ host, port }) => [
    { name: 'DBBACKUP_HOST', value: host },
    { name: 'DBBACKUP_PORT', value: String(port) },
    { name: 'LC_ALL', value: 'C' },
  ],
  allowedArguments: () => ({}),
  shell: redisShell,
  restoreShell: redisRestore,
  byHand: () => byHand,
};
