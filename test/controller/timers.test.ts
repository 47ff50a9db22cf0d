// The heap of times: in order, one timer for all, and right whatever the wall clock does.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Timers } from '../../controller/timers.ts';
import { randomOf, repeatedly } from '../crds/seeded.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const hour = 3_600_000;
const turn = async (milliseconds: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(milliseconds));

/** Timers with a note of what came when, by the wall clock. */
function watch(): { timers: Timers; came: { key: string; at: number }[]; keys: () => string[] } {
  const came: { key: string; at: number }[] = [];
  return {
    timers: new Timers((key) => came.push({ key, at: Date.now() })),
    came,
    keys: () => came.map(({ key }) => key),
  };
}

describe('keys', () => {
  test('come in the order of their times, those of one time in the order of coming', async () => {
    const { timers, keys } = watch();
    const now = Date.now();
    for (const [key, wait] of [
      ['c', 30],
      ['a', 10],
      ['b2', 20],
      ['b1', 20],
      ['d', 40],
    ] as const)
      timers.set(key, now + wait);
    await turn(25);
    expect(keys()).toEqual(['a', 'b2', 'b1']);
    await turn(25);
    expect(keys()).toEqual(['a', 'b2', 'b1', 'c', 'd']);
  });

  test('are there once, at the earliest of their times', async () => {
    const { timers, came } = watch();
    const now = Date.now();
    for (const wait of [500, 100, 300]) timers.set('a', now + wait);
    expect(timers.size).toBe(1);
    await turn(1000);
    expect(came).toEqual([{ key: 'a', at: now + 100 }]);
  });

  test('with no time hold up no other, and come with the next look', async () => {
    const { timers, keys } = watch();
    timers.set('odd', Number.NaN);
    for (const key of ['a', 'b', 'c']) timers.set(key, Date.now() + 100);
    await turn(100);
    expect(keys()).toEqual(['a', 'b', 'c']);
    await turn(30_000);
    expect(keys()).toContain('odd');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that are taken out do not come, and leave no timer behind', async () => {
    const { timers, keys } = watch();
    for (const key of ['a', 'b', 'c']) timers.set(key, Date.now() + 100);
    timers.delete('a');
    timers.delete('nobody');
    await turn(100);
    expect(keys()).toEqual(['b', 'c']);
    timers.set('d', Date.now() + 100);
    timers.clear();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('may be set again by what they set off', async () => {
    const came: number[] = [];
    const timers: Timers = new Timers(() => {
      came.push(Date.now());
      if (came.length < 3) timers.set('a', Date.now() + 100);
    });
    timers.set('a', Date.now() + 100);
    await turn(1000);
    expect(came).toHaveLength(3);
  });

  test('come each at their time whatever is set, moved and taken out', async () => {
    const { timers, came } = watch();
    const wanted = new Map<string, number>();
    repeatedly(3_000, (random) => {
      const key = `key ${random.below(200)}`;
      if (random.chance(0.2)) {
        timers.delete(key);
        wanted.delete(key);
        return;
      }
      const at = Date.now() + 1 + random.below(60_000);
      timers.set(key, at);
      wanted.set(key, Math.min(at, wanted.get(key) ?? at));
    });
    expect(timers.size).toBe(wanted.size);
    await turn(60_000);
    expect(new Map(came.map(({ key, at }) => [key, at]))).toEqual(wanted);
    expect(came.map(({ at }) => at)).toEqual([...wanted.values()].sort((a, b) => a - b));
  });

  test('are many: ten thousand share one timer and come in order', async () => {
    const { timers, came } = watch();
    const random = randomOf(1);
    const now = Date.now();
    for (let count = 0; count < 10_000; count++) timers.set(`key ${count}`, now + random.below(hour));
    expect(timers.size).toBe(10_000);
    expect(vi.getTimerCount()).toBe(1);
    await turn(hour);
    expect(came).toHaveLength(10_000);
    expect(new Set(came.map(({ key }) => key)).size).toBe(10_000);
    expect(came.every(({ at }, index) => at >= (came[index - 1]?.at ?? 0))).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a wall clock', () => {
  test('that jumps ahead, or a machine that slept, is noticed within half a minute', async () => {
    const { timers, keys } = watch();
    timers.set('soon', Date.now() + hour);
    timers.set('late', Date.now() + 3 * hour);
    await turn(1000);
    vi.setSystemTime(Date.now() + 2 * hour);
    await turn(30_000);
    expect(keys()).toEqual(['soon']);
  });

  test('that is set back has everyone look again: their waits were reckoned by another clock', async () => {
    const { timers, keys } = watch();
    timers.set('retry', Date.now() + 60_000);
    timers.set('window', Date.now() + 5 * hour);
    vi.setSystemTime(Date.now() - hour);
    await turn(30_000);
    expect(keys()).toEqual(['retry', 'window']);
    expect(timers.size).toBe(0);
  });

  test('that is set back by no more than correction does changes nothing', async () => {
    const { timers, keys } = watch();
    timers.set('a', Date.now() + hour);
    for (let count = 0; count < 20; count++) {
      vi.setSystemTime(Date.now() - 500);
      await turn(30_000);
    }
    expect(keys()).toEqual([]);
  });

  test('that was set back while nobody waited sets off nothing', async () => {
    const { timers, keys } = watch();
    timers.set('a', Date.now() + 10);
    await turn(10);
    vi.setSystemTime(Date.now() - hour);
    timers.set('b', Date.now() + hour);
    await turn(hour - 1);
    expect(keys()).toEqual(['a']);
    await turn(1);
    expect(keys()).toEqual(['a', 'b']);
  });
});
