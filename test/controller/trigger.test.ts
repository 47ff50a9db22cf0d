// Decisions about triggers: a token is served once, joined where a Job waits, and queued behind a run.
import { describe, expect, test } from 'vitest';
import { triggerJobName } from '../../crds/rules/names.ts';
import { backup, claimOf, job, jobName, lease, look, pod, told, window } from './builders.ts';

const now = '2025-03-26T12:30:00Z';
const name = triggerJobName('orders', 'backup-1', 'Manual', 'now', '');
const asked = (token: string, change: Parameters<typeof backup>[0] = {}) =>
  backup({ ...change, metadata: { annotations: { 'dbbackup.io/trigger': token } } });
const manual = job({ name, token: 'now', created: now });
const hold = (holder: Parameters<typeof lease>[0]) => ({ lease: lease(holder), holderIsAlive: true });

describe('a new token', () => {
  test('makes a Job of its own, with when it was seen', () => {
    const decision = look({ backup: asked('now') }, now);
    expect(told(decision)).toEqual([`create ${name}`]);
    const [made] = decision.effects;
    expect(made?.kind === 'createJob' ? JSON.stringify(made.job) : '').toContain(`\\"time\\":\\"${now}\\"`);
    expect(decision.status.lastHandledTrigger).toBeUndefined();
  });

  test('is claimed by its Job and is spent from then on', () => {
    const decision = look({ backup: asked('now'), jobs: [manual], lock: hold(manual) }, now);
    expect(told(decision)).toEqual([]);
    expect(decision.status.run).toMatchObject({ trigger: 'Manual', token: 'now', jobName: name, jobUID: 'job-1' });
    expect(decision.status.run?.slot).toBeUndefined();
    expect(decision.status.lastHandledTrigger).toEqual({ token: 'now', jobUID: 'job-1' });
    expect(decision.status.lastAttemptScheduledTime).toBeUndefined();
  });

  test('whose Job somebody let go, so that it ended without a claim, has another in its place', () => {
    const ended = job({ name, token: 'now', created: now, started: now, ended: 'Complete' });
    expect(told(look({ backup: asked('now'), jobs: [ended] }, now))).toEqual([
      `delete ${name} job-1: it ended without a claim`,
      `create ${name}`,
    ]);
  });

  test('is served by a scheduled Job that waits, whose claim names both', () => {
    const waiting = job();
    const decision = look({ backup: asked('now'), jobs: [waiting] }, window);
    expect(told(decision)).toEqual([`take dbbackup-orders-db for ${jobName}`]);
    const claimed = look({ backup: asked('now'), jobs: [waiting], lock: hold(waiting) }, window);
    expect(claimed.status.run).toMatchObject({ trigger: 'Schedule', slot: window, token: 'now' });
    expect(claimed.status.lastHandledTrigger).toEqual({ token: 'now', jobUID: 'job-1' });
  });

  test('and a window that is due in one look make one Job', () => {
    expect(told(look({ backup: asked('now') }, window))).toEqual([`create ${jobName}`]);
  });

  test('while a run goes on queues one more', () => {
    const running = job({ started: window });
    const status = { run: claimOf(running), lastAttemptScheduledTime: window };
    const decision = look(
      { backup: asked('now', { status }), jobs: [running], pods: [pod({ phase: 'Running' })], lock: hold(running) },
      '2025-03-27T01:09:59Z',
    );
    expect(told(decision)).toEqual([`create ${name}`]);
  });

  test('while a claimed run has not been let go queues one more too', () => {
    const claimed = job();
    const status = { run: claimOf(claimed), lastAttemptScheduledTime: window };
    const decision = look({ backup: asked('now', { status }), jobs: [claimed], lock: hold(claimed) }, window);
    // The Job is made first; the claimed one is let go in the next look.
    expect(told(decision)).toEqual([`create ${name}`]);
  });

  test('in place of one that waits takes its Job away first and is made after', () => {
    const decision = look({ backup: asked('other'), jobs: [manual] }, now);
    expect(told(decision)).toEqual([`delete ${name} job-1: what it is for has been handled`]);
    const after = look({ backup: asked('other') }, now);
    expect(told(after)).toEqual([`create ${triggerJobName('orders', 'backup-1', 'Manual', 'other', '')}`]);
  });

  test('that is taken back takes its Job away', () => {
    expect(told(look({ jobs: [manual] }, now))).toEqual([`delete ${name} job-1: what it is for has been handled`]);
  });
});

describe('a token that was handled', () => {
  const handled = { lastHandledTrigger: { token: 'now', jobUID: 'job-1' } };

  test('asks for nothing more', () => {
    expect(told(look({ backup: asked('now', { status: handled }) }, now))).toEqual([]);
  });

  test('has its left-over Job deleted and never claimed', () => {
    const left = job({ name, uid: 'job-9', token: 'now', created: now });
    const decision = look({ backup: asked('now', { status: handled }), jobs: [left], lock: hold(left) }, now);
    expect(told(decision)).toEqual([`delete ${name} job-9: what it is for has been handled`]);
    expect(decision.status.run).toBeUndefined();
  });

  test('and used again after another gets a Job of another name', () => {
    const status = { lastHandledTrigger: { token: 'other', jobUID: 'job-2' } };
    const [effect] = told(look({ backup: asked('now', { status }) }, now));
    expect(effect).toMatch(/^create orders-t-/);
    expect(effect).not.toBe(`create ${name}`);
  });
});

test('an empty token asks for nothing', () => {
  expect(told(look({ backup: asked('') }, now))).toEqual([]);
});

test('a token while the spec is not valid waits until it is', () => {
  const invalid = asked('now', { spec: { retention: {} } });
  expect(told(look({ backup: invalid }, now))).toEqual([]);
  expect(look({ backup: invalid }, now).status.lastHandledTrigger).toBeUndefined();
});

test('a trigger is made again from a changed spec under its own name', () => {
  const changed = asked('now', { spec: { retention: { keepLast: 9 } } });
  expect(told(look({ backup: changed, jobs: [manual] }, now))).toEqual([
    `delete ${name} job-1: the spec has changed`,
    `create ${name}`,
  ]);
});
