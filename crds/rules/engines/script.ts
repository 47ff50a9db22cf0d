// The programs of the container that talks to the database: a frame of POSIX shell around the engine's own part. They hold no value of a
// manifest; those come as variables and files. Whatever happens they end, and say how in the exit file.
import { paths, runFiles, untouched } from '../contract.ts';
import { type Reason, reasons } from '../reasons.ts';
import type { Engine } from './engine.ts';
import { restoreMain } from './restore-script.ts';

/** Seconds between two looks at the executor, and how many looks with one heartbeat mean that it is gone. */
const lookSeconds = 2;
const deadAfterLooks = 30;

/** Shorter values would strike out parts of ordinary words. */
const shortestSecret = 4;

/** The two words of `refuse` and `finish` for a reason. */
export const code = (reason: Reason): string => `${reasons[reason].exitCode} ${reason}`;

const frame = (engineShell: string, root: string): string => `
set -u
umask 077
RUN=${root}${paths.run}
KEYS=${root}${paths.databaseSecret}
TOKEN=${root}${paths.databaseToken}/token
TEMPORARY=${root}${paths.dumpTemporary}
AUTHORITIES=

# finish CODE REASON: the exit file appears whole, then the container ends.
finish() {
  printf '%s %s\\n' "$1" "$2" > "$RUN/${runFiles.exit}.part"
  mv "$RUN/${runFiles.exit}.part" "$RUN/${runFiles.exit}"
  exit "$1"
}

# struck: standard input without secrets: password and token, or where no key is known as such the values of all; each line by itself. Awk reads
# them from their files and compares, so that none is an argument or a pattern; the longest first, since one may be a part of another.
struck() {
  command -v awk > /dev/null || return 1
  set -- "$TOKEN"
  for key in "$DBBACKUP_PASSWORD_KEY" "$DBBACKUP_TOKEN_KEY"; do [ -z "$key" ] || set -- "$@" "$KEYS/$key"; done
  [ "$#" -gt 1 ] || set -- "$@" "$KEYS"/*
  LC_ALL=C awk '
    function add(line, at) {
      sub(/\\r$/, "", line)
      if (length(line) < ${shortestSecret}) return
      for (at = ++count; at > 1 && length(secrets[at - 1]) < length(line); at--) secrets[at] = secrets[at - 1]
      secrets[at] = line
    }
    function strike(text, secret, at, clean) {
      clean = ""
      while ((at = index(text, secret)) > 0) {
        clean = clean substr(text, 1, at - 1) "[secret]"
        text = substr(text, at + length(secret))
      }
      return clean text
    }
    BEGIN {
      for (file = 1; file < ARGC; file++) while ((getline line < ARGV[file]) > 0) add(line)
      ARGC = 1
    }
    {
      text = $0
      for (one = 1; one <= count; one++) text = strike(text, secrets[one])
      print text
    }' "$@"
}

# words: what the tool said, the last megabyte of it: the executor waits for the end of this container.
words() {
  tail -c 1000000 "$TEMPORARY/stderr" | struck || echo 'its words are not shown: the image has no awk, which would strike out secrets'
}

# complaint: their end, on one line, as much as a result takes.
complaint() {
  words | tail -c 600 | tr '\\n' ' '
}

# refuse CODE REASON SENTENCE. A restore says as well when it has destroyed nothing, see restore-script.ts.
refuse() {
  sentence=$(printf '%s\\n' "$3" | struck) || sentence=$3
  printf '%s\\n' "$sentence" >&2
  printf '%s\\n' "$sentence" | tail -c 1000 > "$RUN/${runFiles.error}"
  finish "$1" "$2$([ ! -e "$TEMPORARY/untouched" ] || echo ' ${untouched}')"
}

# have KEY: it is there and not empty.
have() {
  [ -n "$1" ] && [ -n "$(cat "$KEYS/$1" 2> /dev/null)" ]
}

need() {
  have "$1" || refuse ${code('SecretInvalid')} "read Secret \\"$DBBACKUP_SECRET\\": key \\"$1\\" is missing or empty"
}

tell() {
  printf '%s=%s\\n' "$1" "$(printf '%s' "$2" | tr -d '\\n')" >> "$RUN/${runFiles.facts}.part"
}

# The authorities of the server's certificate. What was named and is not there is not passed over.
find_authorities() {
  [ -n "$DBBACKUP_TLS_AUTHORITIES" ] || return 0
  AUTHORITIES=${root}${paths.databaseAuthorities}/ca.crt
  [ -s "$AUTHORITIES" ] || refuse ${code('SecretInvalid')} "read the authorities of spec.database.tls.ca: $DBBACKUP_TLS_AUTHORITIES is missing or empty"
}

# Ends everything here when the executor has given up or its heartbeat stands still. Init (this shell) is not hit by kill -1.
watch_executor() {
  last= looks=0
  while sleep ${lookSeconds}; do
    beat=$(cat "$RUN/${runFiles.heartbeat}" 2> /dev/null)
    if [ "$beat" = "$last" ]; then looks=$((looks + 1)); else looks=0 last=$beat; fi
    if [ -e "$RUN/${runFiles.abort}" ] || [ "$looks" -ge ${deadAfterLooks} ]; then
      echo "the executor has given up or is gone: ending here" >&2
      : > "$TEMPORARY/gone"
      kill -TERM -1
      sleep 5
      kill -KILL -1
    fi
  done
}

${engineShell}
`;

const dumpMain = `
if [ -e "$RUN/${runFiles.committed}" ]; then
  echo "this run's snapshot is committed already: nothing to dump"
  exit 0
fi
[ -p "$RUN/${runFiles.fifo}" ] || refuse ${code('DumpFailed')} "open $RUN/${runFiles.fifo}: it is not a FIFO"
trap 'kill -TERM -1; refuse ${code('Canceled')} "the dump was told to stop"' TERM INT
watch_executor &
: > "$TEMPORARY/stderr"
find_authorities
log_in
preflight "$@"
tell startedAt "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
mv "$RUN/${runFiles.facts}.part" "$RUN/${runFiles.facts}"
( dump "$@" ) > "$RUN/${runFiles.fifo}" 2> "$TEMPORARY/stderr" &
wait $!
code=$?
words >&2
[ "$code" -eq 0 ] && finish 0 -
refuse ${code('DumpFailed')} "the dump tool ended with exit code $code: $(complaint)"
`;

/**
 * The argument of \`sh -c\`; escape with contract.literal before it goes into a pod.
 * @param root what every path is put below: nothing in a pod; outside one a folder whose name needs no quoting
 */
export function dumpScript(engine: Engine, root = ''): string {
  return `${frame(engine.shell, root)}${dumpMain}`.trim();
}

/** The same for the container that restores: it reads the dump from the FIFO when the executor has told it to. */
export function restoreScript(engine: Engine, root = ''): string {
  return `${frame(`${engine.shell}\n${engine.restoreShell}`, root)}${restoreMain(code)}`.trim();
}
