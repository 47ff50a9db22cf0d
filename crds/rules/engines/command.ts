// Anything else: a program of the image that writes a dump to standard output, and one that reads it back. Both are words of the manifest
// that no shell reads. What a whole dump looks like only the program knows: its exit code decides, and an empty one is none.
import type { ByHand, Engine } from './engine.ts';
import { quote, word } from './quote.ts';
import { code } from './script.ts';

const shell = `
# The command finds the keys of the Secret as files.
log_in() {
  set -- "$KEYS"/*
  [ -z "$DBBACKUP_SECRET" ] || [ -e "$1" ] || refuse ${code('SecretInvalid')} "read Secret \\"$DBBACKUP_SECRET\\": it is missing or has no keys"
  DBBACKUP_KEYS=$KEYS DBBACKUP_AUTHORITIES=$AUTHORITIES
  export DBBACKUP_KEYS DBBACKUP_AUTHORITIES
  tell serverVersion ''
  tell toolVersion ''
  tell identity ''
}

preflight() {
  command -v "\${1:-}" > /dev/null || refuse ${code('ConfigInvalid')} "run \\"\${1:-}\\", the first word of spec.database.command: spec.database.image has no such program"
}

dump() {
  exec "$@"
}
`;

// What a target holds only the command knows: to us it is empty.
const restoreShell = `
contents() {
  command -v "$DBBACKUP_RESTORE_PROGRAM" > /dev/null || { echo "run \\"$DBBACKUP_RESTORE_PROGRAM\\", the first word of spec.database.restoreCommand: the image has no such program" >&2; return 1; }
  echo 0
}

can_restore() {
  :
}

# What goes and when only the command knows.
clear() {
  touches
}

restore() {
  exec "$@"
}
`;

function byHand({ restoreCommand = [] }: { restoreCommand?: string[] }): ByHand {
  const [program = ''] = restoreCommand;
  return {
    tools: [word(program)],
    checks: [
      `command -v ${quote(program)} > /dev/null || { printf '%s\\n' "restore stopped: the first word of spec.database.restoreCommand is no program here; fix: run this in spec.database.image" >&2; exit 1; }`,
    ],
    // `command`: a function of the script around it, such as restore, may have the program's name.
    command: `command ${restoreCommand.map(quote).join(' ')} < "$dump"`,
    target: 'what spec.database.restoreCommand writes to',
    exports: [
      'export DBBACKUP_HOST=... DBBACKUP_PORT=... DBBACKUP_KEYS=...   # what the restore command reads of them',
    ],
    fix: 'look at the message of the restore command above',
  };
}

export const command: Engine = {
  hasDatabases: false,
  defaultPort: 0,
  secretKeys: {},
  optionalKeys: [],
  mayLackLogin: true,
  dumpFormat: () => 'command',
  endMarker: () => ({ push: () => {}, end: () => {} }),
  variables: ({ host, port, restoreCommand = [] }) => [
    { name: 'DBBACKUP_HOST', value: host },
    { name: 'DBBACKUP_PORT', value: String(port) },
    { name: 'DBBACKUP_RESTORE_PROGRAM', value: restoreCommand[0] ?? '' },
  ],
  allowedArguments: () => ({}),
  shell,
  restoreShell,
  byHand,
};
