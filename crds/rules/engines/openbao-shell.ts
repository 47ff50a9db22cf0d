// The shell of OpenBao: login by service account token or by a token of its own, what it may do, the snapshot and its way back.
import { code } from './script.ts';

export const openbaoShell = `
# Tokens are in the environment of bao, never among its arguments; jwt=@FILE is read by bao itself.
log_in() {
  command -v bao > /dev/null || refuse ${code('ConfigInvalid')} "run bao: spec.database.image has no such program"
  scheme=https
  [ "$DBBACKUP_TLS_MODE" != disable ] || scheme=http
  case $DBBACKUP_HOST in *:*) host="[$DBBACKUP_HOST]" ;; *) host=$DBBACKUP_HOST ;; esac
  BAO_ADDR=$scheme://$host:$DBBACKUP_PORT BAO_CLIENT_TIMEOUT=20s BAO_MAX_RETRIES=1 HOME=$TEMPORARY
  export BAO_ADDR BAO_CLIENT_TIMEOUT BAO_MAX_RETRIES HOME
  [ "$DBBACKUP_TLS_MODE" != require ] || { BAO_SKIP_VERIFY=true && export BAO_SKIP_VERIFY; }
  [ -z "$AUTHORITIES" ] || { BAO_CACERT=$AUTHORITIES && export BAO_CACERT; }
  # 2 as exit code is a server that answers and is sealed.
  state=$(bao status -format=json 2> "$TEMPORARY/stderr")
  case $? in
    0) ;;
    2) refuse ${code('DatabaseUnreachable')} "ask $BAO_ADDR: the server is sealed or not initialized: unseal it" ;;
    *) ask_failed ;;
  esac
  [ "$(field storage_type)" = raft ] || refuse ${code('ConfigInvalid')} "the server's storage is \\"$(field storage_type)\\": only that of kind raft has snapshots"
  if [ -n "$DBBACKUP_TOKEN_KEY" ]; then
    need "$DBBACKUP_TOKEN_KEY"
    BAO_TOKEN=$(cat "$KEYS/$DBBACKUP_TOKEN_KEY")
    export BAO_TOKEN
    bao token lookup > /dev/null 2> "$TEMPORARY/stderr" || ask_failed
  else
    [ -s "$TOKEN" ] || refuse ${code('SecretInvalid')} "read the service account token: $TOKEN is missing or empty"
    BAO_TOKEN=$(bao write -field=token "auth/$DBBACKUP_JWT_MOUNT/login" "role=$DBBACKUP_JWT_ROLE" "jwt=@$TOKEN" 2> "$TEMPORARY/stderr") || ask_failed
    export BAO_TOKEN
  fi
  tell serverVersion "$(field version)"
  tell toolVersion "$(bao version)"
  tell identity "$(field cluster_id)"
}

# A field of the server's state; its values hold no quotes.
field() {
  printf '%s\\n' "$state" | sed -n "s/^ *\\"$1\\": *\\"\\([^\\"]*\\)\\".*/\\1/p" | head -n 1
}

ask_failed() {
  said=$(complaint)
  case $(tail -c 900 "$TEMPORARY/stderr") in
    *x509:* | *'tls:'* | *'HTTP response to HTTPS client'* | *'HTTP request to an HTTPS server'*) refuse ${code('ConfigInvalid')} "spec.database.tls: $said" ;;
    *'Code: 400'* | *'Code: 403'*) refuse ${code('DatabaseAuthFailed')} "$said" ;;
    *'Code: 404'* | *'Code: 405'*) refuse ${code('ConfigInvalid')} "spec.database.auth.jwt: $said" ;;
    *) refuse ${code('DatabaseUnreachable')} "$said" ;;
  esac
}

# A token that may not ask what it may do is left to the snapshot itself.
preflight() {
  may=$(bao token capabilities sys/storage/raft/snapshot 2> /dev/null) || return 0
  case $may in
    *root* | *read*) ;;
    *) refuse ${code('DatabaseAuthFailed')} "the token may not read sys/storage/raft/snapshot: give its policy path \\"sys/storage/raft/snapshot\\" { capabilities = [\\"read\\"] }" ;;
  esac
}

# bao writes to a path only. A token that was made for this run is not left behind.
dump() {
  bao operator raft snapshot save /dev/stdout
  ended=$?
  log_out
  return "$ended"
}

log_out() {
  [ -n "$DBBACKUP_TOKEN_KEY" ] || bao token revoke -self > /dev/null 2>&1
}
`;

// A server that was never used has three secret engines and one login method; each snapshot replaces all there is.
export const openbaoRestore = `
contents() {
  engines=$(bao secrets list -format=json) && methods=$(bao auth list -format=json) || return
  printf '%s\\n%s\\n' "$engines" "$methods" | sed -n 's/^  "\\(.*\\)\\/": {$/\\1/p' | grep -cvxE 'cubbyhole|identity|sys|token'
  return 0
}

# A token that may not ask what it may do is left to the restore itself.
can_restore() {
  may=$(bao token capabilities sys/storage/raft/snapshot-force 2> /dev/null) || return 0
  case $may in
    *root* | *update*) ;;
    *) refuse ${code('DatabaseAuthFailed')} "the token may not write sys/storage/raft/snapshot-force: give its policy path \\"sys/storage/raft/snapshot-force\\" { capabilities = [\\"update\\"] }" ;;
  esac
}

clear() {
  touches
}

# With force: a new server has other unseal keys. Those of the snapshot hold afterwards, and so do its tokens.
restore() {
  bao operator raft snapshot restore -force /dev/stdin
}
`;
