// The dump container's program: a frame of POSIX shell around the engine's own part. It holds no value of a manifest; those come as
// variables and files. Whatever happens it ends, and says how in the exit file.
import { paths, runFiles } from '../contract.ts';
import { reasons } from '../reasons.ts';
import type { Engine } from './engine.ts';

/** Seconds between two looks at the executor, and how many looks with one heartbeat mean that it is gone. */
const lookSeconds = 2;
const deadAfterLooks = 30;

const frame = (engineShell: string, root: string): string => `
set -u
umask 077
RUN=${root}${paths.run}
KEYS=${root}${paths.databaseSecret}
TEMPORARY=${root}${paths.dumpTemporary}

# finish CODE REASON: the exit file appears whole, then the container ends.
finish() {
  printf '%s %s\\n' "$1" "$2" > "$RUN/${runFiles.exit}.part"
  mv "$RUN/${runFiles.exit}.part" "$RUN/${runFiles.exit}"
  exit "$1"
}

# refuse CODE REASON SENTENCE
refuse() {
  printf '%s\\n' "$3" >&2
  printf '%s\\n' "$3" | tail -c 1000 > "$RUN/${runFiles.error}"
  finish "$1" "$2"
}

need() {
  [ -n "$(cat "$KEYS/$1" 2> /dev/null)" ] || refuse ${reasons.SecretInvalid.exitCode} SecretInvalid "read Secret \\"$DBBACKUP_SECRET\\": key \\"$1\\" is missing or empty"
}

tell() {
  printf '%s=%s\\n' "$1" "$(printf '%s' "$2" | tr -d '\\n')" >> "$RUN/${runFiles.facts}.part"
}

# Ends everything here when the executor has given up or its heartbeat stands still. Init (this shell) is not hit by kill -1.
watch_executor() {
  last= looks=0
  while sleep ${lookSeconds}; do
    beat=$(cat "$RUN/${runFiles.heartbeat}" 2> /dev/null)
    if [ "$beat" = "$last" ]; then looks=$((looks + 1)); else looks=0 last=$beat; fi
    if [ -e "$RUN/${runFiles.abort}" ] || [ "$looks" -ge ${deadAfterLooks} ]; then
      echo "the executor has given up or is gone: ending the dump" >&2
      kill -TERM -1
      sleep 5
      kill -KILL -1
    fi
  done
}

${engineShell}

if [ -e "$RUN/${runFiles.committed}" ]; then
  echo "this run's snapshot is committed already: nothing to dump"
  exit 0
fi
[ -p "$RUN/${runFiles.fifo}" ] || refuse ${reasons.DumpFailed.exitCode} DumpFailed "open $RUN/${runFiles.fifo}: it is not a FIFO"
trap 'kill -TERM -1; refuse ${reasons.Canceled.exitCode} Canceled "the dump was told to stop"' TERM INT
watch_executor &
: > "$TEMPORARY/stderr"
log_in
tell startedAt "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
mv "$RUN/${runFiles.facts}.part" "$RUN/${runFiles.facts}"
( dump "$@" ) > "$RUN/${runFiles.fifo}" 2> "$TEMPORARY/stderr" &
wait $!
code=$?
cat "$TEMPORARY/stderr" >&2
[ "$code" -eq 0 ] && finish 0 -
refuse ${reasons.DumpFailed.exitCode} DumpFailed "the dump tool ended with exit code $code: $(tail -c 800 "$TEMPORARY/stderr" | tr '\\n' ' ')"
`;

/**
 * The argument of \`sh -c\`; escape with contract.literal before it goes into a pod.
 * @param root what every path is put below: nothing in a pod; outside one a folder whose name needs no quoting
 */
export function dumpScript(engine: Engine, root = ''): string {
  return frame(engine.shell, root).trim();
}
