// The POSIX shell script of `restore-locate -o shell`: it restores one snapshot with stock tools and without dbbackup. Pure.

import { quote } from '../../crds/rules/engines/quote.ts';
import { contentName } from '../content.ts';
import { fetchersOf } from './place.ts';
import type { Plan } from './plan.ts';
import { fetching } from './script-storage.ts';

// Set here and used below; whatever comes from the cluster is one quoted word, never code.
function values(plan: Plan): string {
  const { snapshot } = plan;
  const entries: [string, string][] = [
    ['id', snapshot.id],
    ['key', plan.key],
    ['path', plan.path],
    ['status_size', snapshot.details?.storedSize?.toString() ?? ''],
    ['status_sha256', snapshot.details?.sha256 ?? ''],
    ['format', plan.dumpFormat],
    ['source', `${contentName(plan.source)} on ${plan.source.host}`],
  ];
  return entries.map(([name, value]) => `${name}=${quote(value)}`).join('\n');
}

const frame = `
work=
say() { printf '%s\\n' "$@" >&2; }
# stop WHAT FIX
stop() {
  say "restore stopped: $1" "fix: $2"
  exit 1
}
clean() { [ -z "$work" ] || rm -rf "$work"; }
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

need() { command -v "$1" > /dev/null 2>&1 || stop "the program $1 is missing" "install $1"; }
need_identity() {
  need age
  [ -n "\${AGE_IDENTITY_FILE:-}" ] || stop "AGE_IDENTITY_FILE is not set and the snapshot is encrypted" "set it to the file with the age identity of one of the recipients"
  [ -r "$AGE_IDENTITY_FILE" ] || stop "cannot read AGE_IDENTITY_FILE $AGE_IDENTITY_FILE" "set it to the file with the age identity"
}
bytes() { wc -c < "$1" | tr -d ' '; }
digest() {
  if command -v sha256sum > /dev/null 2>&1; then sha256sum < "$1"; else shasum -a 256 < "$1"; fi | cut -c 1-64
}
# field NAME: one of the manifest, which has one a line.
field() {
  sed -n 's/^  "'"$1"'": "\\{0,1\\}\\([^",]*\\)"\\{0,1\\},\\{0,1\\}$/\\1/p' "$work/manifest" | sed -n 1p
}
is_number() { case $1 in '' | *[!0-9]* | ????????????????*) return 1 ;; esac; }
is_digest() { case $1 in *[!0-9a-f]*) return 1 ;; esac; [ \${#1} -eq 64 ]; }
# same WHAT FILE SIZE SHA256
same() {
  has=$(bytes "$2")
  [ "$has" = "$3" ] || stop "the $1 has $has bytes, its manifest says $3: it is cut or damaged" "restore another snapshot"
  has=$(digest "$2")
  [ "$has" = "$4" ] || stop "the $1 has the sha256 $has, its manifest says $4: it is damaged" "restore another snapshot"
}
`;

const readManifest = `
read_manifest() {
  [ "$(bytes "$work/manifest")" -le 65536 ] || stop "the manifest is longer than any of ours" "check the key $key.json"
  [ "$(field formatVersion)" = 1 ] || stop "the manifest is none of format version 1" "use the newest kubectl dbbackup, and check the key $key.json"
  [ "$(field id)" = "$id" ] && [ "$(field key)" = "$key" ] || stop "the manifest speaks of another snapshot" "check the key $key.json"
  stored_size=$(field storedSize) stored_sha256=$(field storedSha256)
  plain_size=$(field plainSize) plain_sha256=$(field plainSha256)
  compression=$(field compression) encryption=$(field encryption)
  has=$(field dumpFormat)
  [ "$has" = "$format" ] || stop "the snapshot is a dump of format $has, and the backup makes $format now" "restore it by the lines in its manifest, $key.json"
  is_number "$stored_size" && is_number "$plain_size" && is_digest "$stored_sha256" && is_digest "$plain_sha256" ||
    stop "the manifest lacks a size or a sha256" "check the key $key.json"
  [ -z "$status_size" ] || [ "$status_size" = "$stored_size" ] || stop "the manifest says $stored_size bytes, the cluster says $status_size" "find out who changed the store"
  [ -z "$status_sha256" ] || [ "$status_sha256" = "$stored_sha256" ] || stop "the manifest says sha256 $stored_sha256, the cluster says $status_sha256" "find out who changed the store"
  case $encryption in
    age) need_identity ;;
    none) ;;
    *) stop "the manifest names an encryption that this script does not know" "use the newest kubectl dbbackup" ;;
  esac
  case $compression in
    zstd | gzip) need "$compression" ;;
    none) ;;
    *) stop "the manifest names a compression that this script does not know" "use the newest kubectl dbbackup" ;;
  esac
  say "snapshot $id of $source, dump started at $(field dumpStartedAt | tr -cd '0-9A-Za-z:.+-')"
}
# Downloaded, decrypted and decompressed lie side by side for a while.
check_room() {
  wanted=$(((stored_size + plain_size) / 1024 + 1024))
  free=$(df -Pk "$work" 2> /dev/null | sed -n '2s/.* \\([0-9][0-9]*\\)  *[0-9]*%.*/\\1/p')
  is_number "$free" || return 0
  [ "$free" -ge "$wanted" ] || stop "$work needs $wanted KiB and has $free KiB" "set TMPDIR to a directory with more room"
}
`;

/** Step by step through files: sh has no pipefail, and a failure in the middle of a pipe would go unseen. */
const unpack = `
unpack() {
  dump=$data
  if [ "$encryption" = age ]; then
    say "decrypting"
    age -d -i "$AGE_IDENTITY_FILE" < "$dump" > "$work/decrypted" || stop "age could not decrypt the snapshot" "set AGE_IDENTITY_FILE to the identity of one of the recipients"
    drop "$dump"
    dump=$work/decrypted
  fi
  case $compression in
    zstd)
      say "decompressing"
      zstd -q -d -c < "$dump" > "$work/dump" || stop "zstd could not decompress the snapshot" "look at the message above; make room in TMPDIR or restore another snapshot"
      ;;
    gzip)
      say "decompressing"
      gzip -d -c < "$dump" > "$work/dump" || stop "gzip could not decompress the snapshot" "look at the message above; make room in TMPDIR or restore another snapshot"
      ;;
  esac
  if [ "$compression" != none ]; then
    drop "$dump"
    dump=$work/dump
  fi
}
# Only our own copies are removed.
drop() { case $1 in "$work"/*) rm -f "$1" ;; esac; }
`;

/** What is needed whatever the manifest says; only it knows how an older snapshot was compressed and encrypted. */
function certain({ byHand, place, snapshot }: Plan): string[] {
  const tools = [...fetchersOf(place), ...byHand.tools];
  return [
    ...tools.map((tool) => `need ${tool}`),
    'command -v sha256sum > /dev/null 2>&1 || need shasum',
    ...(snapshot.details?.encrypted === true ? ['need_identity'] : []),
  ];
}

function restore(plan: Plan): string {
  const { byHand } = plan;
  const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}`).join('\n');
  return `
restore() {
${indented(certain(plan))}
  check_storage
${indented(byHand.checks)}
  work=$(mktemp -d "\${TMPDIR:-/tmp}/dbbackup-restore.XXXXXX") || stop "cannot make a directory in \${TMPDIR:-/tmp}" "set TMPDIR to a directory with room"
  fetch_manifest
  read_manifest
  check_room
  fetch_data
  same "stored snapshot" "$data" "$stored_size" "$stored_sha256"
  unpack
  same "dump" "$dump" "$plain_size" "$plain_sha256"
  say "restoring into ${byHand.target}"
  ${byHand.command} || stop "the restore into ${byHand.target} failed" ${quote(byHand.fix)}
  printf '%s\\n' "restored snapshot $id into ${byHand.target}"
}
`;
}

/** The last line starts everything, so that a script that was cut on its way does nothing. Programs read nothing of the script. */
export function restoreScript(plan: Plan): string {
  const parts = [frame, fetching(plan), readManifest, unpack, restore(plan)];
  return `# Restores one snapshot of dbbackup into the database of the client's own variables, with stock tools only.
set -eu
umask 077

${values(plan)}
${parts.map((part) => part.trimEnd()).join('\n')}

restore < /dev/null
`;
}

/** For \`... -o shell | sh\`: without it a failure of ours would be an empty script, and that succeeds. */
export const failingScript = `echo 'kubectl dbbackup restore-locate failed: nothing was restored' >&2
exit 1
`;
