// Every state of a DatabaseBackup in the one sentence that describe begins with, and the command it names.
import { expect, it } from 'vitest';
import type { Condition, DatabaseBackupStatus, RunStatus } from '../../crds/databasebackup.gen.ts';
import { situation, splitFix } from '../../plugin/situation.ts';
import { backup, healthy, type Overrides } from './objects.ts';

const now = new Date('2025-03-28T02:00:05Z');

const condition = (type: string, status: Condition['status'], reason: string, message: string): Condition => ({
  ...{ type, status, reason, message },
  lastTransitionTime: '2025-03-28T01:00:00Z',
});

const run: RunStatus = {
  ...{ trigger: 'Manual', token: 't', jobName: 'orders-t-1', jobUID: 'job-1', claimedAt: '2025-03-28T01:57:00Z' },
};

const failed: DatabaseBackupStatus = {
  ...healthy,
  ...{ phase: 'Failed', consecutiveFailures: 1, failureReason: 'DumpFailed' },
  failureMessage: 'The dump did not end well: exit code 1. Fix: read the log.',
};

const cases: [string, Overrides, object][] = [
  [
    'never given a status',
    { status: null },
    {
      tone: 'waiting',
      sentence: 'The controller has not looked at this backup yet: nothing is restorable yet.',
      fix: 'wait a few seconds; if this stays, check that the dbbackup controller is running',
      next: 'kubectl get databasebackup orders -n shop --context prod --watch',
      notes: [],
    },
  ],
  [
    'healthy',
    {},
    {
      tone: 'good',
      sentence: 'Backups work: the newest restorable snapshot is 26 h old.',
      next: 'kubectl dbbackup restore-locate orders -n shop --context prod',
      notes: [],
    },
  ],
  [
    'observed and never run',
    { status: { observedGeneration: 1 } },
    {
      tone: 'waiting',
      sentence: 'No backup has run: nothing is restorable yet.',
      next: 'kubectl dbbackup trigger orders --wait -n shop --context prod',
      notes: [],
    },
  ],
  [
    'held by a gate',
    { status: { ...healthy, conditions: [condition('Ready', 'False', 'GatePending', 'Waiting for a backup.')] } },
    {
      tone: 'waiting',
      sentence: 'A change waits for the backup before it (GatePending): the newest restorable snapshot is 26 h old.',
      message: 'Waiting for a backup.',
      next: 'kubectl get databasebackup orders -n shop --context prod --watch',
      notes: [],
    },
  ],
  [
    'blocked by a gate that failed',
    {
      status: {
        ...healthy,
        conditions: [condition('Ready', 'False', 'GateFailed', 'the backup failed. Fix: take one')],
      },
    },
    {
      tone: 'bad',
      sentence:
        'A change is held back: the backup before it failed (GateFailed): the newest restorable snapshot is 26 h old.',
      message: 'the backup failed.',
      fix: 'take one',
      next: 'kubectl dbbackup trigger orders --wait -n shop --context prod',
      notes: [],
    },
  ],
  [
    'past a gate that was overridden, in a place that is shared',
    {
      status: {
        ...healthy,
        conditions: [
          condition('Ready', 'True', 'GateOverridden', 'onFailure is Allow'),
          condition('PlaceShared', 'True', 'OtherBackup', 'another writes there'),
        ],
      },
    },
    {
      tone: 'good',
      sentence: 'Backups work: the newest restorable snapshot is 26 h old.',
      next: 'kubectl dbbackup restore-locate orders -n shop --context prod',
      notes: [
        'the place in storage is shared: another writes there',
        'a change was let pass without its backup: onFailure is Allow',
      ],
    },
  ],
  [
    'failed once',
    { status: failed },
    {
      tone: 'bad',
      sentence: 'The last backup failed (DumpFailed): the newest restorable snapshot is 26 h old.',
      message: 'The dump did not end well: exit code 1.',
      fix: 'read the log',
      next: 'kubectl dbbackup trigger orders --wait -n shop --context prod',
      notes: [],
    },
  ],
  [
    'failed always, without a word',
    { status: { observedGeneration: 1, consecutiveFailures: 3, failureReason: 'StorageFull' } },
    {
      tone: 'bad',
      sentence: 'The last 3 backups failed (StorageFull): nothing is restorable yet.',
      message: 'The store has no room left.',
      fix: 'make room, raise the quota or keep fewer snapshots',
      next: 'kubectl dbbackup trigger orders --wait -n shop --context prod',
      notes: [],
    },
  ],
  [
    'overdue',
    { status: { ...healthy, conditions: [condition('BackupHealthy', 'False', 'Overdue', 'no success for 49 h')] } },
    {
      tone: 'bad',
      sentence: 'Backups do not work (Overdue): the newest restorable snapshot is 26 h old.',
      message: 'no success for 49 h',
      next: 'kubectl dbbackup trigger orders --wait -n shop --context prod',
      notes: [],
    },
  ],
  [
    'running',
    { status: { ...healthy, run } },
    {
      tone: 'waiting',
      sentence: 'A manual backup has been running for 3 min: the newest restorable snapshot is 26 h old.',
      next: 'kubectl logs job/orders-t-1 --container executor --follow -n shop --context prod',
      notes: [],
    },
  ],
  [
    'refused',
    { status: { ...healthy, conditions: [condition('Ready', 'False', 'InvalidSpec', 'spec.x: wrong. Fix: y.')] } },
    {
      tone: 'bad',
      sentence: 'No backup is taken (InvalidSpec): the newest restorable snapshot is 26 h old.',
      message: 'spec.x: wrong.',
      fix: 'y',
      next: 'kubectl get databasebackup orders -n shop --context prod -o yaml',
      notes: [],
    },
  ],
];

it.each(cases)('%s', (_, overrides, expected) => {
  expect(situation(backup(overrides), now, ' --context prod')).toEqual(expected);
});

it('notes whatever else holds', () => {
  const conditions = [
    condition('Locked', 'True', 'Held', 'held by job x since 01:00'),
    condition('Retained', 'False', 'PruneFailed', 'AccessDenied'),
  ];
  const { schedule: _, ...spec } = backup().spec;
  const object = backup({
    ...{ generation: 2, annotations: { 'dbbackup.io/trigger': 'new' } },
    status: { ...healthy, conditions, missedWindows: 2, lastHandledTrigger: { token: 'old', jobUID: 'x' } },
  });
  object.spec = { ...spec, suspend: true };
  expect(situation(object, now, '').notes).toEqual([
    'a run waits: held by job x since 01:00',
    'a manual backup was asked for and has not started',
    'the schedule is suspended: only manual backups and those of the gate run',
    'there is no schedule: only manual backups run',
    'old snapshots were not deleted: AccessDenied',
    '2 windows did not run',
    'the newest change of the spec is not in effect yet',
  ]);
});

it('parts a fix from its message', () => {
  expect(splitFix('A: b. Fix: c.')).toEqual({ message: 'A: b.', fix: 'c' });
  expect(splitFix('A')).toEqual({ message: 'A', fix: undefined });
});
