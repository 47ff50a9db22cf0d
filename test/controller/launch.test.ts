// Decisions of the launch: lock, claim, start, each from what is to be seen; who may take the lock and who waits.
import { describe, expect, test } from 'vitest';
import { backup, claimOf, conditionOf, job, jobName, lease, look, told, window } from './builders.ts';

const soon = '2025-03-27T01:00:05Z';
const later = '2025-03-27T01:05:00Z';
const waiting = job();
const other = job({ name: 'stock-20250327010000', uid: 'job-2' });
const heldBy = (holder: Parameters<typeof lease>[0], holderIsAlive = true) => ({ lease: lease(holder), holderIsAlive });
const foreign = (spec: Parameters<typeof lease>[1]) => ({
  lease: lease(undefined, { holderIdentity: 'upgrade-script', ...spec }),
  holderIsAlive: true,
});

describe('the four steps, one a look', () => {
  test('first the lock is taken, for longer than the Job may last', () => {
    const decision = look({ jobs: [waiting] }, soon);
    expect(told(decision)).toEqual([`take dbbackup-orders-db for ${jobName}`]);
    expect(decision.effects[0]).toMatchObject({
      lease: undefined,
      durationSeconds: (21_600 + 600) * 2 + 10 + 300 + 600,
    });
    expect(decision.status.run).toBeUndefined();
  });

  test('then the run is claimed, and its window spent', () => {
    const decision = look({ jobs: [waiting], lock: heldBy(waiting) }, soon);
    expect(told(decision)).toEqual([]);
    expect(decision.status).toMatchObject({
      run: { trigger: 'Schedule', slot: window, jobName, jobUID: 'job-1', claimedAt: soon },
      lastAttemptScheduledTime: window,
      phase: 'Pending',
    });
    expect(decision.status.run?.token).toBeUndefined();
  });

  test('then it is let go, with what is known only now', () => {
    const status = { run: claimOf(waiting), lastAttemptScheduledTime: window, lastSnapshot: { storedSize: 77 } };
    const decision = look({ backup: backup({ status }), jobs: [waiting], lock: heldBy(waiting) }, soon);
    expect(told(decision)).toEqual([`start ${jobName}`]);
    expect(decision.effects[0]).toMatchObject({ leaseName: 'dbbackup-orders-db', lastSize: 77 });
    expect(decision.wakeAt).toBe(Date.parse(soon) + 600_000);
  });

  test('then nothing is left to do', () => {
    const started = job({ started: soon });
    const status = { run: claimOf(started), lastAttemptScheduledTime: window };
    expect(told(look({ backup: backup({ status }), jobs: [started], lock: heldBy(started) }, soon))).toEqual([]);
  });

  test('a claim whose lock was lost is not let go before it has the lock again', () => {
    const status = { run: claimOf(waiting), lastAttemptScheduledTime: window };
    const claimed = { backup: backup({ status }), jobs: [waiting] };
    expect(told(look({ ...claimed, lock: heldBy(other) }, soon))).toEqual([]);
    expect(told(look({ ...claimed, lock: heldBy(undefined) }, soon))).toEqual([
      `take dbbackup-orders-db for ${jobName}`,
    ]);
  });
});

describe('a lock that somebody deleted or emptied while its Job works', () => {
  const started = job({ started: soon });
  const status = { run: claimOf(started), lastAttemptScheduledTime: window };
  const runs = { backup: backup({ status }), jobs: [started] };

  test.each([
    ['deleted', undefined],
    ['emptied', lease(undefined)],
  ])('and %s is taken for that Job again, at whatever cap', (_name, left) => {
    const running = { overall: 20, namespace: 5 };
    const again = look({ ...runs, lock: { lease: left, holderIsAlive: false }, running }, soon);
    expect(told(again)).toEqual([`take dbbackup-orders-db for ${jobName}`]);
    expect(again.effects[0]).toMatchObject({ again: true, lease: left });
  });

  test('is not taken from who has it now, nor for a Job that was canceled', () => {
    expect(told(look({ ...runs, lock: foreign({ renewTime: window, leaseDurationSeconds: 1 }) }, soon))).toEqual([]);
    const canceled = { ...started, spec: { suspend: true } };
    const free = { lease: undefined, holderIsAlive: false };
    expect(told(look({ ...runs, jobs: [canceled], lock: free }, soon))).not.toContain(
      `take dbbackup-orders-db for ${jobName}`,
    );
  });

  test('is not taken by another Job before that has ended, which is told after a minute', () => {
    const atWork = [{ name: other.metadata.name, uid: 'job-2' }];
    expect(told(look({ jobs: [waiting], atWork }, soon))).toEqual([]);
    expect(told(look({ jobs: [waiting], atWork, lock: heldBy(waiting) }, soon))).toEqual([]);
    expect(look({ jobs: [waiting], atWork, lock: heldBy(waiting) }, soon).claims).toBe(false);
    expect(conditionOf(look({ jobs: [waiting], atWork }, later), 'Locked')?.message).toBe(
      'Waiting for the lock, Lease dbbackup-orders-db, held by Job stock-20250327010000.',
    );
  });
});

describe('the lock', () => {
  test('of a Job that may still work is waited for', () => {
    const decision = look({ jobs: [waiting], lock: heldBy(other) }, soon);
    expect(told(decision)).toEqual([]);
    expect(decision.wakeAt).toBe(Date.parse(soon) + 15_000);
  });

  test('of a Job that is dead is given back first and taken in the next look', () => {
    expect(told(look({ jobs: [waiting], lock: heldBy(other, false) }, soon))).toEqual([
      'release dbbackup-orders-db of stock-20250327010000',
    ]);
    expect(told(look({ jobs: [waiting], lock: heldBy(undefined) }, soon))).toEqual([
      `take dbbackup-orders-db for ${jobName}`,
    ]);
  });

  test('of a dead Job is looked at again once it is given back, since a Lease without our label is not watched', () => {
    expect(look({ jobs: [waiting], lock: heldBy(other, false) }, soon).wakeAt).toBe(Date.parse(soon));
  });

  test('of a dead Job is given back though nobody waits', () => {
    expect(told(look({ lock: heldBy(other, false) }, '2025-03-26T12:00:05Z'))).toEqual([
      'release dbbackup-orders-db of stock-20250327010000',
    ]);
  });

  test('of a Job is never taken for its age', () => {
    const old = {
      ...heldBy(other),
      lease: lease(other, { acquireTime: '2020-01-01T00:00:00Z', renewTime: '2020-01-01T00:00:00Z' }),
    };
    expect(told(look({ jobs: [waiting], lock: old }, soon))).toEqual([]);
  });

  test.each([
    [
      'that gives no duration is waited for, however long',
      { leaseDurationSeconds: undefined },
      '2035-01-01T00:00:00Z',
      false,
    ],
    [
      'that gives no time is waited for, however long',
      { renewTime: undefined, acquireTime: undefined },
      '2035-01-01T00:00:00Z',
      false,
    ],
    [
      'that has a second left is waited for',
      { leaseDurationSeconds: 60, renewTime: window },
      '2025-03-27T01:00:59Z',
      false,
    ],
    ['whose time is over is superseded', { leaseDurationSeconds: 60, renewTime: window }, '2025-03-27T01:01:00Z', true],
    [
      'that never renewed counts from its beginning',
      { leaseDurationSeconds: 60, renewTime: undefined, acquireTime: window },
      '2025-03-27T01:01:00Z',
      true,
    ],
  ])('of a stranger %s', (_name, spec, now, taken) => {
    const changed = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
    const lock = foreign(changed);
    for (const [name, value] of Object.entries(spec))
      if (value === undefined) delete lock.lease.spec?.[name as 'renewTime'];
    // The manual Job has no window that could be missed by now.
    const manual = job({ token: 'now', name: 'orders-t-1' });
    const annotated = backup({
      spec: { schedule: '0 1 1 1 *' },
      metadata: { annotations: { 'dbbackup.io/trigger': 'now' } },
    });
    const jobs = [
      {
        ...manual,
        metadata: { ...manual.metadata, annotations: { ...manual.metadata.annotations, ...hashOf(annotated) } },
      },
    ];
    const decision = look({ backup: annotated, jobs, lock }, now);
    expect(told(decision).filter((effect) => !effect.startsWith('event'))).toEqual(
      taken ? ['take dbbackup-orders-db for orders-t-1'] : [],
    );
  });

  test.each([
    ['when its time runs out', '2025-03-27T01:00:50Z', '2025-03-27T01:01:00Z'],
    ['in a while, since it may be given back sooner', '2025-03-27T01:00:10Z', '2025-03-27T01:00:25Z'],
  ])('of a stranger is looked at again %s', (_name, now, wake) => {
    const lock = foreign({ renewTime: window, leaseDurationSeconds: 60 });
    expect(look({ jobs: [waiting], lock }, now).wakeAt).toBe(Date.parse(wake));
  });

  test('that is held is a condition after a minute of waiting, with holder and since when', () => {
    const lock = foreign({ renewTime: '2025-03-27T00:59:00Z', leaseDurationSeconds: 3600 });
    expect(conditionOf(look({ jobs: [waiting], lock }, '2025-03-27T01:00:59Z'), 'Locked')).toBeUndefined();
    expect(conditionOf(look({ jobs: [waiting], lock }, '2025-03-27T01:01:00Z'), 'Locked')).toMatchObject({
      status: 'True',
      reason: 'LockHeld',
      message: 'Waiting for the lock, Lease dbbackup-orders-db, held by "upgrade-script" since 2025-03-27T00:59:00Z.',
    });
    const byJob = look({ jobs: [waiting], lock: heldBy(other) }, later);
    expect(conditionOf(byJob, 'Locked')?.message).toContain('held by Job stock-20250327010000');
    expect(conditionOf(byJob, 'Ready')?.status).toBe('True');
  });

  test('that has become free ends the condition', () => {
    const before = look({ jobs: [waiting], lock: heldBy(other) }, later);
    const after = look({ backup: backup({ status: before.status }), jobs: [waiting], lock: heldBy(undefined) }, later);
    expect(conditionOf(after, 'Locked')).toBeUndefined();
  });
});

describe('the line', () => {
  test('lets only the first take the lock', () => {
    expect(told(look({ jobs: [waiting], line: ['job-2', 'job-1'] }, soon))).toEqual([]);
    expect(told(look({ jobs: [waiting], line: ['job-1', 'job-2'] }, soon))).toEqual([
      `take dbbackup-orders-db for ${jobName}`,
    ]);
  });

  test('is followed within a backup: the older Job is launched first', () => {
    const second = job({ name: 'orders-t-1', uid: 'job-3', token: 'now', created: later });
    const annotated = backup({ metadata: { annotations: { 'dbbackup.io/trigger': 'now' } } });
    expect(told(look({ backup: annotated, jobs: [waiting, second] }, later))).toEqual([
      `take dbbackup-orders-db for ${jobName}`,
    ]);
  });

  test.each([
    ['overall', { overall: 20, namespace: 0 }],
    ['in the namespace', { overall: 5, namespace: 5 }],
  ])('stops at the cap %s and looks again', (_name, running) => {
    const decision = look({ jobs: [waiting], running }, soon);
    expect(told(decision)).toEqual([]);
    expect(decision).toMatchObject({ full: true, wakeAt: Date.parse(window) + 60_000 });
    expect(look({ jobs: [waiting], running }, later).wakeAt).toBe(Date.parse(later) + 60_000);
  });

  test.each([
    ['for its turn', { line: ['job-2', 'job-1'] }, 'WaitingForTurn', 'another Job waits longer'],
    [
      'for room',
      { running: { overall: 20, namespace: 0 } },
      'WaitingForRoom',
      'at most 20 Jobs (--max-running) at once',
    ],
    [
      'for room in its namespace',
      { running: { overall: 20, namespace: 5 } },
      'WaitingForRoom',
      'at most 5 Jobs in this namespace (--max-running-per-namespace)',
    ],
  ])('is a condition after a minute for who waits %s', (_name, change, reason, message) => {
    expect(conditionOf(look({ jobs: [waiting], ...change }, '2025-03-27T01:00:59Z'), 'Locked')).toBeUndefined();
    const decision = look({ jobs: [waiting], ...change }, '2025-03-27T01:01:00Z');
    expect(conditionOf(decision, 'Locked')).toMatchObject({ reason, message: expect.stringContaining(message) });
    expect(told(decision)).toEqual(['event LockWaiting']);
  });

  test('moves one below both caps', () => {
    expect(told(look({ jobs: [waiting], running: { overall: 19, namespace: 4 } }, soon))).toHaveLength(1);
  });

  test('passes over a Job that is being deleted', () => {
    expect(told(look({ jobs: [job({ deleting: true })] }, soon))).toEqual([]);
  });
});

test('of two Jobs that were made in one second the one that has the lock is launched, whatever their names', () => {
  const [first, second] = [job({ name: 'orders-1', uid: 'a' }), job({ name: 'orders-t-1', uid: 'b', token: 'now' })];
  const asked = backup({ metadata: { annotations: { 'dbbackup.io/trigger': 'now' } } });
  const held = { lease: lease(second), holderIsAlive: true };
  const decision = look({ backup: asked, jobs: [first, second], lock: held }, '2025-03-26T12:30:00Z');
  expect(decision.claims).toBe(true);
  expect(decision.status.run?.jobUID).toBe('b');
});

describe('the claim of the next run', () => {
  const ended = job({ uid: 'job-0', name: 'orders-20250326010000', started: '2025-03-26T01:00:05Z', ended: 'Failed' });
  const claim = claimOf(ended, { slot: '2025-03-26T01:00:00Z' });

  test('waits until the outcome of the one before is stored', () => {
    const unstored = backup({ status: { run: claim, lastAttemptScheduledTime: '2025-03-26T01:00:00Z' } });
    const found = look({ backup: unstored, jobs: [ended, waiting], lock: heldBy(waiting) }, soon);
    expect(found.status.run).toMatchObject({ jobUID: 'job-0', outcome: 'Failed' });
    expect(told(found)).toEqual(['event BackupFailed']);
    const stored = backup({ status: found.status });
    const next = look({ backup: stored, jobs: [ended, waiting], lock: heldBy(waiting) }, soon);
    expect(next.status.run).toMatchObject({ jobUID: 'job-1' });
    expect(next.status.run?.outcome).toBeUndefined();
  });

  test('does not take the lock either before that', () => {
    const unstored = backup({ status: { run: claim, lastAttemptScheduledTime: '2025-03-26T01:00:00Z' } });
    expect(told(look({ backup: unstored, jobs: [ended, waiting] }, soon))).toEqual(['event BackupFailed']);
  });
});

describe('a waiting Job of another spec', () => {
  const changed = backup({ spec: { retention: { keepLast: 9 } } });

  test('is deleted by its uid and made again under its name, before anything is launched', () => {
    const decision = look({ backup: changed, jobs: [waiting], lock: heldBy(waiting) }, soon);
    expect(told(decision)).toEqual([`delete ${jobName} job-1: the spec has changed`, `create ${jobName}`]);
    expect(decision.status.run).toBeUndefined();
    const made = decision.effects[1];
    expect(made?.kind === 'createJob' ? made.job : {}).toMatchObject({ metadata: { annotations: hashOf(changed) } });
  });

  test('is made again for the same window and not for the one that is due now', () => {
    const decision = look({ backup: changed, jobs: [waiting] }, '2025-03-28T01:00:00Z');
    expect(told(decision)).toEqual([
      `delete ${jobName} job-1: the spec has changed`,
      `create ${jobName}`,
      'event WindowMissed',
    ]);
  });

  test('is left as it is once it was claimed', () => {
    const claimed = backup({
      spec: { retention: { keepLast: 9 } },
      status: { run: claimOf(waiting), lastAttemptScheduledTime: window },
    });
    expect(told(look({ backup: claimed, jobs: [waiting], lock: heldBy(waiting) }, soon))).toEqual([`start ${jobName}`]);
  });
});

function hashOf(of: ReturnType<typeof backup>): Record<string, string> {
  return { 'dbbackup.io/spec-hash': job({ madeFrom: of }).metadata.annotations?.['dbbackup.io/spec-hash'] ?? '' };
}
