// The shell of MongoDB: login, what the login may read, the archive and its way back. mongosh, where the image has it, asks what mongodump
// cannot: versions, the replica set's id, rights.
import { code } from './script.ts';

// Runs in mongosh, so that errors are told apart by their code and no value passes a shell. Words of an answer stand before its text.
const connect = `
const fs = require('fs'), env = process.env;
const read = (path) => fs.readFileSync(path, 'utf8').replace(/\\n+$/, '');
const key = (name) => env['DBBACKUP_' + name + '_KEY'];
const login = key('PASSWORD') === '' ? '' : [key('USERNAME'), key('PASSWORD')].map((one) => encodeURIComponent(read(env.MONGO_KEYS + '/' + one))).join(':') + '@';
const host = env.DBBACKUP_HOST.includes(':') ? '[' + env.DBBACKUP_HOST + ']' : env.DBBACKUP_HOST;
const options = ['directConnection=true', 'serverSelectionTimeoutMS=20000', 'authSource=' + encodeURIComponent(env.MONGO_AUTH_SOURCE)];
const mode = env.DBBACKUP_TLS_MODE;
if (mode !== '' && mode !== 'disable') options.push('tls=true');
if (env.MONGO_AUTHORITIES !== '') options.push('tlsCAFile=' + encodeURIComponent(env.MONGO_AUTHORITIES));
if (mode === 'require') options.push('tlsAllowInvalidCertificates=true');
if (mode === 'require' || mode === 'verify-ca') options.push('tlsAllowInvalidHostnames=true');
const say = (word, text) => print(word + ' ' + String(text).replace(/\\s+/g, ' '));
const must = (answer) => { if (answer.ok !== 1) throw answer; return answer; };
let server;
const on = (database, command) => must(server.getSiblingDB(database).runCommand(command));
const names = () => env.DBBACKUP_DATABASE !== '' ? [env.DBBACKUP_DATABASE] : on('admin', { listDatabases: 1, nameOnly: true }).databases.map((one) => one.name).filter((name) => !['admin', 'config', 'local'].includes(name));
const collections = (database, command) => {
  const { firstBatch, id, ns } = on(database, { listCollections: 1, nameOnly: true, ...command }).cursor;
  const all = [...firstBatch];
  for (let next = id; String(next ?? 0) !== '0'; ) {
    const { nextBatch, id: further } = on(database, { getMore: next, collection: ns.slice(database.length + 1) }).cursor;
    all.push(...nextBatch);
    next = further;
  }
  return all;
};
const attempt = (action) => {
  try {
    server = connect('mongodb://' + login + host + ':' + env.DBBACKUP_PORT + '/?' + options.join('&'));
    action();
  } catch (error) {
    if (error.code === 18) say('login', 'Authentication failed');
    else if (error.code === 13) say('rights', error.errmsg || error.message);
    else if (/certificate|SSL|TLS/.test(String(error.cause || ''))) say('tls', 'the certificate of the server is not trusted, or it speaks no TLS');
    else say('away', error.codeName || error.name);
  }
};`;

const facts = `${connect}
attempt(() => {
  say('version', on('admin', { buildInfo: 1 }).version);
  let id = '';
  try { id = on('admin', { replSetGetConfig: 1 }).config.settings.replicaSetId.toString(); } catch { }
  say('identity', id);
});`;

// Any document will do: who may read one of a collection may read all.
const rights = `${connect}
attempt(() => {
  for (const name of names())
    for (const { name: collection, type } of collections(name, { authorizedCollections: false }))
      if (type !== 'view' && !collection.startsWith('system.')) on(name, { find: collection, limit: 1, projection: { _id: 1 } });
  say('ok', '');
});`;

const count = `${connect}
attempt(() => {
  let found = 0;
  for (const name of names()) found += collections(name, {}).filter((one) => !one.name.startsWith('system.')).length;
  say('ok', found);
});`;

const empty = `${connect}
attempt(() => {
  for (const name of names()) on(name, { dropDatabase: 1 });
  say('ok', '');
});`;

const heredoc = (name: string, script: string): string => `
${name}() {
  cat << 'END_OF_SCRIPT' > "$TEMPORARY/${name}.js"
${script.trim()}
END_OF_SCRIPT
  MONGO_KEYS=$KEYS MONGO_AUTHORITIES=$AUTHORITIES MONGO_AUTH_SOURCE=$auth_source HOME=$TEMPORARY mongosh --nodb --quiet --norc "$TEMPORARY/${name}.js" 2>> "$TEMPORARY/stderr"
}
`;

export const mongodbShell = `
${heredoc('ask_facts', facts)}
${heredoc('ask_rights', rights)}
# The password is in a file that the tools read, never among their arguments. A user's name has no other way in.
log_in() {
  auth_source=admin
  command -v mongodump > /dev/null || refuse ${code('ConfigInvalid')} "run mongodump: spec.database.image has no such program"
  : > "$TEMPORARY/login"
  username=
  if [ -n "$DBBACKUP_PASSWORD_KEY" ]; then
    need "$DBBACKUP_USERNAME_KEY"
    need "$DBBACKUP_PASSWORD_KEY"
    username=$(cat "$KEYS/$DBBACKUP_USERNAME_KEY")
    printf "password: '%s'\\n" "$(sed "s/'/''/g" "$KEYS/$DBBACKUP_PASSWORD_KEY")" > "$TEMPORARY/login"
  fi
  version= identity=
  if command -v mongosh > /dev/null; then
    said=$(ask_facts)
    judge "$said"
    version=$(printf '%s\\n' "$said" | sed -n 's/^version //p')
    identity=$(printf '%s\\n' "$said" | sed -n 's/^identity //p')
    [ -n "$version" ] || refuse ${code('DatabaseUnreachable')} "ask $DBBACKUP_HOST:$DBBACKUP_PORT: mongosh gave no answer: $(complaint)"
  fi
  tell serverVersion "$version"
  tell toolVersion "$(mongodump --version | head -n 1)"
  tell identity "$identity"
}

# judge ANSWER: ends the run when one of its lines says that something is wrong.
judge() {
  wrong=$(printf '%s\\n' "$1" | grep -E '^(login|rights|tls|away) ' | head -n 1)
  case $wrong in
    '') ;;
    'login '*) refuse ${code('DatabaseAuthFailed')} "log in to $DBBACKUP_HOST:$DBBACKUP_PORT: \${wrong#* }" ;;
    'rights '*) refuse ${code('DatabaseAuthFailed')} "the login may not read all that is dumped: \${wrong#* }; give it the role backup" ;;
    'tls '*) refuse ${code('ConfigInvalid')} "spec.database.tls: \${wrong#* }" ;;
    *) refuse ${code('DatabaseUnreachable')} "ask $DBBACKUP_HOST:$DBBACKUP_PORT: \${wrong#* }" ;;
  esac
}

preflight() {
  command -v mongosh > /dev/null || return 0
  for argument in "$@"; do
    case $argument in --collection=* | --excludeCollection*) return 0 ;; esac
  done
  judge "$(ask_rights)"
}

# with PROGRAM OPTION...: the program told where and as whom.
with() {
  program=$1
  shift
  [ -z "$username" ] || set -- "--username=$username" "--authenticationDatabase=$auth_source" "--config=$TEMPORARY/login" "$@"
  [ -z "$AUTHORITIES" ] || set -- "--sslCAFile=$AUTHORITIES" "$@"
  case $DBBACKUP_TLS_MODE in
    require) set -- --ssl --tlsInsecure "$@" ;;
    verify-ca) set -- --ssl --sslAllowInvalidHostnames "$@" ;;
    verify-full) set -- --ssl "$@" ;;
  esac
  "$program" "--host=$DBBACKUP_HOST" "--port=$DBBACKUP_PORT" "$@"
}

dump() {
  [ -z "$DBBACKUP_DATABASE" ] || set -- "--db=$DBBACKUP_DATABASE" "$@"
  with mongodump "$@" --archive
}
`;

/** Bytes at an archive's beginning that name its collections; the log of changes is named last. */
const listBytes = 16 * 1024 * 1024;

/** Whether the file begins with the list of an archive that has the log of changes of its own time (--oplog). */
export const hasOplog = `tr '\\000' '_' | LC_ALL=C grep -aq 'db.\\{7\\}collection.\\{5\\}oplog_'`;

export const mongodbRestore = `
${heredoc('ask_count', count)}
${heredoc('ask_empty', empty)}
contents() {
  command -v mongosh > /dev/null || { echo "run mongosh: the image has no such program, and mongorestore cannot tell whether the target is empty" >&2; return 1; }
  said=$(ask_count)
  judge "$said"
  printf '%s\\n' "$said" | sed -n 's/^ok //p'
}

can_restore() {
  command -v mongorestore > /dev/null || refuse ${code('ConfigInvalid')} "run mongorestore: the image has no such program"
}

clear() {
  touches
  said=$(ask_empty)
  case $said in *'ok '*) ;; *) printf '%s\\n' "$said" >&2; return 1 ;; esac
}

# A name as a word of mongorestore's patterns.
literally() {
  printf '%s' "$1" | sed 's/[*\\\\]/\\\\&/g'
}

# An archive goes into the database that it names, unless it is told otherwise.
restore() {
  case $DBBACKUP_DATABASE in
    '' | "$dumped_database") ;;
    *) set -- "--nsInclude=$(literally "$dumped_database").*" "--nsFrom=$(literally "$dumped_database").*" "--nsTo=$(literally "$DBBACKUP_DATABASE").*" "$@" ;;
  esac
  head -c ${listBytes} > "$TEMPORARY/list"
  if cat "$TEMPORARY/list" | ${hasOplog}; then set -- --oplogReplay "$@"; fi
  cat "$TEMPORARY/list" - | with mongorestore --archive --stopOnError "$@"
}
`;
