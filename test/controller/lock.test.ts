// The Lease of a database cluster: who holds it, who may take it, and what taking and giving back write.
import { describe, expect, test } from 'vitest';
import { holderOf, isFree, releasedLease, takenLease } from '../../controller/lock.ts';
import type { Lease } from '../../controller/objects.ts';
import { job, jobName, lease, window } from './builders.ts';

const now = Date.parse(window);
const time = '2025-03-27T01:00:00.000000Z';
const stranger = (spec: Lease['spec']): Lease => lease(undefined, { holderIdentity: 'script', ...spec });

describe('the holder', () => {
  test('is nobody without a Lease, without a spec and without a name in it', () => {
    const { spec: _, ...bare } = lease(undefined);
    for (const one of [undefined, lease(undefined), bare])
      expect(holderOf({ lease: one, holderIsAlive: false })).toEqual({ kind: 'free' });
  });

  test('is a Job where the Lease names one', () => {
    for (const alive of [true, false])
      expect(holderOf({ lease: lease(job()), holderIsAlive: alive })).toEqual({
        kind: 'job',
        uid: 'job-1',
        name: jobName,
        since: window,
        alive,
      });
  });

  test('is a stranger without the name of a Job, until its claim runs out', () => {
    const found = holderOf({ lease: stranger({ leaseDurationSeconds: 60, renewTime: window }), holderIsAlive: true });
    expect(found).toEqual({ kind: 'foreign', identity: 'script', since: window, until: now + 60_000 });
  });
});

describe('the lock is free', () => {
  test.each<[string, Lease | undefined, boolean, number, boolean]>([
    ['that nobody holds', lease(undefined), false, now, true],
    ['of a Job that may work', lease(job()), true, now + 1e12, false],
    ['of a Job that is dead', lease(job()), false, now, true],
    [
      'of a stranger a millisecond before the end',
      stranger({ leaseDurationSeconds: 60, renewTime: window }),
      true,
      now + 59_999,
      false,
    ],
    ['of a stranger at the end', stranger({ leaseDurationSeconds: 60, renewTime: window }), true, now + 60_000, true],
    [
      'of a stranger whose time is rubbish',
      stranger({ leaseDurationSeconds: 60, renewTime: 'soon' }),
      true,
      now + 1e12,
      false,
    ],
  ])('%s', (_name, one, alive, at, free) => {
    expect(isFree(holderOf({ lease: one, holderIsAlive: alive }), at)).toBe(free);
  });
});

describe('taking', () => {
  test('makes a Lease with labels to find it by', () => {
    expect(takenLease('orders-db', undefined, job(), 900, time)).toEqual({
      metadata: {
        name: 'dbbackup-orders-db',
        namespace: 'shop',
        labels: { 'app.kubernetes.io/managed-by': 'dbbackup', 'dbbackup.io/cluster': 'orders-db' },
        annotations: { 'dbbackup.io/job': jobName, 'dbbackup.io/job-uid': 'job-1' },
      },
      spec: {
        holderIdentity: 'job-1',
        acquireTime: time,
        renewTime: time,
        leaseDurationSeconds: 900,
        leaseTransitions: 0,
      },
    });
  });

  test('of a Lease that exists keeps its version and what others wrote on it, and counts on', () => {
    const before = lease(undefined);
    before.metadata = {
      ...before.metadata,
      resourceVersion: '42',
      labels: { team: 'shop' },
      annotations: { note: 'x' },
    };
    const taken = takenLease('orders-db', before, job(), 900, time);
    expect(taken).toMatchObject({
      metadata: {
        resourceVersion: '42',
        labels: { team: 'shop', 'dbbackup.io/cluster': 'orders-db' },
        annotations: { note: 'x' },
      },
      spec: { leaseTransitions: 4 },
    });
    expect(before.metadata.annotations).toEqual({ note: 'x' });
  });

  test('from a stranger counts from nothing where the stranger did not count', () => {
    const { leaseTransitions: _, ...spec } = stranger({}).spec ?? {};
    expect(takenLease('orders-db', { ...stranger({}), spec }, job(), 900, time).spec?.leaseTransitions).toBe(0);
  });
});

test('giving back clears the holder, keeps the count, the version and what others wrote', () => {
  const held = lease(job());
  held.metadata.annotations = { ...held.metadata.annotations, note: 'x' };
  const released = releasedLease(held);
  expect(released.spec).toEqual({ holderIdentity: '', leaseTransitions: 3 });
  expect(released.metadata).toEqual({ ...held.metadata, annotations: { note: 'x' } });
  expect(holderOf({ lease: released, holderIsAlive: true })).toEqual({ kind: 'free' });
  expect(releasedLease(released)).toEqual(released);
});
