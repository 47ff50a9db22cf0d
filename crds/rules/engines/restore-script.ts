// What the restore container does within the frame of script.ts, once the engine has logged in. The tool sees the end of its input only when
// the executor has said that every byte was given and right; until then this shell holds the FIFO open, so that an executor that dies ends
// the tool and never its input: to a tool that reads to the end, half a dump would be the whole.
import { runFiles } from '../contract.ts';
import type { Reason } from '../reasons.ts';

/** Formats that are restored in one transaction: a restore that did not end well has changed nothing. */
const inOneTransaction: ReadonlySet<string> = new Set(['pg_dump-custom']);

/** Whether a restore of this format leaves the target as it was when it fails. One that clears the target first never does. */
export function isAtomic(dumpFormat: string): boolean {
  return inOneTransaction.has(dumpFormat);
}

/** @param code gives the two words of `refuse` for a reason */
export const restoreMain = (code: (reason: Reason) => string): string => `
# Short ones at first: the executor needs a moment to choose, unless it has all of a snapshot to verify.
naps=0
nap() {
  naps=$((naps + 1))
  [ "$naps" -gt 20 ] && set -- 0.2 || set -- 0.05
  sleep "$1" 2> /dev/null || sleep 1
}

# How many things the target holds, as $things.
count_things() {
  things=$(contents 2>> "$TEMPORARY/stderr") || refuse ${code('RestoreFailed')} "look whether the target is empty: $(complaint)"
}

# touches: what follows may destroy something of the target. spares: it has not.
touches() {
  rm -f "$TEMPORARY/untouched"
}
spares() {
  : > "$TEMPORARY/untouched"
}

# major VERSION: its first number, such as 15 of "pg_dump (PostgreSQL) 15.18"; empty where it has none.
major() {
  printf '%s\\n' "$1" | sed -n 's/^[^0-9]*\\([0-9][0-9]*\\).*/\\1/p'
}

# Tells the executor that this container lives, also while the tool takes no bytes.
tell_alive() {
  count=0
  while :; do
    count=$((count + 1))
    printf '%s' "$count" > "$RUN/${runFiles.alive}"
    sleep 2
  done
}

[ -p "$RUN/${runFiles.fifo}" ] || refuse ${code('RestoreFailed')} "open $RUN/${runFiles.fifo}: it is not a FIFO"
trap 'kill -TERM -1; refuse ${code('Canceled')} "the restore was told to stop"' TERM INT
watch_executor &
tell_alive &
: > "$TEMPORARY/stderr"
find_authorities
log_in
count_things
tell contents "$things"
mv "$RUN/${runFiles.facts}.part" "$RUN/${runFiles.facts}"
while [ ! -e "$RUN/${runFiles.verdict}" ]; do
  [ ! -e "$TEMPORARY/gone" ] || refuse ${code('RestoreFailed')} "the executor has given up or is gone: nothing was restored"
  nap
done
{ read -r verdict; read -r DBBACKUP_IF_NOT_EMPTY; IFS= read -r dumped_database; IFS= read -r dumped_tool; } < "$RUN/${runFiles.verdict}"
export DBBACKUP_IF_NOT_EMPTY
case $verdict in
  restore)
    # The executor may have read all of a large snapshot meanwhile.
    count_things
    now="the target was empty and holds $things things now: nothing was restored"
    case $things:$DBBACKUP_IF_NOT_EMPTY in
      0:*) ;;
      *:Skip) refuse 0 TargetNotEmpty "$now" ;;
      *) refuse ${code('TargetNotEmpty')} "$now" ;;
    esac
    can_restore
    ;;
  overwrite)
    spares
    can_restore
    clear 2>> "$TEMPORARY/stderr" || refuse ${code('RestoreFailed')} "empty the target: $(complaint)"
    ;;
  refuse) refuse ${code('TargetNotEmpty')} "the target holds $things things already" ;;
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
words >&2
[ "$code" -eq 0 ] && finish 0 -
refuse ${code('RestoreFailed')} "the restore tool ended with exit code $code: $(complaint)"
`;
