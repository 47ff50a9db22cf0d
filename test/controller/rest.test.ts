// Decisions about what is left: history, invalid specs, names that are taken, and rest once nothing is to be done.
import { describe, expect, test } from 'vitest';
import { steps } from '../../controller/decide.ts';
import type { Job } from '../../controller/objects.ts';
import { statusWrite } from '../../controller/status.ts';
import { backup, claimOf, conditionOf, created, job, jobName, lease, look, told, window } from './builders.ts';

const now = '2025-03-27T01:05:00Z';

describe('the history of Jobs', () => {
  const day = (index: number): string => `2025-03-${String(10 + index).padStart(2, '0')}T01:00:00Z`;
  const ended = (index: number, end: 'Complete' | 'Failed'): Job =>
    job({
      name: `orders-${index}`,
      uid: `job-${index}`,
      slot: day(index),
      created: day(index),
      started: day(index),
      ended: end,
    });
  const newest = claimOf(job({ uid: 'job-newest' }), { outcome: 'Succeeded' });
  const past = { lastAttemptScheduledTime: window, run: newest };
  const gone = (jobs: Job[], change: Parameters<typeof backup>[0] = {}): string[] =>
    told(look({ backup: backup({ status: past, ...change }), jobs }, now));

  test('keeps one good and three bad ones, and deletes the oldest first', () => {
    const jobs = [0, 1, 2, 3, 4, 5, 6].map((index) => ended(index, index % 3 === 0 ? 'Complete' : 'Failed'));
    expect(gone(jobs)).toEqual([
      'delete orders-0 job-0: history limit',
      'delete orders-3 job-3: history limit',
      'delete orders-1 job-1: history limit',
    ]);
  });

  test('keeps none with limits of nothing', () => {
    const spec = { successfulJobsHistoryLimit: 0, failedJobsHistoryLimit: 0 };
    expect(gone([ended(0, 'Complete'), ended(1, 'Failed')], { spec })).toHaveLength(2);
  });

  test('never deletes the Job of the claimed run, though it is the oldest', () => {
    const jobs = [ended(0, 'Complete'), ended(1, 'Complete')];
    const [oldest] = jobs;
    const run = { ...claimOf(oldest ?? job()), outcome: 'Succeeded' as const };
    expect(gone(jobs, { spec: { successfulJobsHistoryLimit: 0 }, status: { ...past, run } })).toEqual([
      'delete orders-1 job-1: history limit',
    ]);
  });

  test('does not delete what is being deleted', () => {
    const going = ended(0, 'Complete');
    going.metadata.deletionTimestamp = now;
    expect(gone([going, ended(1, 'Complete')])).toEqual([]);
  });
});

describe('a spec that is not valid', () => {
  const spec = { retention: {}, schedule: '0 1 * * *' };
  const invalid = backup({ spec });

  test('is Ready False and Stalled, with all that is wrong', () => {
    const decision = look({ backup: backup({ spec: { retention: {}, schedule: '60 * * * *' } }) }, now);
    for (const type of ['Ready', 'Stalled'])
      expect(conditionOf(decision, type)).toMatchObject({
        status: type === 'Ready' ? 'False' : 'True',
        reason: 'InvalidSpec',
        message: expect.stringMatching(/spec\.schedule.*spec\.retention/),
      });
  });

  test('makes no Job and shows no next window', () => {
    const decision = look({ backup: invalid }, now);
    expect(told(decision)).toEqual([]);
    expect(decision.status.nextScheduledBackup).toBeUndefined();
    expect(decision.status.observedGeneration).toBe(1);
  });

  test('has its waiting Job deleted, and gives a dead lock back', () => {
    const lock = { lease: lease(job({ uid: 'job-0' })), holderIsAlive: false };
    expect(told(look({ backup: invalid, jobs: [job({ madeFrom: invalid })], lock }, now))).toEqual([
      `delete ${jobName} job-1: the spec is not valid`,
      `release dbbackup-orders-db of ${jobName}`,
    ]);
  });

  test('lets a run that was claimed end, and writes that down', () => {
    const ended = job({ started: window, ended: 'Failed' });
    const status = { run: claimOf(ended), lastAttemptScheduledTime: window };
    const decision = look({ backup: backup({ spec, status }), jobs: [ended] }, now);
    expect(decision.status.run?.outcome).toBe('Failed');
  });

  test('that is mended is Ready and no longer Stalled', () => {
    const { status } = look({ backup: invalid }, now);
    const mended = look({ backup: backup({ status }) }, '2025-03-27T00:30:00Z');
    expect(conditionOf(mended, 'Ready')).toMatchObject({ status: 'True', lastTransitionTime: '2025-03-27T00:30:00Z' });
    expect(conditionOf(mended, 'Stalled')).toBeUndefined();
  });
});

describe('a name that is taken', () => {
  const conflict = {
    reason: 'NameConflict' as const,
    jobName,
    message: `Job "${jobName}" exists and is not ours: delete or rename it.`,
    transient: false,
  };

  test('is a condition, and the Job is not asked for again in that look', () => {
    const decision = look({ conflict }, now);
    expect(told(decision)).toEqual(['event NameConflict']);
    expect(told(look({ conflict, backup: backup({ status: decision.status }) }, now))).toEqual([]);
    expect(conditionOf(decision, 'BackupHealthy')).toMatchObject({
      status: 'False',
      reason: 'NameConflict',
      message: conflict.message,
    });
    expect(conditionOf(decision, 'Ready')?.status).toBe('True');
  });

  test('by a Job of an earlier object that is going is none', () => {
    const decision = look({ conflict: { ...conflict, transient: true } }, now);
    expect(told(decision)).toEqual([]);
    expect(conditionOf(decision, 'BackupHealthy')?.reason).toBe('NeverSucceeded');
  });

  test('does not spend the window', () => {
    const { status } = look({ conflict }, now);
    expect(told(look({ backup: backup({ status }) }, now))).toEqual([`create ${jobName}`]);
  });
});

describe('health', () => {
  test('is unknown before the first success', () => {
    expect(conditionOf(look({}, created), 'BackupHealthy')).toMatchObject({
      status: 'Unknown',
      reason: 'NeverSucceeded',
    });
  });

  test('never holds up Ready', () => {
    const status = { failureReason: 'DumpFailed', failureMessage: 'x', consecutiveFailures: 9 };
    const decision = look({ backup: backup({ status }) }, created);
    expect(conditionOf(decision, 'Ready')).toMatchObject({ status: 'True', reason: 'Accepted' });
    expect(conditionOf(decision, 'BackupHealthy')).toMatchObject({
      status: 'False',
      reason: 'DumpFailed',
      message: 'x',
    });
  });

  test('has words of bounded length', () => {
    const decision = look(
      { backup: backup({ status: { failureReason: 'DumpFailed', failureMessage: 'x'.repeat(9000) } }) },
      created,
    );
    expect(conditionOf(decision, 'BackupHealthy')?.message).toHaveLength(1024);
  });
});

describe('a second look at the same world', () => {
  const waiting = job();
  const started = job({ started: window });
  const ended = job({ started: window, ended: 'Failed' });
  const claim = { run: claimOf(waiting), lastAttemptScheduledTime: window };
  const worlds: [string, Parameters<typeof look>[0]][] = [
    ['idle', {}],
    ['suspended', { backup: backup({ spec: { suspend: true } }) }],
    ['invalid', { backup: backup({ spec: { retention: {} } }) }],
    ['waiting for the lock', { jobs: [waiting], lock: { lease: lease(job({ uid: 'job-2' })), holderIsAlive: true } }],
    ['waiting in line', { jobs: [waiting], line: ['job-2', 'job-1'] }],
    ['just claimed', { jobs: [waiting], lock: { lease: lease(waiting), holderIsAlive: true } }],
    ['claimed', { backup: backup({ status: claim }), jobs: [waiting] }],
    ['running', { backup: backup({ status: claim }), jobs: [started] }],
    ['ended', { backup: backup({ status: claim }), jobs: [ended] }],
    ['gone', { backup: backup({ status: claim }), claimedIsGone: true }],
    ['fresh', { backup: { ...backup(), status: { observedGeneration: -1 } } }],
    ['missed', { backup: backup({ spec: { schedule: '*/10 * * * *', startingDeadlineSeconds: 10 } }) }],
  ];

  test.each(worlds)('that is %s writes no status', (_name, world) => {
    const first = look(world, now);
    const { backup: before = backup() } = world;
    const stored = { ...before, status: first.status };
    const second = look({ ...world, backup: stored }, now);
    // A claim is seen as a claim from the second look on; what it leads to is an effect, not a change of status.
    expect(statusWrite(stored, second)).toBeUndefined();
    expect(told(second).filter((effect) => effect.startsWith('event'))).toEqual([]);
    expect(told(look({ ...world, backup: { ...before, status: second.status } }, now))).toEqual(told(second));
  });

  test('does not change what it was given', () => {
    const world = { backup: backup({ status: claim }), jobs: [ended] };
    const copy = structuredClone(world);
    look(world, now);
    expect(world).toEqual(copy);
  });
});

describe('the one status write', () => {
  const stored = backup({ status: look({}, created).status });

  test('is not made when nothing changed, whatever the order of fields', () => {
    const reversed = Object.fromEntries(Object.entries(stored.status ?? {}).reverse());
    expect(statusWrite({ ...stored, status: reversed }, look({ backup: stored }, created))).toBeUndefined();
  });

  test('carries the version that was decided from and leaves the spec alone', () => {
    const fresh = { ...backup(), status: { observedGeneration: -1 } };
    const write = statusWrite(fresh, look({ backup: fresh }, created));
    expect(write?.metadata).toEqual(fresh.metadata);
    expect(write?.spec).toEqual(fresh.spec);
    expect(write?.status?.observedGeneration).toBe(1);
  });
});

test('the steps run in the order of the list: outcome before queue, release before launch, conditions last', () => {
  expect(steps.map(({ name }) => name)).toEqual([
    'baseline',
    'gate',
    'run',
    'gateTimeout',
    'outdated',
    'windows',
    'trigger',
    'release',
    'launch',
    'history',
    'conditions',
  ]);
});
