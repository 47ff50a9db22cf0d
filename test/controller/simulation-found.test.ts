// Decisions that the simulation (test/simulation) showed to be wrong once, each as small as it can be told.
import { expect, test } from 'vitest';
import { backup, claimOf, job, jobName, lease, look, told, window } from './builders.ts';

const later = '2025-03-27T02:00:00Z';

test('a waiting Job of a window before the change of the schedule goes and is not made again', () => {
  const changed = backup({ spec: { schedule: '0 3 * * *' }, status: { observedSchedule: 'Etc/UTC 0 1 * * *' } });
  const decision = look({ backup: changed, jobs: [job()] }, later);
  expect(told(decision)).toEqual([`delete ${jobName} job-1: its window is of an earlier schedule`]);
  expect(decision.status.missedWindows).toBe(0);
});

test('an ended Job that was started after the claim that is to be seen is no history yet', () => {
  const before = claimOf(job({ uid: 'job-0' }), { claimedAt: '2025-03-26T01:00:00Z', outcome: 'Succeeded' });
  const status = { run: before, lastAttemptScheduledTime: '2025-03-26T01:00:00Z' };
  const spec = { successfulJobsHistoryLimit: 0, failedJobsHistoryLimit: 0 };
  const ended = job({ started: '2025-03-27T01:00:02Z', ended: 'Complete' });
  const decision = look({ backup: backup({ status, spec }), jobs: [ended] }, '2025-03-27T01:05:00Z');
  expect(told(decision)).not.toContain(`delete ${jobName} job-1: history limit`);
});

test('nor in the look that claims the next run, whose claim may be refused', () => {
  const ended = Array.from({ length: 9 }, (_, n) =>
    job({ name: `orders-t-${n}`, uid: `done-${n}`, token: 'a', started: '2025-03-27T00:59:00Z', ended: 'Failed' }),
  );
  const waits = job();
  const lock = { lease: lease(waits), holderIsAlive: true };
  const decision = look({ jobs: [...ended, waits], lock }, '2025-03-27T01:05:00Z');
  expect(decision.claims).toBe(true);
  expect(told(decision)).toEqual([]);
});

test('a run whose Job lost its labels is looked at again and again, since nothing tells of its end', () => {
  const unwatched = job({ started: window });
  delete unwatched.metadata.labels;
  const status = { run: claimOf(unwatched), lastAttemptScheduledTime: window };
  const pods = [{ metadata: { ...unwatched.metadata, uid: 'pod-1' }, status: { phase: 'Running' } }];
  const decision = look({ backup: backup({ status }), jobs: [unwatched], pods }, later);
  expect(decision.wakeAt).toBe(Date.parse(later) + 30_000);
});
