// Decisions about a claimed run: that it starts, how it ends, what of it stays, and that each is written down once.
import { describe, expect, test } from 'vitest';
import { encodeResult, type Inventory, type Success } from '../../crds/rules/contract.ts';
import {
  backup,
  claimOf,
  committedPod,
  conditionOf,
  container,
  job,
  jobName,
  lease,
  look,
  pod,
  told,
  window,
} from './builders.ts';

const started = '2025-03-27T01:00:10Z';
const now = '2025-03-27T01:05:00Z';
const running = job({ started });
const status = { run: claimOf(running), lastAttemptScheduledTime: window, phase: 'Pending' as const };
const claimed = backup({ status });
const success: Success = {
  outcome: 'Succeeded',
  id: '20250327T010000Z-1a2b3c4d',
  key: 'shop/orders-db/20250327T010000Z-1a2b3c4d.snap',
  size: 100,
  storedSize: 60,
  sha256: 'a'.repeat(64),
  dumpStartedAt: '2025-03-27T01:00:20Z',
  durationSeconds: 9,
  engineVersion: '16.4',
  identity: '7412/16384',
  encrypted: true,
};
const inventory: Inventory = {
  snapshots: [{ id: success.id, size: 60 }],
  count: 4,
  deleted: 1,
  foreign: 0,
  pruneError: '',
};
const executorSaid = (message: string) =>
  pod({ phase: 'Succeeded', containerStatuses: [container('executor', { terminated: { exitCode: 0, message } })] });

describe('a run that goes on', () => {
  test.each([
    ['without a pod', [], 'Pending'],
    ['whose pod is being made', [pod({ phase: 'Pending' })], 'Pending'],
    ['whose pod works', [pod({ phase: 'Running' })], 'Running'],
  ] as const)('%s is %s', (_name, pods, phase) => {
    const decision = look({ backup: claimed, jobs: [running], pods: [...pods] }, now);
    expect(decision.status.phase).toBe(phase);
    expect(decision.status.run?.outcome).toBeUndefined();
    expect(told(decision).filter((effect) => !effect.startsWith('event'))).toEqual([]);
  });

  test('is not ended by a Job that is about to fail but has not', () => {
    const target = job({ started, ended: 'FailureTarget' });
    expect(look({ backup: claimed, jobs: [target] }, now).status.run?.outcome).toBeUndefined();
  });

  test('is not ended by a cache that has not seen its Job', () => {
    const decision = look({ backup: claimed, claimedIsGone: false }, now);
    expect(decision.status.run?.outcome).toBeUndefined();
    expect(told(decision)).toEqual([]);
  });
});

describe('a start that does not come about', () => {
  const limit = '2025-03-27T01:10:10Z';
  const before = '2025-03-27T01:10:09Z';
  const pulling = pod({
    phase: 'Pending',
    containerStatuses: [container('dump', { waiting: { reason: 'ImagePullBackOff' } })],
  });
  const making = pod({
    phase: 'Pending',
    initContainerStatuses: [container('prepare', { waiting: { reason: 'PodInitializing' } })],
  });

  test.each([
    ['no pod', [], 'Unschedulable'],
    ['an image that cannot be pulled', [pulling], 'ImagePullFailed'],
    ['a pod whose volumes are never mounted', [making], 'Unschedulable'],
  ])('for %s is waited for until the timeout and ended then', (_name, pods, reason) => {
    const early = look({ backup: claimed, jobs: [running], pods }, '2025-03-27T01:00:39Z');
    expect(told(early)).toEqual([]);
    expect(conditionOf(early, 'BackupHealthy')?.reason).toBe('NeverSucceeded');
    expect(early.wakeAt).toBe(Date.parse('2025-03-27T01:00:40Z'));
    const waited = look({ backup: claimed, jobs: [running], pods }, before);
    expect(told(waited)).toEqual([`event ${reason}`]);
    expect(conditionOf(waited, 'BackupHealthy')).toMatchObject({ status: 'False', reason });
    expect(waited.wakeAt).toBe(Date.parse(limit));
    expect(told(look({ backup: claimed, jobs: [running], pods }, limit))).toContain(`fail ${jobName}: ${reason}`);
  });

  test('for a pod whose own deadline is shorter is ended before the kubelet stops it, which would hide why', () => {
    const backupOf = backup({ spec: { job: { activeDeadlineSeconds: 300 } }, status: claimed.status ?? {} });
    const at = (now: string, pods = [pulling]) => told(look({ backup: backupOf, jobs: [running], pods }, now));
    expect(at('2025-03-27T01:04:39Z')).toEqual(['event ImagePullFailed']);
    expect(at('2025-03-27T01:04:40Z')).toContain(`fail ${jobName}: ImagePullFailed`);
    expect(at(before, [])).toEqual(['event Unschedulable']);
  });

  test('is told no sooner than its grace, and ended in its time though that is longer', () => {
    const of = (now: string) => look({ backup: claimed, jobs: [running], graceMilliseconds: 900_000 }, now);
    expect(told(of(before))).toEqual([]);
    expect(of('2025-03-27T01:05:00Z').wakeAt).toBe(Date.parse('2025-03-27T01:05:30Z'));
    expect(of(before).wakeAt).toBe(Date.parse(limit));
    expect(told(of(limit))).toContain(`fail ${jobName}: Unschedulable`);
  });

  test('is ended once', () => {
    const given = job({ started, annotations: { 'dbbackup.io/start-failed': 'Unschedulable no node' } });
    expect(told(look({ backup: claimed, jobs: [given], pods: [] }, '2025-03-27T02:00:00Z'))).toEqual([]);
  });

  test('is not seen in a pod that works or has worked', () => {
    const working = pod({ phase: 'Running', containerStatuses: [container('executor', { running: {} })] });
    const prepared = pod({
      phase: 'Pending',
      initContainerStatuses: [container('prepare', { terminated: { exitCode: 0 } })],
      containerStatuses: [container('dump', { waiting: { reason: 'PodInitializing' } })],
    });
    const succeeded = pod({
      phase: 'Succeeded',
      containerStatuses: [container('executor', { terminated: { exitCode: 0 } })],
    });
    for (const one of [working, prepared, succeeded])
      expect(told(look({ backup: claimed, jobs: [running], pods: [one] }, '2025-03-27T05:00:00Z'))).toEqual([]);
  });

  test('of a second pod has the whole time for itself', () => {
    const failed = pod({ phase: 'Failed' });
    const second = pod({ phase: 'Pending' }, { uid: 'pod-2', creationTimestamp: '2025-03-27T03:00:00Z' });
    const pods = [failed, second];
    expect(told(look({ backup: claimed, jobs: [running], pods }, '2025-03-27T03:09:59Z'))).toEqual([
      'event Unschedulable',
    ]);
    expect(told(look({ backup: claimed, jobs: [running], pods }, '2025-03-27T03:10:00Z'))).toContain(
      `fail ${jobName}: Unschedulable`,
    );
  });
});

test('a start annotation that somebody made no time of counts as the claim', () => {
  const odd = job({ started: 'foo' });
  const decision = look({ backup: claimed, jobs: [odd] }, '2025-03-27T01:05:00Z');
  expect(decision.wakeAt).toBe(Date.parse('2025-03-27T01:05:30Z'));
  expect(told(look({ backup: claimed, jobs: [odd] }, '2025-03-27T01:10:00Z'))).toContain(
    `fail ${jobName}: Unschedulable`,
  );
});

describe('a run that succeeded', () => {
  const ended = job({ started, ended: 'Complete' });
  const failedBefore = { ...status, consecutiveFailures: 3, failureReason: 'DumpFailed', failureMessage: 'x' };
  const world = {
    backup: backup({ status: failedBefore }),
    jobs: [ended],
    pods: [executorSaid(encodeResult({ run: success, inventory }))],
  };
  const decision = look(world, now);

  test('is written down whole', () => {
    expect(decision.status).toMatchObject({
      phase: 'Succeeded',
      run: { outcome: 'Succeeded', dumpStartedAt: success.dumpStartedAt, finishedAt: now },
      lastSnapshot: { id: success.id, key: success.key, storedSize: 60, image: 'postgres:16' },
      lastSuccessfulBackup: success.dumpStartedAt,
      consecutiveFailures: 0,
      snapshots: inventory.snapshots,
      snapshotCount: 4,
    });
    expect(decision.status.failureReason).toBeUndefined();
    expect(decision.status.failureMessage).toBeUndefined();
    expect(told(decision)).toEqual(['event BackupSucceeded']);
  });

  test('makes the backup healthy and says that it pruned', () => {
    expect(conditionOf(decision, 'BackupHealthy')).toMatchObject({ status: 'True', reason: 'LastRunSucceeded' });
    expect(conditionOf(decision, 'Retained')).toMatchObject({ status: 'True', reason: 'Pruned' });
  });

  test('is told once: the next look says nothing, and Retained stays', () => {
    const again = look({ ...world, backup: backup({ status: decision.status }) }, now);
    expect(told(again)).toEqual([]);
    expect(conditionOf(again, 'Retained')).toEqual(conditionOf(decision, 'Retained'));
  });

  test('has its prune trouble in Retained and in nothing else', () => {
    const message = encodeResult({ run: success, inventory: { ...inventory, pruneError: 'delete: 403' } });
    const pruned = look({ ...world, pods: [executorSaid(message)] }, now);
    expect(conditionOf(pruned, 'Retained')).toMatchObject({
      status: 'False',
      reason: 'PruneFailed',
      message: 'delete: 403',
    });
    expect(pruned.status.run?.outcome).toBe('Succeeded');
    expect(conditionOf(pruned, 'BackupHealthy')?.status).toBe('True');
  });

  test('says in Retained how many snapshots the bucket still locks, which is no trouble', () => {
    const message = encodeResult({ run: success, inventory: { ...inventory, locked: 3 } });
    const pruned = look({ ...world, pods: [executorSaid(message)] }, now);
    expect(conditionOf(pruned, 'Retained')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('still locks 3 that no rule keeps'),
    });
  });

  test('keeps what was known of the store when its inventory was cut off', () => {
    const known = backup({ status: { ...status, snapshots: [{ id: 'old', size: 1 }], snapshotCount: 9 } });
    const cut = look({ ...world, backup: known, pods: [executorSaid(encodeResult({ run: success }))] }, now);
    expect(cut.status).toMatchObject({ snapshots: [{ id: 'old', size: 1 }], snapshotCount: 9 });
  });

  test('keeps what was known of the store when the run could not list it, and tells that retention failed', () => {
    const before = { snapshots: [{ id: 'old', size: 1 }], snapshotCount: 9, foreignSnapshots: 2 };
    const message = encodeResult({ run: success, inventory: { pruneError: 'list "p/": 503' } });
    const decision = look(
      { ...world, backup: backup({ status: { ...status, ...before } }), pods: [executorSaid(message)] },
      now,
    );
    expect(decision.status).toMatchObject({ ...before, lastSnapshot: { id: success.id } });
    expect(conditionOf(decision, 'Retained')).toMatchObject({ reason: 'PruneFailed', message: 'list "p/": 503' });
  });

  test('and whose result is lost is as old as its claim, and its snapshot is not made up', () => {
    const lost = look({ ...world, pods: [] }, now);
    expect(lost.status.run).toMatchObject({ outcome: 'Succeeded' });
    expect(lost.status.lastSuccessfulBackup).toBe(lost.status.run?.claimedAt);
    expect(lost.status.lastSnapshot).toBeUndefined();
    expect(conditionOf(lost, 'BackupHealthy')).toMatchObject({ status: 'True', reason: 'LastRunSucceeded' });
  });
});

describe('a run that failed', () => {
  const ended = job({ started, ended: 'Failed' });
  const lock = { lease: lease(ended), holderIsAlive: false };
  const message = encodeResult({ run: { outcome: 'Failed', reason: 'DumpFailed', message: 'no space' } });
  const world = { backup: claimed, jobs: [ended], pods: [executorSaid(message)], lock };

  test('is counted once, tells why and gives the lock back', () => {
    const decision = look(world, now);
    expect(decision.status).toMatchObject({
      phase: 'Failed',
      run: { outcome: 'Failed', reason: 'DumpFailed' },
      consecutiveFailures: 1,
      failureReason: 'DumpFailed',
    });
    expect(told(decision)).toEqual(['event BackupFailed', 'release dbbackup-orders-db of orders-20250327010000']);
    expect(conditionOf(decision, 'BackupHealthy')).toMatchObject({ status: 'False', reason: 'DumpFailed' });
    expect(conditionOf(decision, 'Ready')?.status).toBe('True');
    const again = look({ ...world, backup: backup({ status: decision.status }) }, now);
    expect(again.status.consecutiveFailures).toBe(1);
    expect(told(again)).not.toContain('event BackupFailed');
  });

  test('leaves the last good snapshot in status', () => {
    const known = backup({
      status: { ...status, lastSuccessfulBackup: '2025-03-26T01:00:00Z', lastSnapshot: { id: 'old' } },
    });
    expect(look({ ...world, backup: known }, now).status).toMatchObject({
      lastSuccessfulBackup: '2025-03-26T01:00:00Z',
      lastSnapshot: { id: 'old' },
    });
  });

  test('because its Job is gone is Unknown, once, and never run again', () => {
    const gone = look({ backup: claimed, claimedIsGone: true }, now);
    expect(gone.status).toMatchObject({ run: { outcome: 'Failed', reason: 'Unknown' }, consecutiveFailures: 1 });
    expect(told(gone)).toEqual(['event BackupFailed']);
    const again = look({ backup: backup({ status: gone.status }), claimedIsGone: true }, now);
    expect(told(again)).toEqual([]);
    expect(again.status.consecutiveFailures).toBe(1);
  });

  test('because its Job was deleted is known only once no pod of it works: what that commits is a success', () => {
    const works = look({ backup: claimed, claimedIsGone: true, pods: [pod({ phase: 'Running' })] }, now);
    expect(works.status.run?.outcome).toBeUndefined();
    expect(works.wakeAt).toBe(Date.parse(now) + 30_000);
    const committed = look({ backup: claimed, claimedIsGone: true, pods: [committedPod()] }, now);
    expect(committed.status.run).toMatchObject({ outcome: 'Succeeded' });
    const failed = look({ backup: claimed, claimedIsGone: true, pods: [pod({ phase: 'Failed' })] }, now);
    expect(failed.status.run).toMatchObject({ outcome: 'Failed', reason: 'Unknown' });
  });

  test('ended when its Job says so, however much later it is seen', () => {
    const conditions = [{ type: 'Failed', status: 'True', lastTransitionTime: '2025-03-27T01:20:00Z' }];
    const ended = { ...job({ started, ended: 'Failed' }), status: { conditions } };
    expect(look({ backup: claimed, jobs: [ended] }, now).status.run?.finishedAt).toBe('2025-03-27T01:20:00Z');
  });
});

test('a run that was canceled is no failure, and its Job goes once that is stored', () => {
  const suspended = job({ started, spec: { suspend: true } });
  const found = look(
    { backup: claimed, jobs: [suspended], lock: { lease: lease(suspended), holderIsAlive: true } },
    now,
  );
  expect(found.status).toMatchObject({
    run: { outcome: 'Canceled', reason: 'Canceled' },
    consecutiveFailures: 0,
    phase: 'Failed',
  });
  expect(told(found)).toEqual(['event BackupCanceled']);
  const stored = look({ backup: backup({ status: found.status }), jobs: [suspended] }, now);
  expect(told(stored)).toEqual([`delete ${jobName} job-1: it was canceled`]);
});
