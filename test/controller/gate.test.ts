// Decisions about the gate, "back up before this change": what counts as a change, which run satisfies it, how it fails and heals.
import { describe, expect, test } from 'vitest';
import type { Backup } from '../../controller/objects.ts';
import { triggerJobName } from '../../crds/rules/names.ts';
import {
  backup,
  claimOf,
  committedPod,
  conditionOf,
  created,
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

/** Long before the first window; the gate times out an hour after seen. */
const seen = '2025-03-26T12:30:00Z';
const soon = '2025-03-26T12:31:00Z';
const limit = '2025-03-26T13:30:00Z';
const token = 'postgres:17';
const gateJobName = (of: string, before = '') => triggerJobName('orders', 'backup-1', 'Gate', of, before);
const name = gateJobName(token);

type Gate = NonNullable<Backup['spec']['gate']>;
type Change = NonNullable<Parameters<typeof backup>[0]>;
/** A backup whose spec has a gate; without a status the controller has not seen it. */
const gated = (gate: Partial<Gate> = {}, { spec, ...change }: Change = {}): Backup =>
  backup({ ...change, spec: { ...spec, gate: { token, ...gate } } });
const open = { token, observedAt: seen };
const pending = (change: Change = {}, gate: Partial<Gate> = {}): Backup =>
  gated(gate, { ...change, status: { gate: open, ...change.status } });
const waitingFor = (made: Backup): ReturnType<typeof job> =>
  job({ name, gate: token, created: soon, madeFrom: made, image: made.spec.database.image });
const hold = (holder: Parameters<typeof lease>[0]) => ({ lease: lease(holder), holderIsAlive: true });
const conditionsOf = (decision: ReturnType<typeof look>) =>
  decision.status.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);

describe('a token', () => {
  test('that is there when the object is first seen is the baseline, and nothing runs', () => {
    const first = look({ backup: { ...gated(), status: { observedGeneration: -1 } } }, seen);
    expect(told(first)).toEqual([]);
    expect(first.status.gate).toEqual({ token, observedAt: seen, satisfiedBy: 'Baseline' });
    expect(conditionsOf(first)).toEqual(['Ready=True Accepted', 'BackupHealthy=Unknown NeverSucceeded']);
    const again = look({ backup: stored(gated(), first) }, limit);
    expect([told(again), again.status]).toEqual([[], first.status]);
  });

  test('that comes later is a change, which asks for a backup with Ready and generation in one write', () => {
    const decision = look({ backup: gated({}, { metadata: { generation: 2 } }) }, seen);
    expect(told(decision)).toEqual(['event GatePending', `create ${name}`]);
    expect(decision.status).toMatchObject({ observedGeneration: 2, gate: open });
    expect(decision.status.gate).toEqual(open);
    expect(conditionsOf(decision)).toContain('Ready=False GatePending');
    expect(conditionsOf(decision)).toContain('Reconciling=True GatePending');
    expect(decision.status.conditions?.map(({ observedGeneration }) => observedGeneration)).toEqual([2, 2, 2]);
  });

  test('that stays the same is told once', () => {
    const made = pending();
    const decision = look({ backup: made, jobs: [waitingFor(made)], lock: hold(undefined) }, soon);
    expect(told(decision)).toEqual([`take dbbackup-orders-db for ${name}`]);
    expect(decision.status.gate).toEqual(open);
  });

  test('that changes from the baseline is a change as well', () => {
    const status = { gate: { token: 'postgres:16', observedAt: created, satisfiedBy: 'Baseline' } };
    expect(told(look({ backup: gated({}, { status }) }, seen))).toEqual(['event GatePending', `create ${name}`]);
  });

  test('that changes twice in quick succession is served for the second value alone', () => {
    const first = waitingFor(pending());
    const second = pending({}, { token: 'postgres:18' });
    const decision = look({ backup: second, jobs: [first] }, soon);
    expect(done(decision)).toEqual([`delete ${name} job-1: what it is for has been handled`]);
    expect(decision.status.gate).toEqual({ token: 'postgres:18', observedAt: soon });
    expect(told(look({ backup: stored(second, decision) }, soon))).toEqual([`create ${gateJobName('postgres:18')}`]);
  });

  test('that goes takes its Job and its failure with it, and comes back under another name', () => {
    const lastRun = { token, jobUID: 'job-0' };
    const gone = backup({ status: { gate: { ...open, lastRun, failedAt: soon, failure: 'late' } } });
    const without = look({ backup: gone, jobs: [waitingFor(pending())] }, limit);
    expect(told(without)).toEqual([`delete ${name} job-1: what it is for has been handled`]);
    expect(without.status.gate).toEqual({ lastRun });
    expect(conditionsOf(without)).toEqual(['Ready=True Accepted', 'BackupHealthy=Unknown NeverSucceeded']);
    const back = look({ backup: gated({}, { status: without.status }) }, limit);
    expect(done(back)).toEqual([`create ${gateJobName(token, 'job-0')}`]);
    expect(back.status.gate).toEqual({ token, observedAt: limit, lastRun });
  });

  test('is asked for though the schedule is suspended', () => {
    expect(done(look({ backup: gated({}, { spec: { suspend: true } }) }, seen))).toEqual([`create ${name}`]);
    const suspended = pending({ spec: { suspend: true } });
    const waits = waitingFor(suspended);
    expect(done(look({ backup: suspended, jobs: [waits] }, soon))).toEqual([`take dbbackup-orders-db for ${name}`]);
  });

  test('in a spec that is not valid is served once it is', () => {
    const invalid = gated({}, { spec: { timeZone: 'Europe/Nowhere' } });
    const decision = look({ backup: invalid, jobs: [waitingFor(pending())] }, seen);
    expect(done(decision)).toEqual([`delete ${name} job-1: the spec is not valid`]);
    expect(conditionsOf(decision)).toContain('Ready=False InvalidSpec');
    const mended = look({ backup: stored(gated(), decision) }, soon);
    expect(done(mended)).toEqual([`create ${name}`]);
    expect(conditionOf(mended, 'Ready')?.reason).toBe('GatePending');
  });
});

describe('the run for it', () => {
  const asked = { metadata: { annotations: { 'dbbackup.io/trigger': 'now' } } };
  const ofKind: [string, Backup, ReturnType<typeof job>, object][] = [
    ['its own Job', pending(), waitingFor(pending()), { trigger: 'Gate', gate: token }],
    ['a scheduled Job', pending(), job({ madeFrom: pending() }), { trigger: 'Schedule', gate: token, slot: window }],
    [
      'a manual Job',
      pending(asked),
      job({ name: 'orders-t-1', token: 'now', madeFrom: pending(asked) }),
      { trigger: 'Manual', gate: token, token: 'now' },
    ],
  ];

  test.each(ofKind)('may be %s that waits: no other is made, and its claim names the gate', (_name, made, one, run) => {
    expect(done(look({ backup: made, jobs: [one] }, soon))).toEqual([
      `take dbbackup-orders-db for ${one.metadata.name}`,
    ]);
    const claim = look({ backup: made, jobs: [one], lock: hold(one) }, soon);
    expect(told(claim)).toEqual([]);
    expect(claim.status.run).toMatchObject({ ...run, jobUID: 'job-1', claimedAt: soon });
    expect(claim.status.gate).toEqual({ ...open, lastRun: { token, jobUID: 'job-1' } });
    const running = { backup: stored(made, claim), jobs: [one], lock: hold(one) };
    expect(told(look(running, soon))).toEqual([`start ${one.metadata.name}`]);
    const ended = job({ name: one.metadata.name, started: soon, ended: 'Complete' });
    const end = look({ ...running, jobs: [ended], pods: [committedPod()] }, soon);
    expect(told(end)).toContain('event GateSatisfied');
    expect(end.status.gate).toEqual({ ...open, lastRun: { token, jobUID: 'job-1' }, satisfiedBy: 'job-1' });
    expect(conditionsOf(end)).toEqual(['Ready=True Accepted', 'BackupHealthy=True LastRunSucceeded']);
  });

  test('and a manual token are served by one Job', () => {
    const made = gated({}, asked);
    const decision = look({ backup: made }, seen);
    expect(done(decision)).toEqual([`create ${triggerJobName('orders', 'backup-1', 'Manual', 'now', '')}`]);
    const [, , one] = ofKind[2] ?? [];
    const claim = look({ backup: stored(made, decision), jobs: one === undefined ? [] : [one], lock: hold(one) }, soon);
    expect(claim.status).toMatchObject({
      lastHandledTrigger: { token: 'now', jobUID: 'job-1' },
      gate: { lastRun: { token, jobUID: 'job-1' } },
    });
    const running = job({ name: 'orders-t-1', token: 'now', started: soon });
    expect(told(look({ backup: stored(made, claim), jobs: [running], lock: hold(running) }, soon))).toEqual([]);
  });

  test('is one of its own again once the manual token that it joined is taken back', () => {
    const one = job({ name: 'orders-t-1', token: 'now', madeFrom: pending() });
    expect(told(look({ backup: pending(), jobs: [one] }, soon))).toEqual([
      'delete orders-t-1 job-1: what it is for has been handled',
    ]);
    expect(told(look({ backup: pending() }, soon))).toEqual([`create ${name}`]);
  });

  test.each([
    ['goes on', job({ started: window }), [pod({ phase: 'Running' })]],
    ['was claimed and has not been let go', job(), []],
  ])('is queued behind one that %s and was claimed before', (_name, one, pods) => {
    const status = { run: claimOf(one), lastAttemptScheduledTime: window };
    const decision = look({ backup: gated({}, { status }), jobs: [one], pods, lock: hold(one) }, window);
    expect(done(decision)).toEqual([`create ${name}`]);
    expect(decision.status.run?.gate).toBeUndefined();
  });

  test('is not one that was claimed before the change: its end satisfies nothing', () => {
    const ended = job({ started: window, ended: 'Complete' });
    const change = { token, observedAt: '2025-03-27T01:01:00Z' };
    const status = { run: claimOf(ended), lastAttemptScheduledTime: window, gate: change };
    const end = { backup: gated({}, { status }), jobs: [ended], pods: [committedPod()] };
    const decision = look(end, '2025-03-27T01:05:00Z');
    expect(decision.status.run?.outcome).toBe('Succeeded');
    expect(decision.status.gate).toEqual(change);
    expect(done(decision)).toEqual([`create ${name}`]);
  });

  test('is not one that was claimed for the same token before a change away and back', () => {
    const running = job({ name, gate: token, started: soon });
    const lastRun = { token, jobUID: 'job-1' };
    const run = claimOf(running, { trigger: 'Gate', gate: token });
    const world = { jobs: [running], pods: [pod({ phase: 'Running' })], lock: hold(running) };
    const away = look(
      { backup: pending({ status: { run, gate: { ...open, lastRun } } }, { token: 'B' }), ...world },
      soon,
    );
    expect(done(away)).toEqual([`create ${gateJobName('B', 'job-1')}`]);
    const back = look({ backup: gated({}, { status: away.status }), ...world }, '2025-03-26T12:32:00Z');
    expect(done(back)).toEqual([`create ${gateJobName(token, 'job-1')}`]);
    const ended = job({ name, gate: token, started: soon, ended: 'Complete' });
    const end = look({ backup: gated({}, { status: back.status }), jobs: [ended], pods: [committedPod()] }, limit);
    expect(end.status.run?.outcome).toBe('Succeeded');
    expect(end.status.gate).toEqual({ token, observedAt: '2025-03-26T12:32:00Z', lastRun });
  });
});

describe('a gate fails for good', () => {
  const failure = { failedAt: limit, failure: 'no backup was committed within 3600 s' };

  test('when nothing was committed in its time, for which it wakes', () => {
    const before = look({ backup: pending({ spec: { schedule: '0 1 1 1 *' } }) }, '2025-03-26T13:29:59Z');
    expect(before.status.gate).toEqual(open);
    expect(before.wakeAt).toBe(Date.parse(limit));
    const late = look({ backup: pending() }, limit);
    expect(told(late)).toEqual(['event GateFailed']);
    expect(late.status.gate).toEqual({ ...open, ...failure });
    const again = look({ backup: stored(pending(), late) }, '2025-03-26T14:00:00Z');
    expect([told(again), again.status]).toEqual([[], late.status]);
  });

  test('though its Job only waits for the lock, and the Job goes', () => {
    const made = pending();
    const foreign = { lease: lease(undefined, { holderIdentity: 'upgrade', renewTime: limit }), holderIsAlive: true };
    const waits = { backup: made, jobs: [waitingFor(made)], lock: foreign };
    expect(conditionsOf(look(waits, '2025-03-26T13:29:59Z'))).toContain('Ready=False GatePending');
    const late = look(waits, limit);
    expect(done(late)).toEqual([`delete ${name} job-1: what it is for has been handled`]);
    expect(late.status.gate).toEqual({ ...open, ...failure });
  });

  test('after the time that its spec says now', () => {
    expect(look({ backup: pending({}, { timeoutSeconds: 60 }) }, soon).status.gate?.failedAt).toBe(soon);
    expect(look({ backup: pending({}, { timeoutSeconds: 7200 }) }, limit).status.gate).toEqual(open);
  });

  test.each([
    ['failed', job({ name, gate: token, started: soon, ended: 'Failed' }), false],
    ['was canceled', job({ name, gate: token, started: soon, spec: { suspend: true } }), false],
    ['is gone', undefined, true],
  ])('when the Job that was claimed for it %s, and asks for no other', (_name, ended, claimedIsGone) => {
    const run = claimOf(waitingFor(pending()), { trigger: 'Gate', gate: token });
    const gate = { ...open, lastRun: { token, jobUID: 'job-1' } };
    const jobs = ended === undefined ? [] : [ended];
    const decision = look({ backup: pending({ status: { run, gate } }), jobs, claimedIsGone }, soon);
    expect(done(decision)).toEqual([]);
    expect(told(decision)).toContain('event GateFailed');
    expect(decision.status.gate).toMatchObject({
      ...gate,
      failedAt: soon,
      failure: expect.stringContaining('. Fix: '),
    });
    expect(done(look({ backup: stored(pending(), decision), claimedIsGone }, soon))).toEqual([]);
  });

  test('and not because a run failed that was claimed before', () => {
    const ended = job({ started: window, ended: 'Failed' });
    const status = { run: claimOf(ended), lastAttemptScheduledTime: window, gate: { token, observedAt: window } };
    const decision = look({ backup: gated({}, { status }), jobs: [ended] }, window);
    expect(decision.status.run?.outcome).toBe('Failed');
    expect(decision.status.gate).toEqual(status.gate);
    expect(done(decision)).toEqual([`create ${name}`]);
  });

  const failed = { ...open, ...failure };
  test('and blocks the change', () => {
    const decision = look({ backup: pending({ status: { gate: failed } }) }, limit);
    expect(conditionsOf(decision)).toEqual([
      'Ready=False GateFailed',
      'Stalled=True GateFailed',
      'BackupHealthy=False GateFailed',
    ]);
    expect(conditionOf(decision, 'Ready')?.message).toContain(failure.failure);
  });

  test('or lets it pass where onFailure is Allow, and may be told so afterwards', () => {
    const status = { gate: failed };
    const allowed = look({ backup: pending({ status }, { onFailure: 'Allow' }) }, limit);
    expect(conditionsOf(allowed)).toEqual(['Ready=True GateOverridden', 'BackupHealthy=False GateFailed']);
    const blocked = look({ backup: pending({ status: allowed.status }, { onFailure: 'Block' }) }, limit);
    expect(conditionsOf(blocked)).toContain('Ready=False GateFailed');
  });

  test('and heals when a later run commits, whatever asked for it', () => {
    const made = pending({ status: { gate: failed } });
    const one = job({ madeFrom: made });
    const claim = look({ backup: made, jobs: [one], lock: hold(one) }, window);
    expect(claim.status.run).toMatchObject({ trigger: 'Schedule', gate: token });
    const ended = job({ started: window, ended: 'Complete', madeFrom: made });
    const end = look({ backup: stored(made, claim), jobs: [ended], pods: [committedPod()] }, '2025-03-27T01:05:00Z');
    expect(end.status.gate).toEqual({ ...open, lastRun: { token, jobUID: 'job-1' }, satisfiedBy: 'job-1' });
    expect(conditionsOf(end)).toEqual(['Ready=True Accepted', 'BackupHealthy=True LastRunSucceeded']);
  });

  test('and heals when the run that it did not wait for commits after all', () => {
    const ended = job({ name, gate: token, started: soon, ended: 'Complete' });
    const run = claimOf(ended, { trigger: 'Gate', gate: token });
    const made = pending({ status: { run, gate: failed } });
    const end = look({ backup: made, jobs: [ended], pods: [committedPod()] }, '2025-03-26T13:40:00Z');
    expect(end.status.gate).toEqual({ ...open, satisfiedBy: 'job-1' });
  });

  test('once: a later run that fails too leaves when and why as they were', () => {
    const ended = job({ started: window, ended: 'Failed' });
    const run = claimOf(ended, { gate: token });
    const made = pending({ status: { run, lastAttemptScheduledTime: window, gate: failed } });
    const decision = look({ backup: made, jobs: [ended] }, '2025-03-27T01:05:00Z');
    expect(told(decision)).toEqual(['event BackupFailed']);
    expect(decision.status.gate).toEqual(failed);
  });
});

describe('while a change waits', () => {
  const old = 'postgres:16';
  const lastSnapshot = { id: 'old', image: old };
  const changed: Change = { spec: { database: { ...backup().spec.database, image: token } }, status: { lastSnapshot } };
  const imageOf = (decision: ReturnType<typeof look>) => {
    const made = decision.effects.find(({ kind }) => kind === 'createJob');
    return made?.kind === 'createJob' ? (made.job as ReturnType<typeof job>).spec.template?.spec?.containers?.[0] : {};
  };

  test('its Job runs in the image of the last good run, and says so in claim and snapshot', () => {
    const decision = look({ backup: gated({}, changed) }, seen);
    expect(imageOf(decision)).toMatchObject({ name: 'dump', image: old });
    const made = pending(changed);
    const status = { gate: open, lastSnapshot };
    const one = job({ name, gate: token, madeFrom: made, image: old });
    const claim = look({ backup: pending({ ...changed, status }), jobs: [one], lock: hold(one) }, soon);
    expect(claim.status.run?.image).toBe(old);
    const ended = job({ name, gate: token, started: soon, ended: 'Complete', madeFrom: made, image: old });
    const end = look({ backup: stored(made, claim), jobs: [ended], pods: [committedPod()] }, soon);
    expect(end.status.lastSnapshot?.image).toBe(old);
  });

  test('a Job of the spec that waits already is made again in that image', () => {
    const made = pending({ ...changed, status: { lastSnapshot, gate: { token, observedAt: window } } });
    const one = job({ madeFrom: made, image: token });
    const decision = look({ backup: made, jobs: [one], lock: hold(one) }, window);
    expect(done(decision)).toEqual([`delete ${jobName} job-1: the spec has changed`, `create ${jobName}`]);
    expect(imageOf(decision)).toMatchObject({ image: old });
    expect(decision.status.run).toBeUndefined();
  });

  test('and no run has been good yet the image is that of the spec', () => {
    const { status: _, ...fresh } = changed;
    expect(imageOf(look({ backup: gated({}, fresh) }, seen))).toMatchObject({ image: token });
  });

  test.each([
    ['satisfied', { ...open, satisfiedBy: 'job-0' }],
    ['failed for good', { ...open, failedAt: soon, failure: 'late' }],
  ])('and is %s the spec has its own image again, for Jobs that wait too', (_name, gate) => {
    const made = pending({ ...changed, status: { lastSnapshot, gate } });
    expect(imageOf(look({ backup: made }, window))).toMatchObject({ image: token });
    const decision = look({ backup: made, jobs: [job({ madeFrom: made, image: old })] }, window);
    expect(done(decision)).toEqual([`delete ${jobName} job-1: the spec has changed`, `create ${jobName}`]);
    expect(imageOf(decision)).toMatchObject({ image: token });
  });
});
