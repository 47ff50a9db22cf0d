// Decisions about windows that did not run: how long a backup counts as overdue, and that a clock set back does not hold it up.
import { describe, expect, test } from 'vitest';
import type { Backup } from '../../controller/objects.ts';
import {
  backup,
  claimOf,
  committedPod,
  conditionOf,
  done,
  job,
  jobName,
  lease,
  look,
  pod,
  stored,
  told,
  window,
} from './builders.ts';

const missed = '2025-03-28T01:00:00Z';
const later = '2025-03-28T03:00:00Z';
const healthOf = (decision: ReturnType<typeof look>) => conditionOf(decision, 'BackupHealthy')?.reason;
const overdue = (status: Backup['status'] = {}, spec: Partial<Backup['spec']> = {}): Backup =>
  backup({ spec, status: { missedUntil: missed, missedWindows: 1, lastAttemptScheduledTime: window, ...status } });

describe('a backup is overdue', () => {
  test('when its window came while nobody looked, and Ready stays True', () => {
    const decision = look({ backup: backup({ status: { lastAttemptScheduledTime: window } }) }, later);
    expect(told(decision)).toEqual(['event WindowMissed']);
    expect(conditionOf(decision, 'BackupHealthy')).toMatchObject({
      status: 'False',
      reason: 'Overdue',
      message: expect.stringContaining(missed),
    });
    expect(conditionOf(decision, 'Ready')?.status).toBe('True');
    const again = look({ backup: stored(backup(), decision) }, '2025-03-28T04:00:00Z');
    expect([told(again), healthOf(again)]).toEqual([[], 'Overdue']);
  });

  test('when its window came while the run before was not finished', () => {
    const running = job({ started: window });
    const status = { run: claimOf(running), lastAttemptScheduledTime: window };
    const world = {
      jobs: [running],
      pods: [pod({ phase: 'Running' })],
      lock: { lease: lease(running), holderIsAlive: true },
    };
    const decision = look({ backup: backup({ status }), ...world }, missed);
    expect(done(decision)).toEqual([]);
    expect([decision.status.missedWindows, healthOf(decision)]).toEqual([1, 'Overdue']);
  });

  test('also when it has succeeded before, and when that run was before the window', () => {
    expect(healthOf(look({ backup: overdue({ lastSuccessfulBackup: window }) }, later))).toBe('Overdue');
  });
});

describe('a backup is not overdue', () => {
  test.each<[string, Backup['status'], Partial<Backup['spec']>]>([
    ['once a later window was claimed', { lastAttemptScheduledTime: missed }, {}],
    ['once any run has succeeded since', { lastSuccessfulBackup: '2025-03-28T02:00:00Z' }, {}],
    ['once its schedule has started anew', { scheduleBaseline: '2025-03-28T02:00:00Z' }, {}],
    ['while it is suspended', { observedSchedule: 'suspended Etc/UTC 0 1 * * *' }, { suspend: true }],
  ])('%s', (_name, status, spec) => {
    expect(healthOf(look({ backup: overdue(status, spec) }, later))).not.toBe('Overdue');
  });

  test('once its schedule is gone', () => {
    const { schedule: _, ...spec } = backup().spec;
    expect(healthOf(look({ backup: { ...overdue(), spec } }, later))).not.toBe('Overdue');
  });

  test('while the Job of a later window waits for its turn', () => {
    const next = job({ name: 'orders-20250329010000', slot: '2025-03-29T01:00:00Z', created: '2025-03-29T01:00:00Z' });
    const lock = { lease: lease(undefined, { holderIdentity: 'upgrade' }), holderIsAlive: true };
    expect(healthOf(look({ backup: overdue(), jobs: [next], lock }, '2025-03-29T01:00:10Z'))).toBe('NeverSucceeded');
  });

  test('when windows before the one that is due are counted', () => {
    const decision = look({}, '2025-03-29T01:00:01Z');
    expect(decision.status.missedWindows).toBe(2);
    const made = { backup: stored(backup(), decision), jobs: [job({ slot: '2025-03-29T01:00:00Z' })] };
    expect(healthOf(look(made, '2025-03-29T01:00:02Z'))).toBe('NeverSucceeded');
  });

  test('in another word when a run failed since: that says more', () => {
    const failure = { failureReason: 'DumpFailed', failureMessage: 'cut off' };
    expect(healthOf(look({ backup: overdue(failure) }, later))).toBe('DumpFailed');
  });

  test('any more with the look that sees a run succeed', () => {
    const ended = job({ name: 'orders-t-1', token: 'now', started: later, ended: 'Complete' });
    const run = claimOf(ended, { trigger: 'Manual', claimedAt: '2025-03-28T02:59:00Z' });
    const pods = [{ ...committedPod(), status: {} }];
    const decision = look({ backup: overdue({ run }), jobs: [ended], pods }, later);
    expect(healthOf(decision)).toBe('LastRunSucceeded');
  });
});

describe('after a clock that ran ahead', () => {
  const ahead = '2035-01-01T01:00:00Z';
  const stuck = { lastAttemptScheduledTime: ahead, missedUntil: ahead };

  test('windows that it handled do not come again, and the next one is told', () => {
    const decision = look({ backup: backup({ status: stuck }) }, later);
    expect(told(decision)).toEqual([]);
    expect(decision.status.nextScheduledBackup).toBe('2035-01-02T01:00:00Z');
  });

  test('a change of the schedule starts anew', () => {
    const changed = backup({
      spec: { schedule: '0 5 * * *' },
      status: { ...stuck, observedSchedule: 'Etc/UTC 0 1 * * *' },
    });
    const decision = look({ backup: changed }, later);
    expect(decision.status).toMatchObject({ scheduleBaseline: later, nextScheduledBackup: '2025-03-28T05:00:00Z' });
    expect(decision.status).not.toHaveProperty('lastAttemptScheduledTime');
    expect(decision.status).not.toHaveProperty('missedUntil');
    expect(told(look({ backup: stored(changed, decision) }, '2025-03-28T05:00:00Z'))).toEqual([
      'create orders-20250328050000',
    ]);
  });

  test('the end of a suspension starts anew, its beginning does not', () => {
    const begun = look(
      { backup: { ...backup({ spec: { suspend: true } }), status: { ...backup().status, ...stuck } } },
      later,
    );
    expect(begun.status).toMatchObject(stuck);
    const ended = look({ backup: backup({ status: { ...begun.status } }) }, missed);
    expect(ended.status).toMatchObject({ scheduleBaseline: missed, nextScheduledBackup: '2025-03-29T01:00:00Z' });
    expect(ended.status).not.toHaveProperty('lastAttemptScheduledTime');
  });

  test('what was handled before now stays handled', () => {
    const status = { lastAttemptScheduledTime: window, observedSchedule: 'Etc/UTC 0 2 * * *' };
    const decision = look({ backup: backup({ status }) }, later);
    expect(decision.status.lastAttemptScheduledTime).toBe(window);
    expect(done(decision)).not.toContain(`create ${jobName}`);
  });
});
