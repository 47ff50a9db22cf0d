// Decisions that the simulation (test/simulation) showed to be wrong once, each as small as it can be told.
import { expect, test } from 'vitest';
import { backup, job, jobName, look, told } from './builders.ts';

const later = '2025-03-27T02:00:00Z';

test('a waiting Job of a window before the change of the schedule goes and is not made again', () => {
  const changed = backup({ spec: { schedule: '0 3 * * *' }, status: { observedSchedule: 'Etc/UTC 0 1 * * *' } });
  const decision = look({ backup: changed, jobs: [job()] }, later);
  expect(told(decision)).toEqual([`delete ${jobName} job-1: its window is of an earlier schedule`]);
  expect(decision.status.missedWindows).toBe(0);
});
