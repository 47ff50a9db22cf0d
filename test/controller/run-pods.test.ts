// Decisions about a claimed run whose pod is gone: that it waits for another, since when, and when it is given up.
import { describe, expect, test } from 'vitest';
import type { Pod } from '../../controller/objects.ts';
import {
  backup,
  claimOf,
  committedPod,
  conditionOf,
  container,
  job,
  jobName,
  look,
  pod,
  told,
  window,
} from './builders.ts';

const started = '2025-03-27T01:00:10Z';
const running = job({ started });
const status = { run: claimOf(running), lastAttemptScheduledTime: window, phase: 'Pending' as const };

describe('a run whose pod is gone and that waits for another', () => {
  const backoff = 600_000;
  const goes = { ...status, phase: 'Running' as const };
  const evictedAt = '2025-03-27T03:00:00Z';
  const lost = look({ backup: backup({ status: goes }), jobs: [running] }, evictedAt);
  const waits = backup({ status: lost.status });
  const refused = (at: string) => [{ type: 'Warning', reason: 'FailedCreate', message: 'no quota', lastTimestamp: at }];

  test('is not ended at once, however long it has worked, and says since when it waits', () => {
    expect(told(lost)).toEqual([]);
    expect(lost.status).toMatchObject({ phase: 'Pending', run: { podGoneAt: evictedAt } });
    expect(lost.wakeAt).toBe(Date.parse('2025-03-27T03:00:30Z'));
  });

  test('is in no trouble while Kubernetes puts the next pod off, and in trouble once that is refused', () => {
    const at = (now: string, events = refused('2025-03-27T01:00:00Z')) =>
      conditionOf(look({ backup: waits, jobs: [running], events }, now), 'BackupHealthy')?.reason;
    expect(at('2025-03-27T03:05:00Z')).toBe('NeverSucceeded');
    expect(at('2025-03-27T03:05:00Z', [])).toBe('NeverSucceeded');
    expect(at('2025-03-27T03:05:00Z', refused('2025-03-27T03:00:10Z'))).toBe('Unschedulable');
  });

  test('is ended after the start timeout and the longest time that Kubernetes takes, not sooner', () => {
    const limit = Date.parse(evictedAt) + 600_000 + backoff;
    const at = (time: number) => told(look({ backup: waits, jobs: [running] }, new Date(time).toISOString()));
    expect(at(limit - 1000)).toEqual([]);
    expect(at(limit)).toContain(`fail ${jobName}: Unschedulable`);
  });

  test('goes on when that has come, and has its own time when it is lost again', () => {
    const second = look({ backup: waits, jobs: [running], pods: [pod({ phase: 'Running' })] }, '2025-03-27T03:01:00Z');
    expect(second.status.phase).toBe('Running');
    const again = look({ backup: backup({ status: second.status }), jobs: [running] }, '2025-03-27T05:00:00Z');
    expect(again.status.run?.podGoneAt).toBe('2025-03-27T05:00:00Z');
    expect(told(again)).toEqual([]);
  });

  test('after one that failed and does not say when is ended in its time from when that was seen', () => {
    const failed = pod({ phase: 'Failed' });
    const seen = look({ backup: backup({ status: goes }), jobs: [running], pods: [failed] }, evictedAt);
    expect(told(seen)).toEqual([]);
    expect(seen.status.run?.podGoneAt).toBe(evictedAt);
    const at = (time: string) =>
      look({ backup: backup({ status: seen.status }), jobs: [running], pods: [failed] }, time);
    expect(at('2025-03-27T03:10:00Z').status.run?.podGoneAt).toBe(evictedAt);
    const limit = Date.parse(evictedAt) + 600_000 + backoff;
    expect(told(at(new Date(limit - 1000).toISOString()))).toEqual([]);
    expect(told(at(new Date(limit).toISOString()))).toContain(`fail ${jobName}: Unschedulable`);
  });

  test.each<[string, Pod]>([
    [
      'of two, the first of which failed and is kept',
      pod({
        phase: 'Failed',
        containerStatuses: [
          container('executor', { terminated: { exitCode: 12, finishedAt: '2025-03-27T01:05:00Z' } }),
        ],
      }),
    ],
    [
      'on a node that was lost an hour ago, which is told only now',
      pod({
        phase: 'Failed',
        containerStatuses: [container('executor', { running: {} })],
        conditions: [{ type: 'DisruptionTarget', status: 'True' }],
      }),
    ],
  ])('%s has its whole time from when that is seen', (_what, kept) => {
    const before = backup({ status: goes });
    const seen = look({ backup: before, jobs: [running], pods: [kept] }, evictedAt);
    expect(told(seen)).toEqual([]);
    expect(seen.status.run?.podGoneAt).toBe(evictedAt);
    const next = look(
      { backup: backup({ status: seen.status }), jobs: [running], pods: [kept] },
      '2025-03-27T03:19:59Z',
    );
    expect(told(next)).toEqual([]);
    const third = pod({ phase: 'Running' }, { uid: 'pod-3' });
    const goesOn = look({ backup: backup({ status: next.status }), jobs: [running], pods: [kept, third] }, evictedAt);
    expect(goesOn.status.run?.podGoneAt).toBeUndefined();
  });

  test('that has just failed costs no write of its own: its Job ends in a moment', () => {
    const terminated = { exitCode: 12, finishedAt: '2025-03-27T02:59:31Z' };
    const failed = pod({ phase: 'Failed', containerStatuses: [container('executor', { terminated })] });
    const seen = look({ backup: backup({ status: lost.status }), jobs: [running], pods: [failed] }, evictedAt);
    expect(seen.status.run?.podGoneAt).toBe(evictedAt);
    expect(look({ backup: backup({ status: goes }), jobs: [running], pods: [failed] }, evictedAt).status.run).toEqual(
      goes.run,
    );
  });

  test('after one that failed is ended in its time from when that has not been followed by another for half a minute', () => {
    const terminated = { exitCode: 12, finishedAt: '2025-03-27T02:00:00Z' };
    const failed = pod({ phase: 'Failed', containerStatuses: [container('executor', { terminated })] });
    const at = (time: string, before = goes) =>
      look({ backup: backup({ status: before }), jobs: [running], pods: [failed] }, time);
    const first = at('2025-03-27T02:00:00Z');
    expect([first.status.run?.podGoneAt, first.wakeAt]).toEqual([undefined, Date.parse('2025-03-27T02:00:30Z')]);
    const seen = at('2025-03-27T02:00:30Z').status;
    expect(seen.run?.podGoneAt).toBe('2025-03-27T02:00:30Z');
    const limit = Date.parse('2025-03-27T02:00:30Z') + 600_000 + backoff;
    const waited = (time: number) =>
      told(look({ backup: backup({ status: seen }), jobs: [running], pods: [failed] }, new Date(time).toISOString()));
    expect(waited(limit - 1000)).toEqual([]);
    expect(waited(limit)).toContain(`fail ${jobName}: Unschedulable`);
  });

  test('waits for none once it has ended, though nobody saw the last pod work', () => {
    const done = job({ started, ended: 'Complete' });
    const status = { run: claimOf(done, { podGoneAt: '2025-03-27T03:00:00Z' }), lastAttemptScheduledTime: window };
    const ended = look({ backup: backup({ status }), jobs: [done], pods: [committedPod()] }, '2025-03-27T05:00:00Z');
    expect(ended.status.run).toMatchObject({ outcome: 'Succeeded' });
    expect(ended.status.run?.podGoneAt).toBeUndefined();
  });
});
