// The work queue: one worker a key, no key twice in line, ever longer waits after failures, and an end that waits for work.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Queue } from '../../controller/queue.ts';
import { ApiError } from '../../controller/transport.ts';
import { repeatedly } from '../crds/seeded.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Work that goes on until it is told to end. */
class Bench {
  readonly started: string[] = [];
  readonly failures: { key: string; wait: number }[] = [];
  readonly counts = { added: 0, retried: 0, waited: [] as number[] };
  private readonly open = new Map<string, { end: (at?: number) => void; fail: (error: Error) => void }>();
  readonly queue = new Queue(
    (key) => {
      this.started.push(key);
      if (this.open.has(key)) throw new Error(`two workers work on ${key}`);
      return new Promise<number | undefined>((resolve, reject) => {
        this.open.set(key, { end: resolve, fail: reject });
      });
    },
    (key, _error, wait) => this.failures.push({ key, wait }),
    {
      added: () => (this.counts.added += 1),
      retried: () => (this.counts.retried += 1),
      waited: (milliseconds) => this.counts.waited.push(milliseconds),
    },
  );

  get working(): string[] {
    return [...this.open.keys()];
  }

  async end(key: string, at?: number): Promise<void> {
    const work = this.open.get(key);
    this.open.delete(key);
    work?.end(at);
    await vi.advanceTimersByTimeAsync(0);
  }

  async fail(key: string, error = new Error('no')): Promise<void> {
    const work = this.open.get(key);
    this.open.delete(key);
    work?.fail(error);
    await vi.advanceTimersByTimeAsync(0);
  }
}

test('what has changed goes before what has become due, of which one in four is looked at all the same', async () => {
  const bench = new Bench();
  const keys = (letter: string) => Array.from({ length: 6 }, (_, index) => `${letter}${index}`);
  for (const key of keys('due')) bench.queue.addAt(key, Date.now());
  await vi.advanceTimersByTimeAsync(1);
  for (const key of keys('told')) bench.queue.add(key);
  // What is due and is told of as well is in line once, and goes with what has changed.
  bench.queue.add('due5');
  expect(bench.queue.depth).toBe(12);
  bench.queue.start(1);
  for (let at = 0; at < 12; at++) await bench.end(bench.started[at] ?? '');
  expect(bench.started.join(' ')).toBe('told0 told1 told2 due0 told3 told4 told5 due1 due5 due2 due3 due4');
});

describe('a key', () => {
  test('that is added before the start is worked on after it', () => {
    const bench = new Bench();
    bench.queue.add('a');
    expect(bench.started).toEqual([]);
    bench.queue.start(1);
    expect(bench.started).toEqual(['a']);
  });

  test('that is added many times waits once', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    for (const key of ['a', 'b', 'b', 'b']) bench.queue.add(key);
    await bench.end('a');
    await bench.end('b');
    expect(bench.started).toEqual(['a', 'b']);
  });

  test('that is added while it is worked on is worked on once more, after', async () => {
    const bench = new Bench();
    bench.queue.start(4);
    for (const key of ['a', 'a', 'a']) bench.queue.add(key);
    expect(bench.started).toEqual(['a']);
    await bench.end('a');
    expect(bench.started).toEqual(['a', 'a']);
    await bench.end('a');
    expect(bench.started).toEqual(['a', 'a']);
  });

  test('waits for a worker in the order of coming', async () => {
    const bench = new Bench();
    bench.queue.start(2);
    for (const key of ['a', 'b', 'c', 'd']) bench.queue.add(key);
    expect(bench.working).toEqual(['a', 'b']);
    await bench.end('b');
    expect(bench.working).toEqual(['a', 'c']);
  });

  test('never has two workers, whatever comes in', async () => {
    const bench = new Bench();
    bench.queue.start(3);
    const moves: (() => Promise<void>)[] = [];
    repeatedly(500, (random) => {
      const key = random.pick(['a', 'b', 'c', 'd', 'e']);
      moves.push(
        random.pick([
          async () => bench.queue.add(key),
          async () => bench.queue.add(key),
          () => bench.end(key, random.chance(0.3) ? Date.now() + random.below(50) : undefined),
          () => bench.fail(key),
          async () => void (await vi.advanceTimersByTimeAsync(random.below(300))),
        ]),
      );
    });
    for (const move of moves) {
      await move();
      expect(bench.working.length).toBeLessThanOrEqual(3);
    }
    expect(bench.failures.filter(({ wait }) => wait === 0)).toEqual([]);
  });
});

describe('a key for later', () => {
  test('comes at its time and not before', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.addAt('a', Date.now() + 1000);
    await vi.advanceTimersByTimeAsync(999);
    expect(bench.started).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(bench.started).toEqual(['a']);
  });

  test('comes at the earliest of its times, once', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    for (const wait of [5000, 1000, 3000]) bench.queue.addAt('a', Date.now() + wait);
    await vi.advanceTimersByTimeAsync(1000);
    expect(bench.started).toEqual(['a']);
    await bench.end('a');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(bench.started).toEqual(['a']);
  });

  test('in the past comes at once', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.addAt('a', Date.now() - 1000);
    await vi.advanceTimersByTimeAsync(0);
    expect(bench.started).toEqual(['a']);
  });

  test('in a hundred years does not come at once: a timer cannot wait so long', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.addAt('a', Date.now() + 100 * 366 * 86_400_000);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(bench.started).toEqual([]);
  });

  test('is decided anew by a look in between', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.addAt('a', Date.now() + 1000);
    bench.queue.add('a');
    await bench.end('a', Date.now() + 5000);
    await vi.advanceTimersByTimeAsync(4999);
    expect(bench.started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(bench.started).toEqual(['a', 'a']);
  });

  test('that comes in during a look for sooner than the look asks is not put off', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    bench.queue.addAt('a', Date.now() + 1000);
    await bench.end('a', Date.now() + 5000);
    await vi.advanceTimersByTimeAsync(1000);
    expect(bench.started).toEqual(['a', 'a']);
  });
});

describe('a key that fails', () => {
  test('comes back after waits that double up to a bound, and from the first again after a success', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    for (let count = 0; count < 14; count++) {
      await bench.fail('a');
      await vi.advanceTimersByTimeAsync(bench.failures.at(-1)?.wait ?? 0);
    }
    const waits = bench.failures.map(({ wait }) => wait);
    const [first = 0] = waits;
    const most = Math.max(...waits);
    expect(waits).toEqual(waits.map((_wait, index) => Math.min(most, first * 2 ** index)));
    expect(waits.slice(-2)).toEqual([most, most]);
    await bench.end('a');
    bench.queue.add('a');
    await bench.fail('a');
    expect(bench.failures.at(-1)?.wait).toBe(first);
  });

  test('comes back within five minutes however often it failed', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    for (let count = 0; count < 40; count++) {
      await bench.fail('a');
      await vi.advanceTimersByTimeAsync(300_000);
    }
    expect(bench.started).toHaveLength(41);
  });

  test.each([
    [7, 7_000],
    [0, 100],
    [-3, 100],
    [86_400, 300_000],
  ])('because the server asks for %d s waits %d ms', async (retryAfter, wait) => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    await bench.fail('a', new ApiError('PUT /jobs', 429, 'too many requests', retryAfter));
    expect(bench.failures).toEqual([{ key: 'a', wait }]);
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(bench.started).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(bench.started).toEqual(['a', 'a']);
  });

  test('is not put off by a wall clock that is set back', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    await bench.fail('a');
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(bench.started).toEqual(['a', 'a']);
  });

  test('does not hold up another', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    bench.queue.add('a');
    bench.queue.add('b');
    await bench.fail('a');
    expect(bench.working).toEqual(['b']);
  });
});

describe('what is counted', () => {
  test('is who comes into line, who comes back, how many wait and for how long', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'b']) bench.queue.add(key);
    expect(bench.queue.depth).toBe(2);
    await vi.advanceTimersByTimeAsync(40);
    bench.queue.start(1);
    expect(bench.queue.depth).toBe(1);
    await vi.advanceTimersByTimeAsync(60);
    bench.queue.add('a');
    await bench.fail('a');
    expect(bench.queue.depth).toBe(1);
    expect(bench.counts).toEqual({ added: 3, retried: 1, waited: [40, 100] });
  });

  test('is no wait of less than nothing when the clock is set back', async () => {
    const bench = new Bench();
    bench.queue.add('a');
    vi.setSystemTime(Date.now() - 3_600_000);
    bench.queue.start(1);
    expect(bench.counts.waited).toEqual([0]);
  });
});

describe('the end', () => {
  test('waits for the work that goes on, and lets nothing more begin', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    for (const key of ['a', 'b']) bench.queue.add(key);
    bench.queue.addAt('c', Date.now() + 10);
    let ended = 0;
    for (let asked = 0; asked < 2; asked++) void bench.queue.stop().then(() => (ended += 1));
    await vi.advanceTimersByTimeAsync(1000);
    expect(ended).toBe(0);
    bench.queue.add('a');
    await bench.end('a', Date.now() + 10);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(ended).toBe(2);
    expect(bench.started).toEqual(['a']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is one after which a start begins afresh, without old waits and failures', async () => {
    const bench = new Bench();
    bench.queue.start(1);
    for (const key of ['a', 'b']) bench.queue.add(key);
    for (let count = 0; count < 5; count++) {
      await bench.fail('a');
      await bench.end('b');
      await vi.advanceTimersByTimeAsync(bench.failures.at(-1)?.wait ?? 0);
    }
    const stopped = bench.queue.stop();
    await bench.fail('a');
    await stopped;
    expect(bench.queue.depth).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000_000);
    bench.started.length = 0;
    bench.queue.start(1);
    expect(bench.started).toEqual([]);
    bench.queue.add('a');
    await bench.fail('a');
    expect(bench.failures.at(-1)?.wait).toBe(bench.failures[0]?.wait);
  });

  test('comes at once when nothing goes on', async () => {
    await expect(new Bench().queue.stop()).resolves.toBeUndefined();
  });
});
