// The condition table as data: for each state of a DatabaseBackup its conditions, and what Flux and Argo CD make of them.

export interface Row {
  /** All conditions, sorted, each as `Type=Status Reason`. */
  conditions: readonly string[];
  kstatus: 'InProgress' | 'Current' | 'Failed' | 'Terminating';
  argocd: 'Progressing' | 'Healthy' | 'Degraded';
  /** A part of Argo CD's message. */
  says: string;
}

const accepted = 'Ready=True Accepted';
const never = 'BackupHealthy=Unknown NeverSucceeded';
const works = 'BackupHealthy=True LastRunSucceeded';
const pruned = 'Retained=True Pruned';
const fails = (reason: string): string => `BackupHealthy=False ${reason}`;

/** Nobody has looked at the spec as it is now. */
const unseen = { kstatus: 'InProgress', argocd: 'Progressing', says: 'Waiting for the controller' } as const;
const good = { kstatus: 'Current', argocd: 'Healthy' } as const;
/** A failed backup is said and blocks nothing. */
const failed = (reason: string, message: string): Row => ({
  ...good,
  conditions: [fails(reason), accepted],
  says: `LAST BACKUP FAILED: ${message}`,
});
/** The change waits for its backup, however that comes along. */
const gatePending = (progress: string, ...more: string[]): Row => ({
  conditions: [never, ...more, 'Ready=False GatePending', 'Reconciling=True GatePending'],
  kstatus: 'InProgress',
  argocd: 'Progressing',
  says: `Waiting for a backup before the change to "postgres:16.4": ${progress}`,
});
const gateFailed = (reason: string, message: string): Row => ({
  conditions: [fails(reason), 'Ready=False GateFailed', 'Stalled=True GateFailed'],
  kstatus: 'Failed',
  argocd: 'Degraded',
  says: `the backup before the change to "postgres:16.4" failed: ${message}`,
});

const table = {
  'not observed yet': { ...unseen, conditions: [] },
  'changed, and not observed yet': { ...unseen, conditions: [never, accepted] },
  'new, and nothing has run': { ...good, conditions: [never, accepted], says: 'No backup has succeeded yet' },
  idle: { ...good, conditions: [works, accepted, pruned], says: 'Last backup 2' },
  'scheduled run running': { ...good, conditions: [never, accepted], says: 'No backup has succeeded yet' },
  'manual run running': { ...good, conditions: [works, accepted, pruned], says: 'Last backup 2' },
  'manual run running after one that failed': failed('DumpFailed', 'The dump did not end well'),
  suspended: { ...good, conditions: [never, accepted], says: 'The schedule is suspended' },
  'waiting for the lock': {
    ...good,
    conditions: [never, 'Locked=True LockHeld', accepted],
    says: 'Waiting for the lock, Lease dbbackup-orders-db, held by "migration" since',
  },
  'pruning failed': { ...good, conditions: [works, accepted, 'Retained=False PruneFailed'], says: 'Last backup 2' },
  overdue: failed('Overdue', 'The window of 2'),
  'last run failed': failed('DumpFailed', 'The dump did not end well'),
  'Secret missing': failed(
    'SecretInvalid',
    'A Secret or one of its keys is missing or empty: read Secret "s3-credentials": key "AWS_ACCESS_KEY_ID" is missing or empty',
  ),
  'PVC missing': failed(
    'Unschedulable',
    'The pod was not made, or no node could take it: persistentvolumeclaim "orders" not found',
  ),
  'quota for Jobs exceeded': failed('JobRefused', ''),
  'quota for pods exceeded': failed('Unschedulable', 'The pod was not made, or no node could take it: '),
  'name conflict': failed('NameConflict', 'Job "orders-t-'),
  'service account not allowed': failed('ServiceAccountNotAllowed', 'The service account may not be used for backups'),
  'stored spec no longer valid': {
    conditions: [never, 'Ready=False InvalidSpec', 'Stalled=True InvalidSpec'],
    kstatus: 'Failed',
    argocd: 'Degraded',
    says: 'spec.timeZone',
  },
  'first install with a gate': { ...good, conditions: [never, accepted], says: 'No backup has succeeded yet' },
  'gate pending': gatePending('Job orders-t-'),
  'gate running': gatePending('Job orders-t-'),
  'gate retrying': gatePending('Job orders-t-'),
  'gate waiting for the lock': gatePending('its Job waits for its turn', 'Locked=True LockHeld'),
  'gate satisfied': { ...good, conditions: [works, accepted, pruned], says: 'Last backup 2' },
  'gate failed for good, Block': gateFailed('DumpFailed', 'DumpFailed: The dump did not end well'),
  'gate timed out, Block': gateFailed('GateFailed', 'no backup was committed within 60 s'),
  'gate failed, Allow': {
    ...failed('DumpFailed', 'The dump did not end well'),
    conditions: [fails('DumpFailed'), 'Ready=True GateOverridden'],
  },
  'gate timed out, Allow': {
    ...failed('GateFailed', 'no backup was committed within 60 s'),
    conditions: [fails('GateFailed'), 'Ready=True GateOverridden'],
  },
  'being deleted': {
    conditions: [never, accepted],
    kstatus: 'Terminating',
    argocd: 'Progressing',
    says: 'Pending deletion',
  },
} as const satisfies Record<string, Row>;

export type State = keyof typeof table;

export const rows: Readonly<Record<State, Row>> = table;

export const states = Object.keys(table) as readonly State[];
