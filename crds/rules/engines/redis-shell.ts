// The shell of Redis and Valkey: login, what the login may do, the dump, and a restore into a server that runs.
import { code } from './script.ts';

/** How long one question to the server may take. */
const answerSeconds = 20;

export const redisShell = `
limit=
# The password is in the environment of redis-cli, never among its arguments. A user's name has no other way in.
log_in() {
  tool=redis-cli
  command -v "$tool" > /dev/null || tool=valkey-cli
  command -v "$tool" > /dev/null || refuse ${code('ConfigInvalid')} "run redis-cli: spec.database.image has neither it nor valkey-cli"
  username=
  if [ -n "$DBBACKUP_PASSWORD_KEY" ]; then
    need "$DBBACKUP_PASSWORD_KEY"
    REDISCLI_AUTH=$(cat "$KEYS/$DBBACKUP_PASSWORD_KEY")
    export REDISCLI_AUTH
    if have "$DBBACKUP_USERNAME_KEY"; then username=$(cat "$KEYS/$DBBACKUP_USERNAME_KEY"); fi
  fi
  [ "$DBBACKUP_TLS_MODE" != verify-full ] || refuse ${code('ConfigInvalid')} "spec.database.tls.mode: $tool checks no host name: use verify-ca with the server's own authorities"
  answer=$(ask PING)
  # A password that the server does not know is an error to it, and then it goes on without.
  grep -q 'AUTH failed' "$TEMPORARY/stderr" && login_failed "$answer"
  [ "$answer" = PONG ] || login_failed "$answer"
  info=$(ask INFO)
  case $info in *redis_version:* | *valkey_version:*) ;; *) login_failed "$info" ;; esac
  [ "$(field loading)" != 1 ] || refuse ${code('DatabaseUnreachable')} "the server is loading its data"
  version=$(field valkey_version)
  tell serverVersion "\${version:-$(field redis_version)}"
  tell toolVersion "$("$tool" --version)"
  tell identity ''
}

# with OPTION...: $tool told where and as whom. Its messages are read by their first word, an error code.
with() {
  [ -z "$username" ] || set -- --user "$username" "$@"
  case $DBBACKUP_TLS_MODE in
    require) set -- --tls --insecure "$@" ;;
    verify-ca)
      [ -z "$AUTHORITIES" ] || set -- --cacert "$AUTHORITIES" "$@"
      set -- --tls "$@"
      ;;
  esac
  $limit "$tool" -h "$DBBACKUP_HOST" -p "$DBBACKUP_PORT" "$@"
}

# It knows no limit of time for a connection before 7.2; the images that have it have timeout.
ask() {
  limit=
  command -v timeout > /dev/null && limit="timeout ${answerSeconds}"
  with "$@" < /dev/null 2>> "$TEMPORARY/stderr"
  answered=$?
  limit=
  case $answered in 124 | 143) echo "no answer within ${answerSeconds} s" >> "$TEMPORARY/stderr" ;; esac
  return "$answered"
}

field() {
  printf '%s\\n' "$info" | tr -d '\\r' | sed -n "s/^$1://p"
}

login_failed() {
  said=$(printf '%s %s' "$1" "$(complaint)" | tr '\\r\\n' '  ')
  case $1$(tail -c 900 "$TEMPORARY/stderr") in
    *'SSL_'* | *'certificate'* | *'not built with TLS'*) refuse ${code('ConfigInvalid')} "spec.database.tls: $said" ;;
    *WRONGPASS* | *NOAUTH* | *NOPERM* | *'AUTH failed'*) refuse ${code('DatabaseAuthFailed')} "$said" ;;
    *) refuse ${code('DatabaseUnreachable')} "ask $DBBACKUP_HOST:$DBBACKUP_PORT: $said" ;;
  esac
}

# A login that may not ask what it may do is left to the dump itself, which names the command it lacks.
preflight() {
  case $(ask ACL DRYRUN "\${username:-default}" SYNC) in
    NOPERM* | ERR*) ;;
    *'no permissions'*) refuse ${code('DatabaseAuthFailed')} "the login \\"\${username:-default}\\" may not run SYNC, by which a server is dumped: give it +sync" ;;
  esac
  case $(field role)$(field master_link_status) in
    slavedown) refuse ${code('DumpFailed')} "the server is a replica whose link to its master is down: it would send old data or none" ;;
  esac
}

dump() {
  with --rdb -
}
`;

/** What one MIGRATE holds in memory at a time, unless a single key is larger, and how many keys. */
const pageBytes = 4 * 1024 * 1024;
const pageKeys = 1000;

// Runs inside the scratch server, in one pass over all its databases. No double quotes and no backslashes: it travels as a quoted word.
const push = `
  local login, moved = {}, 0
  if #ARGV == 5 then login = {'AUTH', ARGV[5]} elseif #ARGV == 6 then login = {'AUTH2', ARGV[5], ARGV[6]} end
  local function send(database, keys)
    if #keys == 0 then return end
    local migrate = {'MIGRATE', ARGV[1], ARGV[2], '', database, tonumber(ARGV[4])}
    for _, word in ipairs(login) do migrate[#migrate + 1] = word end
    migrate[#migrate + 1] = 'KEYS'
    for _, key in ipairs(keys) do migrate[#migrate + 1] = key end
    redis.call(unpack(migrate))
    moved = moved + #keys
  end
  for database = 0, tonumber(ARGV[3]) - 1 do
    redis.call('SELECT', database)
    local cursor = '0'
    repeat
      local page = redis.call('SCAN', cursor, 'COUNT', ${pageKeys})
      local keys, bytes = {}, 0
      cursor = page[1]
      for _, key in ipairs(page[2]) do
        bytes = bytes + (redis.call('MEMORY', 'USAGE', key) or 0)
        if bytes > ${pageBytes} or #keys >= ${pageKeys} then
          send(database, keys)
          keys, bytes = {}, 0
        end
        keys[#keys + 1] = key
      end
      send(database, keys)
    until cursor == '0'
  end
  return moved`
  .replaceAll('\n', ' ')
  .replace(/ +/g, ' ');

/** Milliseconds that one page of keys may take to be written to the target. */
const pageMilliseconds = 60_000;

export const redisRestore = `
# Keys of all databases, and libraries of functions.
contents() {
  info=$(ask INFO)
  case $info in *redis_version:* | *valkey_version:*) ;; *) printf '%s\\n' "$info" >&2; return 1 ;; esac
  sum=$(ask FUNCTION LIST | grep -c '^library_name') || true
  for keys in $(printf '%s\\n' "$info" | tr -d '\\r' | sed -n 's/^db[0-9]*:keys=\\([0-9]*\\),.*/\\1/p'); do sum=$((sum + keys)); done
  echo "$sum"
}

# A login that may not ask what it may do is left to the restore itself.
can_restore() {
  case $DBBACKUP_TLS_MODE in '' | disable) ;; *) refuse ${code('ConfigInvalid')} "spec.database.tls: a restore over TLS is not possible: place the dump in the data folder of a stopped server, see the docs" ;; esac
  server=\${tool%-cli}-server
  command -v "$server" > /dev/null || refuse ${code('ConfigInvalid')} "run $server, which reads the dump: the image has no such program"
  for command in 'RESTORE key 0 value' FLUSHALL; do
    case $verdict:$command:$(ask ACL DRYRUN "\${username:-default}" $command) in
      restore:FLUSHALL:*) ;;
      *'no permissions to run'*) refuse ${code('DatabaseAuthFailed')} "the login \\"\${username:-default}\\" may not run \${command%% *}: give it +@all" ;;
    esac
  done
}

# Nothing goes before the scratch server has read the whole dump, see restore.
clear() {
  :
}

# Servers before 7 have no functions.
flush() {
  touches
  said=$(ask FLUSHALL)
  [ "$said" = OK ] && said=$(ask FUNCTION FLUSH)
  case $said in OK | ERR*unknown*) ;; *) printf '%s\\n' "$said" >&2; return 1 ;; esac
}

word() {
  printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\\\"]/\\\\&/g')"
}

scratch() {
  env -u REDISCLI_AUTH "$tool" -s "$TEMPORARY/scratch" "$@"
}

# No client reads an RDB file, only a server does. One that lives for this restore reads it from a pipe, needs memory but no disk, and
# hands its keys on. MIGRATE writes over no key of the target.
restore() {
  mkfifo "$TEMPORARY/dump.rdb" || return
  exec 3<&0
  # Its name goes as soon as both ends are open: a server that finds a file broken opens it once more to say why, and would wait for ever.
  { exec 4> "$TEMPORARY/dump.rdb"; rm -f "$TEMPORARY/dump.rdb"; cat <&3 >&4; } &
  "$server" --port 0 --unixsocket "$TEMPORARY/scratch" --unixsocketperm 700 --dir "$TEMPORARY" --dbfilename dump.rdb --save '' --appendonly no --databases 10000 --logfile "$TEMPORARY/log" > /dev/null &
  scratch_pid=$!
  until [ "$(scratch PING 2> /dev/null)" = PONG ] && ! scratch INFO | grep -q '^loading:1'; do
    kill -0 "$scratch_pid" 2> /dev/null || { tail -c 600 "$TEMPORARY/log" >&2; return 1; }
    sleep 0.2
  done
  [ "$verdict" != overwrite ] || flush || return 1
  databases=$(scratch INFO keyspace | tr -d '\\r' | sed -n 's/^db\\([0-9]*\\):.*/\\1/p' | tail -n 1)
  if [ -n "$databases" ]; then
    {
      printf 'EVAL %s 0 %s %s %s ${pageMilliseconds}' "$(word "$PUSH")" "$(word "$DBBACKUP_HOST")" "$(word "$DBBACKUP_PORT")" "$((databases + 1))"
      [ -z "$username" ] || printf ' %s' "$(word "$username")"
      [ -z "\${REDISCLI_AUTH:-}" ] || printf ' %s' "$(word "$REDISCLI_AUTH")"
      echo
    } > "$TEMPORARY/push"
    moved=$(scratch < "$TEMPORARY/push")
    case $moved in '' | *[!0-9]*) printf '%s\\n' "$moved" >&2; return 1 ;; esac
  fi
  case $(scratch FUNCTION LIST) in
    '' | ERR*) ;;
    *)
      answer=$(scratch --raw FUNCTION DUMP | head -c -1 | with -x FUNCTION RESTORE)
      [ "$answer" = OK ] || { printf '%s\\n' "$answer" >&2; return 1; }
      ;;
  esac
  kill "$scratch_pid"
}
PUSH="${push.trim()}"
`;
