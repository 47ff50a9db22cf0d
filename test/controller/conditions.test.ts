// The condition table: what each state of a backup says to people and to GitOps tools.
import { describe, expect, test } from 'vitest';
import type { Backup } from '../../controller/objects.ts';
import type { Observed } from '../../controller/observed.ts';
import { backup, claimOf, conditionOf, job, lease, look, pod, stored, told, window } from './builders.ts';

const now = '2025-03-27T01:05:00Z';
const good = { lastSuccessfulBackup: window, lastAttemptScheduledTime: window, lastSnapshot: { id: 'good' } };
const failure = { failureReason: 'DumpFailed', failureMessage: 'The dump did not end well', consecutiveFailures: 1 };
const running = job({ started: window });
const run = claimOf(running);
const gate = { token: 'B', observedAt: '2025-03-27T01:00:00Z' };
const failedGate = { ...gate, failedAt: now, failure: 'no backup was committed within 3600 s' };
const gated = (change: Backup['status'], onFailure: 'Block' | 'Allow' = 'Block') =>
  backup({ spec: { gate: { token: 'B', onFailure } }, status: { ...good, ...change } });
const withRun = {
  jobs: [running],
  pods: [pod({ phase: 'Running' })],
  lock: { lease: lease(running), holderIsAlive: true },
};
const foreign = { lease: lease(undefined, { holderIdentity: 'upgrade' }), holderIsAlive: true };
const healthy = 'BackupHealthy=True LastRunSucceeded';

/** All conditions, sorted, each as `Type=Status Reason`. */
const conditionsOf = (decision: ReturnType<typeof look>) =>
  (decision.status.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`).sort();
const conflict = (reason: 'NameConflict' | 'ServiceAccountNotAllowed' | 'JobRefused', transient = false) => ({
  conflict: { jobName: 'orders-x', reason, message: 'in the way', transient },
});

test.each<[string, Partial<Observed>, string[]]>([
  ['idle', { backup: backup({ status: good }) }, [healthy, 'Ready=True Accepted']],
  ['new', {}, ['BackupHealthy=Unknown NeverSucceeded', 'Ready=True Accepted']],
  ['a run running', { backup: backup({ status: { ...good, run } }), ...withRun }, [healthy, 'Ready=True Accepted']],
  ['suspended', { backup: backup({ spec: { suspend: true }, status: good }) }, [healthy, 'Ready=True Accepted']],
  [
    'waiting for the lock',
    {
      backup: backup({ status: { ...good, lastAttemptScheduledTime: '2025-03-26T01:00:00Z' } }),
      jobs: [job()],
      lock: foreign,
    },
    [healthy, 'Locked=True LockHeld', 'Ready=True Accepted'],
  ],
  [
    'last run failed',
    { backup: backup({ status: { ...good, ...failure } }) },
    ['BackupHealthy=False DumpFailed', 'Ready=True Accepted'],
  ],
  [
    'failed, and another run running',
    { backup: backup({ status: { ...good, ...failure, run } }), ...withRun },
    ['BackupHealthy=False DumpFailed', 'Ready=True Accepted'],
  ],
  [
    'overdue',
    { backup: backup({ status: { missedUntil: window } }) },
    ['BackupHealthy=False Overdue', 'Ready=True Accepted'],
  ],
  [
    'its pod does not come to work',
    { backup: backup({ status: { ...good, run } }), ...withRun, pods: [] },
    ['BackupHealthy=False Unschedulable', 'Ready=True Accepted'],
  ],
  ...(['NameConflict', 'ServiceAccountNotAllowed', 'JobRefused'] as const).map(
    (reason): [string, Partial<Observed>, string[]] => [
      `a Job that cannot be made: ${reason}`,
      { backup: backup({ status: good }), ...conflict(reason) },
      [`BackupHealthy=False ${reason}`, 'Ready=True Accepted'],
    ],
  ),
  [
    'a Job of an earlier object in the way, which passes',
    { backup: backup({ status: good }), ...conflict('NameConflict', true) },
    [healthy, 'Ready=True Accepted'],
  ],
  ['gate pending', { backup: gated({ gate }) }, [healthy, 'Ready=False GatePending', 'Reconciling=True GatePending']],
  [
    'gate running',
    { backup: gated({ gate, run: { ...run, gate: 'B' } }), ...withRun },
    [healthy, 'Ready=False GatePending', 'Reconciling=True GatePending'],
  ],
  [
    'gate retrying',
    { backup: gated({ gate, run: { ...run, gate: 'B' } }), ...withRun, pods: [pod({ phase: 'Failed' })] },
    [healthy, 'Ready=False GatePending', 'Reconciling=True GatePending'],
  ],
  [
    'gate waiting for the lock',
    { backup: gated({ gate }), jobs: [job({ gate: 'B', madeFrom: gated({}) })], lock: foreign },
    [healthy, 'Locked=True LockHeld', 'Ready=False GatePending', 'Reconciling=True GatePending'],
  ],
  [
    'gate failed for good, Block',
    { backup: gated({ gate: failedGate }) },
    ['BackupHealthy=False GateFailed', 'Ready=False GateFailed', 'Stalled=True GateFailed'],
  ],
  [
    'gate failed for good, Allow',
    { backup: gated({ gate: failedGate }, 'Allow') },
    ['BackupHealthy=False GateFailed', 'Ready=True GateOverridden'],
  ],
  ['gate satisfied', { backup: gated({ gate: { ...gate, satisfiedBy: 'job-0' } }) }, [healthy, 'Ready=True Accepted']],
  [
    'stored spec no longer valid',
    { backup: backup({ spec: { timeZone: 'Europe/Nowhere' }, status: good }) },
    [healthy, 'Ready=False InvalidSpec', 'Stalled=True InvalidSpec'],
  ],
  [
    'stored spec no longer valid, and a gate open',
    { backup: backup({ spec: { timeZone: 'Europe/Nowhere', gate: { token: 'B' } }, status: { ...good, gate } }) },
    [healthy, 'Ready=False InvalidSpec', 'Stalled=True InvalidSpec'],
  ],
])('%s', (_name, observed, wanted) => {
  expect(conditionsOf(look(observed, now))).toEqual(wanted);
});

describe('Ready', () => {
  test('names every field that is wrong, with its fix', () => {
    const wrong = backup({ spec: { timeZone: 'Europe/Nowhere', schedule: '61 * * * *' } });
    const { message = '' } = conditionOf(look({ backup: wrong }, now), 'Ready') ?? {};
    expect(message).toContain('spec.timeZone');
    expect(message).toContain('spec.schedule');
  });

  test('says that the schedule is suspended', () => {
    const suspended = backup({ spec: { suspend: true } });
    expect(conditionOf(look({ backup: suspended }, now), 'Ready')?.message).toContain('suspended');
  });

  test.each([
    ['is being made', {}, 'its Job is being made'],
    ['waits', { jobs: [job({ gate: 'B', madeFrom: gated({}) })] }, 'its Job waits for its turn'],
    ['runs', { ...withRun, backup: gated({ gate, run: { ...run, gate: 'B' } }) }, `Job ${run.jobName} runs`],
  ])('says of an open gate whether its Job %s', (_name, observed, text) => {
    const decision = look({ backup: gated({ gate }), ...observed }, now);
    expect(conditionOf(decision, 'Ready')?.message).toContain(text);
    expect(conditionOf(decision, 'Reconciling')?.message).toBe(conditionOf(decision, 'Ready')?.message);
  });

  test('is never longer than the API server takes', () => {
    const { database, ...rest } = backup().spec;
    const arguments_ = Array.from({ length: 16 }, (_, at) => `--${'x'.repeat(250)}${at}`);
    const wrong = { ...backup(), spec: { ...rest, database: { ...database, extraArgs: arguments_ } } };
    expect(conditionOf(look({ backup: wrong }, now), 'Ready')?.message.length).toBe(1024);
  });
});

describe('a condition', () => {
  test('keeps its time while its status is the same, though its reason changes', () => {
    const first = look({ backup: backup({ status: { ...good, ...failure } }) }, now);
    const made = { ...first.status, failureReason: 'StorageFull' };
    const second = look({ backup: backup({ status: made }) }, '2025-03-27T01:06:00Z');
    expect(conditionOf(second, 'BackupHealthy')).toMatchObject({ reason: 'StorageFull', lastTransitionTime: now });
    const healed = look({ backup: backup({ status: { ...second.status, ...good, failureReason: '' } }) }, now);
    expect(conditionOf(healed, 'Ready')?.lastTransitionTime).toBe(now);
  });

  test('about another who writes to the same place names them, and goes with them', () => {
    const one = look({ backup: backup({ status: good }), samePlace: ['billing', 'stock', 'wages'] }, now);
    expect(conditionOf(one, 'PlaceShared')).toMatchObject({ status: 'True', reason: 'OtherBackup' });
    expect(conditionOf(one, 'PlaceShared')?.message).toContain('"billing" and 2 more');
    expect(conditionOf(look({ backup: stored(backup(), one) }, now), 'PlaceShared')).toBeUndefined();
  });

  test('about snapshots of another Kubernetes cluster counts them', () => {
    const decision = look({ backup: backup({ status: { ...good, foreignSnapshots: 7 } }) }, now);
    expect(conditionOf(decision, 'PlaceShared')).toMatchObject({ reason: 'OtherCluster' });
    expect(conditionOf(decision, 'PlaceShared')?.message).toContain('7 snapshot(s)');
  });
});

describe('what keeps a run from starting is told', () => {
  test.each(['NameConflict', 'ServiceAccountNotAllowed', 'JobRefused'] as const)('once: %s', (reason) => {
    const first = look({ backup: backup({ status: good }), ...conflict(reason) }, now);
    expect(told(first)).toEqual([`event ${reason}`]);
    expect(told(look({ backup: stored(backup(), first), ...conflict(reason) }, now))).toEqual([]);
  });

  test('again when it is something else', () => {
    const first = look({ backup: backup({ status: good }), ...conflict('NameConflict') }, now);
    const other = look({ backup: stored(backup(), first), ...conflict('JobRefused') }, now);
    expect(told(other)).toEqual(['event JobRefused']);
  });

  test('not at all when it passes by itself', () => {
    expect(told(look({ backup: backup({ status: good }), ...conflict('NameConflict', true) }, now))).toEqual([]);
  });
});
