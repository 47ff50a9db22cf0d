// OpenBao: a raft snapshot, which holds all of a server in its encrypted form. The unseal keys are not in it.
import type { ByHand, Engine } from './engine.ts';
import { openbaoRestore, openbaoShell } from './openbao-shell.ts';
import { openbaoSnapshot } from './openbao-snapshot.ts';

const stop = (problem: string, fix: string): string =>
  `{ printf '%s\\n' "restore stopped: ${problem}; fix: ${fix}" >&2; exit 1; }`;

const byHand: ByHand = {
  tools: ['bao'],
  checks: [
    ': "${BAO_ADDR:?set BAO_ADDR to the address of the server to restore into}"',
    ': "${BAO_TOKEN:?set BAO_TOKEN to a root token of that server}"',
    `bao token lookup > /dev/null || ${stop('cannot log in to $BAO_ADDR', 'set BAO_ADDR and BAO_TOKEN, and BAO_CACERT where the certificate needs it; initialize and unseal the server first')}`,
    `engines=$(bao secrets list -format=json) && methods=$(bao auth list -format=json) || ${stop('cannot look at what $BAO_ADDR holds', 'set BAO_TOKEN to a root token')}`,
    `used=$(printf '%s\\n%s\\n' "$engines" "$methods" | sed -n 's/^  "\\(.*\\)\\/": {$/\\1/p' | grep -cvxE 'cubbyhole|identity|sys|token') || true`,
    `[ "$used" = 0 ] || [ "\${DBBACKUP_RESTORE_NONEMPTY:-}" = 1 ] || ${stop('$BAO_ADDR is in use, it has $used secret engines and login methods of its own', 'restore into a new server, or set DBBACKUP_RESTORE_NONEMPTY=1 to replace all that this one holds')}`,
  ],
  command: 'bao operator raft snapshot restore -force "$dump"',
  target: '$BAO_ADDR; it is sealed now, unseal it with the keys of the snapshot',
  exports: [
    'export BAO_ADDR=https://...:8200   # a new server, initialized and unsealed; BAO_CACERT where its certificate needs it',
    'export BAO_TOKEN=...               # its root token',
  ],
  fix: 'look at the message above and at the log of the server',
};

export const openbao: Engine = {
  hasDatabases: false,
  defaultPort: 8200,
  secretKeys: {},
  optionalKeys: [],
  mayLackLogin: false,
  dumpFormat: () => 'raft-snapshot',
  endMarker: openbaoSnapshot,
  variables: ({ host, port }) => [
    { name: 'DBBACKUP_HOST', value: host },
    { name: 'DBBACKUP_PORT', value: String(port) },
    { name: 'LC_ALL', value: 'C' },
  ],
  allowedArguments: () => ({}),
  shell: openbaoShell,
  restoreShell: openbaoRestore,
  byHand: () => byHand,
};
