// Decisions about time: the window that is due, those that were missed, suspension and changes of the schedule.
import { describe, expect, test } from 'vitest';
import type { Decision } from '../../controller/observed.ts';
import { specHash } from '../../crds/rules/names.ts';
import { backup, claimOf, created, job, jobName, lease, look, stored, told, window } from './builders.ts';

describe('an object that nobody has looked at', () => {
  const fresh = { ...backup(), status: { observedGeneration: -1 } };

  test('gets a baseline at its creation, the next window and every number', () => {
    const decision = look({ backup: fresh }, '2025-03-26T12:00:01Z');
    expect(told(decision)).toEqual([]);
    expect(decision.status).toMatchObject({
      observedGeneration: 1,
      effective: { cluster: 'orders-db', port: 5432, schedule: '0 1 * * *' },
      scheduleBaseline: created,
      observedSchedule: 'Etc/UTC 0 1 * * *',
      nextScheduledBackup: window,
      consecutiveFailures: 0,
      missedWindows: 0,
      snapshotCount: 0,
    });
    expect(decision.status.run).toBeUndefined();
    expect(decision.wakeAt).toBe(Date.parse(window));
  });

  test('that was created before a window and is seen after it runs that window', () => {
    expect(told(look({ backup: fresh }, '2025-03-27T01:00:05Z'))).toEqual([`create ${jobName}`]);
  });

  test('without a schedule waits for nothing', () => {
    const { schedule: _, ...spec } = backup().spec;
    const decision = look({ backup: { ...backup(), spec } }, '2025-03-27T01:00:05Z');
    expect(told(decision)).toEqual([]);
    expect(decision.wakeAt).toBeUndefined();
    expect(decision.status.nextScheduledBackup).toBeUndefined();
  });
});

describe('a window', () => {
  test('is not due a second before and is due at its time', () => {
    expect(told(look({}, '2025-03-27T00:59:59Z'))).toEqual([]);
    const decision = look({}, window);
    expect(told(decision)).toEqual([`create ${jobName}`]);
    expect(decision.status.nextScheduledBackup).toBe('2025-03-28T01:00:00Z');
    expect(decision.wakeAt).toBe(Date.parse('2025-03-28T01:00:00Z'));
  });

  test('is due until startingDeadlineSeconds after it, and missed a second later', () => {
    expect(told(look({}, '2025-03-27T02:00:00Z'))).toEqual([`create ${jobName}`]);
    const late = look({}, '2025-03-27T02:00:01Z');
    expect(told(late)).toEqual(['event WindowMissed']);
    expect(late.status).toMatchObject({ missedWindows: 1, missedUntil: window });
  });

  test('that was missed is counted once', () => {
    const { status } = look({}, '2025-03-27T02:00:01Z');
    const again = look({ backup: { ...backup(), status } }, '2025-03-27T02:00:02Z');
    expect(told(again)).toEqual([]);
    expect(again.status.missedWindows).toBe(1);
  });

  test('after two others is the only one to run; the others are counted once', () => {
    const first = look({}, '2025-03-29T01:00:01Z');
    expect(told(first)).toEqual(['event WindowMissed', 'create orders-20250329010000']);
    expect(first.status.missedWindows).toBe(2);
    const again = look({ backup: { ...backup(), status: first.status } }, '2025-03-29T01:00:02Z');
    expect(told(again)).toEqual(['create orders-20250329010000']);
    expect(again.status.missedWindows).toBe(2);
  });

  test('passed over others, which are counted by whoever comes after its Job was made and nothing was written', () => {
    const [latest, passed] = ['2025-03-29T01:00:00Z', '2025-03-28T01:00:00Z'];
    const made = job({ name: 'orders-20250329010000', slot: latest, created: latest });
    const line = ['another'];
    const first = look({ jobs: [made], line }, '2025-03-29T01:00:02Z');
    expect(told(first)).toEqual(['event WindowMissed']);
    expect(first.status).toMatchObject({ missedWindows: 2, missedUntil: passed });
    const again = look({ backup: stored(backup(), first), jobs: [made], line }, '2025-03-29T01:00:03Z');
    expect(told(again)).toEqual([]);
    expect(again.status.missedWindows).toBe(2);
  });

  test('for which a clock that ran ahead made a Job leaves those before it to come', () => {
    const ahead = job({ name: 'orders-20250329010000', slot: '2025-03-29T01:00:00Z' });
    expect(look({ jobs: [ahead], line: ['another'] }, '2025-03-26T13:00:00Z').status.missedWindows).toBe(0);
  });

  test('for which a clock that ran ahead made a Job takes those before it along once it is claimed', () => {
    const ahead = job({ name: 'orders-20250329010000', uid: 'early', slot: '2025-03-29T01:00:00Z' });
    const lock = { lease: lease(ahead), holderIsAlive: true };
    const decision = look({ jobs: [ahead], line: ['early'], lock }, '2025-03-26T13:00:00Z');
    expect(decision.claims).toBe(true);
    expect(decision.status).toMatchObject({
      missedWindows: 2,
      missedUntil: '2025-03-28T01:00:00Z',
      lastAttemptScheduledTime: '2025-03-29T01:00:00Z',
    });
  });

  test('that was given up in the moment in which the run before it ended is not missed while its Job waits, nor later', () => {
    const made = job({ uid: 'late' });
    const status = { missedWindows: 3, missedUntil: window };
    const first = look({ backup: backup({ status }), jobs: [made], line: ['another'] }, '2025-03-27T01:00:05Z');
    expect(first.status).toMatchObject({ missedWindows: 2, missedUntil: '2025-03-27T00:59:59Z' });
    const again = look({ backup: stored(backup(), first), jobs: [made], line: ['another'] }, '2025-03-28T01:00:05Z');
    expect(again.status).toMatchObject({ missedWindows: 3, missedUntil: '2025-03-28T01:00:00Z' });
  });

  test('after more than a thousand others is told in words and costs no more', () => {
    const every = backup({ spec: { schedule: '* * * * *' } });
    const decision = look({ backup: every }, '2025-04-26T12:00:30Z');
    expect(told(decision)).toEqual(['event WindowMissed', 'create orders-20250426120000']);
    expect(decision.effects[0]).toMatchObject({ note: expect.stringMatching(/^more than 1000 window/) });
    expect(decision.status.missedWindows).toBe(1000);
  });

  test('is spent once it was claimed, though its Job is gone', () => {
    const status = { lastAttemptScheduledTime: window };
    expect(told(look({ backup: backup({ status }) }, '2025-03-27T01:00:05Z'))).toEqual([]);
  });

  test('whose Job ended without a claim is counted once, and its Job not asked for again', () => {
    const ended = job({ started: window, ended: 'Complete' });
    const first = look({ jobs: [ended] }, '2025-03-27T01:05:00Z');
    expect(told(first).filter((effect) => effect.startsWith('create'))).toEqual([]);
    expect(first.status).toMatchObject({ missedWindows: 1, missedUntil: window });
    const second = look({ backup: backup({ status: first.status }), jobs: [ended] }, '2025-03-27T01:06:00Z');
    expect(told(second)).toEqual([]);
    expect(second.status.missedWindows).toBe(1);
  });

  test('is made again under the same name while no claim names it', () => {
    const status = { lastAttemptScheduledTime: '2025-03-26T01:00:00Z' };
    expect(told(look({ backup: backup({ status }) }, '2025-03-27T01:00:05Z'))).toEqual([`create ${jobName}`]);
  });

  test('that is due while the Job of another waits makes none and counts as missed', () => {
    const line = ['another'];
    const decision = look({ jobs: [job()], line }, '2025-03-28T01:00:00Z');
    expect(told(decision)).toEqual(['event WindowMissed', 'event LockWaiting']);
    expect(decision.effects[0]).toMatchObject({ note: expect.stringContaining('still waits to start') });
    expect(decision.status).toMatchObject({ missedWindows: 1, missedUntil: '2025-03-28T01:00:00Z' });
  });

  test('that is due while the Job of another runs makes none and counts as missed', () => {
    const running = job({ started: window });
    const status = { run: claimOf(running), lastAttemptScheduledTime: window };
    const decision = look({ backup: backup({ status }), jobs: [running] }, '2025-03-28T01:00:00Z');
    expect(told(decision)).toContain('event WindowMissed');
    expect(told(decision)).not.toContain('create orders-20250328010000');
    expect(decision.status.missedWindows).toBe(1);
  });

  test('that is due while the Job before it is only not seen to have ended is not missed', () => {
    const run = claimOf(job({ started: window }), { outcome: 'Succeeded' });
    const behind = backup({ status: { lastAttemptScheduledTime: window, run } });
    const decision = look({ backup: behind, jobs: [job({ started: window })] }, '2025-03-28T01:00:00Z');
    expect(told(decision)).toEqual(['create orders-20250328010000']);
    expect(decision.status.missedWindows).toBe(0);
  });

  test('is due beside a manual Job that runs', () => {
    const running = job({ name: 'orders-t-1', token: 'now', started: '2025-03-27T00:30:00Z' });
    const status = { run: claimOf(running, { trigger: 'Manual', token: 'now' }) };
    expect(told(look({ backup: backup({ status }), jobs: [running] }, window))).toContain(`create ${jobName}`);
  });

  test('is named in UTC whatever the zone', () => {
    const berlin = backup({ spec: { timeZone: 'Europe/Berlin' } });
    expect(told(look({ backup: berlin }, '2025-03-27T00:00:00Z'))).toEqual(['create orders-20250327000000']);
  });

  test('does not move when the clock goes back', () => {
    const status = { lastAttemptScheduledTime: window };
    const decision = look({ backup: backup({ status }) }, '2025-03-20T00:00:00Z');
    expect(told(decision)).toEqual([]);
    expect(decision.status.lastAttemptScheduledTime).toBe(window);
  });
});

describe('a schedule that changes after the clock was set back', () => {
  const changed = (lastAttemptScheduledTime: string): Decision => {
    const status = { lastAttemptScheduledTime, observedSchedule: 'Etc/UTC 0 1 * * *' };
    return look({ backup: backup({ spec: { timeZone: 'Europe/Berlin' }, status }) }, '2025-03-27T00:00:00Z');
  };

  test('does not run again what has run an hour ahead', () => {
    expect(changed(window).status.lastAttemptScheduledTime).toBe(window);
  });

  test('is not held up by what ran a year ahead', () => {
    expect(changed('2026-03-27T01:00:00Z').status.lastAttemptScheduledTime).toBeUndefined();
  });
});

describe('a suspended schedule', () => {
  const suspended = backup({ spec: { suspend: true } });

  test('makes no Job, misses nothing and shows no next window', () => {
    const decision = look({ backup: suspended }, '2025-04-27T01:00:00Z');
    expect(told(decision)).toEqual([]);
    expect(decision.status.missedWindows).toBe(0);
    expect(decision.status.nextScheduledBackup).toBeUndefined();
    expect(decision.wakeAt).toBeUndefined();
  });

  test('takes its waiting Job away', () => {
    const decision = look({ backup: suspended, jobs: [job({ madeFrom: suspended })] }, '2025-03-27T01:00:05Z');
    expect(told(decision)).toEqual([`delete ${jobName} job-1: the schedule is stopped`]);
  });

  test('leaves a run that was claimed alone', () => {
    const running = job({ started: window });
    const claimed = backup({ spec: { suspend: true }, status: { run: claimOf(running) } });
    expect(told(look({ backup: claimed, jobs: [running] }, '2025-03-27T01:00:05Z'))).toEqual([]);
  });

  test('still takes a trigger', () => {
    const annotated = backup({ spec: { suspend: true }, metadata: { annotations: { 'dbbackup.io/trigger': 'now' } } });
    expect(told(look({ backup: annotated }, window))).toEqual([
      expect.stringMatching(/^create orders-t-[0-9a-f]{10}$/),
    ]);
  });

  test('that begins keeps the baseline, that ends sets it to now', () => {
    const begun = look({ backup: { ...suspended, status: backup().status ?? {} } }, '2025-03-27T12:00:00Z');
    expect(begun.status).toMatchObject({ scheduleBaseline: created, observedSchedule: 'suspended Etc/UTC 0 1 * * *' });
    const ended = look({ backup: { ...backup(), status: begun.status } }, '2025-04-01T12:00:00Z');
    expect(told(ended)).toEqual([]);
    expect(ended.status).toMatchObject({ scheduleBaseline: '2025-04-01T12:00:00Z', missedWindows: 0 });
  });
});

describe('a change of the schedule', () => {
  test.each([
    ['schedule', { schedule: '0 2 * * *' }],
    ['zone', { timeZone: 'Europe/Berlin' }],
  ])('of the %s neither runs nor misses what it would have been before', (_name, spec) => {
    const changed = { ...backup({ spec }), status: backup().status ?? {} };
    const decision = look({ backup: changed }, '2025-03-29T12:00:00Z');
    expect(told(decision)).toEqual([]);
    expect(decision.status).toMatchObject({ scheduleBaseline: '2025-03-29T12:00:00Z', missedWindows: 0 });
  });

  test('of anything else leaves the baseline alone', () => {
    const changed = backup({ spec: { retention: { keepLast: 9 } } });
    expect(look({ backup: changed }, '2025-03-26T12:00:05Z').status.scheduleBaseline).toBe(created);
  });

  test('that takes it away takes its words out of status, and its waiting Job', () => {
    const { schedule: _, ...spec } = backup().spec;
    const without = { ...backup({ status: { effective: { schedule: '0 1 * * *' } } }), spec };
    const waiting = job({ annotations: { 'dbbackup.io/spec-hash': specHash(spec) } });
    const decision = look({ backup: without, jobs: [waiting] }, window);
    expect(told(decision)).toEqual([`delete ${jobName} job-1: the schedule is stopped`]);
    expect(decision.status.effective).toEqual({ cluster: 'orders-db', port: 5432 });
  });
});

test('a Job whose window somebody wrote over is taken away and does not stop the decision', () => {
  const decision = look({ jobs: [job({ slot: 'rubbish' })] }, '2025-03-26T12:00:05Z');
  expect(told(decision)).toEqual([`delete ${jobName} job-1: what it is for has been handled`]);
});
