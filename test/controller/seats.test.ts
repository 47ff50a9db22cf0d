// Places under the caps: what the cache shows, what is being launched, who waits and is told when there is room.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Job } from '../../controller/objects.ts';
import { Seats } from '../../controller/seats.ts';
import { job, lease, ownedBy } from './builders.ts';
import { MemoryKube } from './memory-kube.ts';

let time: number;
let kube: MemoryKube;
let seats: Seats;
let caches: ReturnType<MemoryKube['caches']>;

beforeEach(() => {
  time = 1_000_000;
  kube = new MemoryKube();
  caches = kube.caches();
  seats = new Seats(caches, { maxRunning: 3, maxRunningPerNamespace: 2 }, () => time);
});

const named = (uid: string, namespace = 'shop', change: Parameters<typeof job>[0] = {}): Job => {
  const { metadata, ...rest } = job({ name: uid, uid: `job-${uid}`, ...change });
  return { ...rest, metadata: { ...metadata, namespace } };
};

/** The cache shows it, and says so. */
function see(one: Job): void {
  kube.put('jobs', one);
  caches.jobTold(one);
  seats.jobTold(one);
}

describe('a seat', () => {
  test('is there until the cap of the namespace, then that overall', () => {
    expect([seats.reserve(named('a')), seats.reserve(named('b')), seats.reserve(named('c'))]).toEqual([
      true,
      true,
      false,
    ]);
    expect([seats.reserve(named('d', 'depot')), seats.reserve(named('e', 'depot'))]).toEqual([true, false]);
    expect(seats.taken('shop')).toEqual({ overall: 3, namespace: 2 });
    expect(seats.taken('depot')).toEqual({ overall: 3, namespace: 1 });
    expect(seats.taken('yard')).toEqual({ overall: 3, namespace: 0 });
  });

  test('taken twice is taken once', () => {
    expect([seats.reserve(named('a')), seats.reserve(named('a'))]).toEqual([true, true]);
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
  });

  test('taken again is given though all are taken', () => {
    for (const uid of ['a', 'b']) seats.reserve(named(uid));
    expect(seats.reserve(named('a'))).toBe(true);
  });

  test('given back is free, once', () => {
    for (const uid of ['a', 'b']) seats.reserve(named(uid));
    seats.free('job-a');
    seats.free('job-a');
    seats.free('nobody');
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
    expect(seats.reserve(named('c'))).toBe(true);
    expect(seats.reserve(named('d'))).toBe(false);
  });

  test('is counted once when the cache shows its Job as started', () => {
    see(named('a'));
    seats.reserve(named('a'));
    expect(seats.taken('shop').overall).toBe(1);
    see(named('a', 'shop', { started: '2025-03-27T01:00:10Z' }));
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
    see(named('a', 'shop', { started: '2025-03-27T01:00:10Z', ended: 'Complete' }));
    expect(seats.taken('shop')).toEqual({ overall: 0, namespace: 0 });
  });

  test.each([
    ['nobody owns', { metadata: { ownerReferences: [] } }],
    ['another kind of object owns', { metadata: { ownerReferences: [{ ...ownedBy('x'), apiVersion: 'batch/v1' }] } }],
    ['is suspended', { spec: { suspend: true } }],
  ])(
    'is not taken by a Job that %s, whatever its annotations say',
    (_name, change: { metadata?: object; spec?: Job['spec'] }) => {
      const started = named('a', 'shop', { started: '2025-03-27T01:00:10Z' });
      see({ ...started, ...change, metadata: { ...started.metadata, ...change.metadata } });
      expect(seats.taken('shop')).toEqual({ overall: 0, namespace: 0 });
    },
  );

  test('is kept while the cache shows its Job as waiting', () => {
    see(named('a'));
    seats.reserve(named('a'));
    see(named('a'));
    expect(seats.taken('shop').overall).toBe(1);
  });

  test.each([
    ['is gone', () => kube.jobs.clear()],
    [
      'has made place for another of its name',
      () => kube.put('jobs', { ...named('a'), metadata: { ...named('a').metadata, uid: 'job-z' } }),
    ],
    ['ended without a start', () => kube.put('jobs', named('a', 'shop', { ended: 'Failed' }))],
  ])('is free when its Job %s', (_name, happens) => {
    see(named('a'));
    seats.reserve(named('a'));
    happens();
    caches.jobTold(named('a'));
    seats.jobTold(named('a'));
    expect(seats.taken('shop')).toEqual({ overall: 0, namespace: 0 });
  });

  test('of a launch that comes to nothing is free after a minute, the others are not', () => {
    seats.reserve(named('a'));
    time += 30_000;
    seats.reserve(named('b'));
    time += 29_999;
    expect(seats.taken('shop').overall).toBe(2);
    time += 1;
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
    expect(seats.reserve(named('c'))).toBe(true);
  });
});

describe('the lock that a controller before this one took for a Job', () => {
  const holding = (holder: Job) => lease(holder);

  test('takes a seat until the Job starts', () => {
    see(named('a'));
    seats.leaseTold(holding(named('a')));
    seats.leaseTold(holding(named('a')));
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
    see(named('a', 'shop', { started: '2025-03-27T01:00:10Z' }));
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
  });

  test.each([
    ['has started', named('a', 'shop', { started: '2025-03-27T01:00:10Z' }), 1],
    ['has ended', named('a', 'shop', { ended: 'Failed' }), 0],
    ['is another by now', { ...named('a'), metadata: { ...named('a').metadata, uid: 'job-z' } }, 0],
  ])('takes none when the Job %s', (_name, one, overall) => {
    see(one);
    seats.leaseTold(holding(named('a')));
    expect(seats.taken('shop').overall).toBe(overall);
  });

  test('takes none when it is foreign, or free', () => {
    see(named('a'));
    seats.leaseTold(lease(undefined, { holderIdentity: 'upgrade' }));
    seats.leaseTold(lease(undefined));
    expect(seats.taken('shop').overall).toBe(0);
  });
});

describe('who waits for room', () => {
  test('is told once, the longest waiting first', () => {
    for (const key of ['shop/a', 'shop/b', 'shop/c']) seats.waits(key, true);
    seats.waits('shop/a', true);
    seats.waits('shop/b', false);
    expect(seats.nextInLine()).toEqual(['shop/a', 'shop/c']);
    expect(seats.nextInLine()).toEqual([]);
  });

  test('and was told waits behind the others when there is still no room', () => {
    seats.waits('shop/a', true);
    expect(seats.nextInLine()).toEqual(['shop/a']);
    for (const key of ['shop/b', 'shop/a']) seats.waits(key, true);
    expect(seats.nextInLine()).toEqual(['shop/b', 'shop/a']);
  });

  test('is told in bounded numbers, and everyone in turn', () => {
    const keys = Array.from({ length: 40 }, (_, at) => `shop/${at}`);
    for (const key of keys) seats.waits(key, true);
    const told = [seats.nextInLine(), seats.nextInLine(), seats.nextInLine()];
    expect(told.map(({ length }) => length)).toEqual([16, 16, 8]);
    expect(told.flat()).toEqual(keys);
  });
});
