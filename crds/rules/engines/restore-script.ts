// The restore container's program: the mirror of script.ts. It holds no value of a manifest; those come as variables and files. The tool sees
// the end of its input only when the executor has said that every byte was given and right; until then this shell holds the FIFO open, so that
// an executor that dies ends the tool and never its input.
import { paths, runFiles } from '../contract.ts';
import { reasons } from '../reasons.ts';
import type { Engine } from './engine.ts';

/** Seconds between two looks at the executor, and how many looks with one heartbeat mean that it is gone. */
const lookSeconds = 2;
const deadAfterLooks = 30;

/** Formats that are restored in one transaction: a restore that did not end well has changed nothing. */
const inOneTransaction: ReadonlySet<string> = new Set(['pg_dump-custom']);

/** Whether a restore of this format leaves the target as it was when it fails. One that clears the target first never does. */
export function isAtomic(dumpFormat: string): boolean {
  return inOneTransaction.has(dumpFormat);
}

const code = (reason: keyof typeof reasons): string => `${reasons[reason].exitCode} ${reason}`;

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
  [ -n "$(cat "$KEYS/$1" 2> /dev/null)" ] || refuse ${code('SecretInvalid')} "read Secret \\"$DBBACKUP_SECRET\\": key \\"$1\\" is missing or empty"
}

have() {
  [ -n "$(cat "$KEYS/$1" 2> /dev/null)" ]
}

tell() {
  printf '%s=%s\\n' "$1" "$(printf '%s' "$2" | tr -d '\\n')" >> "$RUN/${runFiles.facts}.part"
}

said() {
  tail -c 800 "$TEMPORARY/stderr" | tr '\\n' ' '
}

nap() {
  sleep 0.2 2> /dev/null || sleep 1
}

# Tells the executor that this container lives, and ends everything here when the executor has given up or its heartbeat stands still.
# Init (this shell) is not hit by kill -1.
watch_executor() {
  last= looks=0 count=0
  while :; do
    count=$((count + 1))
    printf '%s' "$count" > "$RUN/${runFiles.alive}"
    sleep ${lookSeconds}
    beat=$(cat "$RUN/${runFiles.heartbeat}" 2> /dev/null)
    if [ "$beat" = "$last" ]; then looks=$((looks + 1)); else looks=0 last=$beat; fi
    if [ -e "$RUN/${runFiles.abort}" ] || [ "$looks" -ge ${deadAfterLooks} ]; then
      echo "the executor has given up or is gone: ending the restore" >&2
      : > "$TEMPORARY/gone"
      kill -TERM -1
      sleep 5
      kill -KILL -1
    fi
  done
}

stop_if_gone() {
  [ ! -e "$TEMPORARY/gone" ] || refuse ${code('RestoreFailed')} "the executor has given up or is gone: nothing was restored"
}

${engineShell}

[ -p "$RUN/${runFiles.fifo}" ] || refuse ${code('RestoreFailed')} "open $RUN/${runFiles.fifo}: it is not a FIFO"
trap 'kill -TERM -1; refuse ${code('Canceled')} "the restore was told to stop"' TERM INT
watch_executor &
: > "$TEMPORARY/stderr"
log_in
things=$(contents 2>> "$TEMPORARY/stderr") || refuse ${code('RestoreFailed')} "look whether the target is empty: $(said)"
tell contents "$things"
mv "$RUN/${runFiles.facts}.part" "$RUN/${runFiles.facts}"
while [ ! -e "$RUN/${runFiles.verdict}" ]; do
  stop_if_gone
  nap
done
case $(cat "$RUN/${runFiles.verdict}") in
  restore) ;;
  overwrite) clear 2>> "$TEMPORARY/stderr" || refuse ${code('RestoreFailed')} "empty the target: $(said)" ;;
  *) finish 0 - ;;
esac
: > "$TEMPORARY/stderr"
released=
trap 'exec 3>&-; released=1' USR1
exec 3<> "$RUN/${runFiles.fifo}"
( restore "$@" ) < "$RUN/${runFiles.fifo}" 3>&- 2> "$TEMPORARY/stderr" &
tool=$!
( while [ ! -e "$RUN/${runFiles.complete}" ]; do nap; done; kill -USR1 $$ ) 3>&- &
wait "$tool"
code=$?
# A wait that the signal broke is taken up again.
if [ "$code" -gt 128 ] && [ -n "$released" ]; then
  wait "$tool"
  code=$?
fi
cat "$TEMPORARY/stderr" >&2
[ "$code" -eq 0 ] && finish 0 -
refuse ${code('RestoreFailed')} "the restore tool ended with exit code $code: $(said)"
`;

// Until engines bring their own part.
const postgresRestore = `
contents() {
  psql -XAtqw -v ON_ERROR_STOP=1 -c "select (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) + (select count(*) from pg_largeobject_metadata)"
}

clear() {
  psql -Xqw -v ON_ERROR_STOP=1 --single-transaction -c "do \\$\\$ declare s text; begin for s in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop execute format('drop schema %I cascade', s); end loop; end \\$\\$" -c 'create schema public' -c 'select lo_unlink(oid) from pg_largeobject_metadata' > "$TEMPORARY/cleared"
}

restore() {
  exec pg_restore -w --exit-on-error --single-transaction "$@" --dbname=
}
`;

/**
 * The argument of \`sh -c\`; escape with contract.literal before it goes into a pod.
 * @param root what every path is put below: nothing in a pod; outside one a folder whose name needs no quoting
 */
export function restoreScript(engine: Engine & { restoreShell?: string }, root = ''): string {
  return frame(`${engine.shell}\n${engine.restoreShell ?? postgresRestore}`, root).trim();
}
