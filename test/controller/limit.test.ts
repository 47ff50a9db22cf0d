// The client's own limits: the rate holds, launches go first, nobody waits for ever, the leader never, and a server that asks for a pause gets it.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Bucket, type Lane, Limiter } from '../../controller/limit.ts';
import { repeatedly } from '../crds/seeded.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const turn = async (milliseconds: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(milliseconds));

/** A bucket with a note of who was let through. */
class Door {
  readonly through: string[] = [];
  readonly bucket: Bucket;
  constructor(perSecond: number, burst: number, now?: () => number) {
    this.bucket = new Bucket(perSecond, burst, now);
  }

  ask(name: string, lane: Lane = 'other', signal?: AbortSignal): Promise<void> {
    return this.bucket.take(lane, signal).then(() => void this.through.push(name));
  }

  async empty(burst: number): Promise<void> {
    for (let count = 0; count < burst; count++) await this.bucket.take('other');
  }
}

describe('the rate', () => {
  test('lets a burst through at once and then so many a second', async () => {
    const door = new Door(50, 100);
    for (let count = 0; count < 300; count++) void door.ask('call');
    await turn(0);
    expect(door.through).toHaveLength(100);
    await turn(1000);
    expect(door.through).toHaveLength(150);
    await turn(3000);
    expect(door.through).toHaveLength(300);
  });

  test('saves up no more than the burst', async () => {
    const door = new Door(50, 10);
    await turn(3_600_000);
    for (let count = 0; count < 30; count++) void door.ask('call');
    await turn(0);
    expect(door.through).toHaveLength(10);
  });

  test('counts reads and writes apart', async () => {
    const limiter = new Limiter(1, 1);
    await limiter.bucketOf('GET').take('other');
    await limiter.bucketOf('POST').take('other');
    expect(limiter.bucketOf('PATCH')).toBe(limiter.bucketOf('DELETE'));
    expect(limiter.bucketOf('PATCH')).not.toBe(limiter.bucketOf('GET'));
  });

  test('holds whatever comes when, and lets everyone through in the end', async () => {
    const asked: { wait: number; lane: Lane }[] = [];
    repeatedly(400, (random) => {
      const lane = random.pick<Lane>(['start', 'claim', 'lock', 'create', 'status', 'other']);
      asked.push({ wait: random.below(40), lane });
    });
    const door = new Door(50, 20);
    const began = Date.now();
    for (const { wait, lane } of asked) {
      void door.ask(lane, lane);
      await turn(wait);
      expect(door.through.length).toBeLessThanOrEqual(20 + ((Date.now() - began) * 50) / 1000);
    }
    await turn(10_000);
    expect(door.through).toHaveLength(asked.length);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('who waits', () => {
  const lanes: Lane[] = ['start', 'claim', 'lock', 'create', 'status', 'other'];

  test('goes in the order of the lanes, and in a lane in the order of coming', async () => {
    const door = new Door(10, 1);
    await door.empty(1);
    for (const lane of [...lanes].reverse()) void door.ask(`${lane} 1`, lane);
    await turn(0);
    void door.ask('start 2', 'start');
    await turn(1000);
    expect(door.through).toEqual(['start 1', 'start 2', 'claim 1', 'lock 1', 'create 1', 'status 1', 'other 1']);
  });

  test('is not overtaken by one that comes when a token is there', async () => {
    let now = 0;
    const door = new Door(10, 1, () => now);
    await door.empty(1);
    void door.ask('waits');
    await turn(0);
    // The token is there, but the timer that hands it out has not fired yet.
    now = 100;
    void door.ask('comes');
    await turn(100);
    expect(door.through).toEqual(['waits']);
  });

  test('goes every tenth time by age alone, so that a flood of launches holds up nobody for good', async () => {
    const door = new Door(10, 1);
    await door.empty(1);
    void door.ask('status', 'status');
    void door.ask('event', 'other');
    await turn(0);
    for (let count = 0; count < 200; count++) void door.ask('start', 'start');
    await turn(900);
    expect(door.through).not.toContain('status');
    await turn(100);
    expect(door.through.at(-1)).toBe('status');
    await turn(1000);
    expect(door.through.at(-1)).toBe('event');
    expect(door.through.filter((name) => name === 'start')).toHaveLength(18);
  });

  test('is known to wait only where it belongs to a launch', async () => {
    const door = new Door(10, 1);
    await door.empty(1);
    void door.ask('status', 'status');
    void door.ask('event');
    expect(door.bucket.launchesWait).toBe(false);
    for (const lane of ['start', 'claim', 'lock', 'create'] as const) {
      void door.ask(lane, lane);
      expect(door.bucket.launchesWait).toBe(true);
      await turn(100);
      expect(door.through.at(-1)).toBe(lane);
      expect(door.bucket.launchesWait).toBe(false);
    }
  });

  test('may give up, and takes nobody else with it', async () => {
    const door = new Door(10, 1);
    await door.empty(1);
    const given = new AbortController();
    const waiting = door.ask('gives up', 'start', given.signal);
    void door.ask('stays');
    given.abort(new Error('no more'));
    await expect(waiting).rejects.toThrow('no more');
    await turn(100);
    expect(door.through).toEqual(['stays']);
    await expect(door.ask('too late', 'start', given.signal)).rejects.toThrow('no more');
  });
});

describe('the leader', () => {
  test('waits behind nobody', async () => {
    const door = new Door(10, 5);
    for (let count = 0; count < 50; count++) void door.ask('start', 'start');
    await door.ask('leader', 'leader');
    expect(door.through.indexOf('leader')).toBeLessThanOrEqual(5);
  });

  test('goes on credit: what it took the others wait for', async () => {
    const door = new Door(10, 1);
    for (let count = 0; count < 3; count++) await door.ask('leader', 'leader');
    void door.ask('next');
    await turn(299);
    expect(door.through).not.toContain('next');
    await turn(1);
    expect(door.through).toContain('next');
  });

  test('is not held up by a pause', async () => {
    const door = new Door(10, 5);
    door.bucket.pause(30_000);
    await door.ask('leader', 'leader');
    expect(door.through).toEqual(['leader']);
  });
});

describe('a pause', () => {
  test('holds everyone who waits and who comes, and ends without a burst', async () => {
    const door = new Door(10, 5);
    await door.empty(5);
    void door.ask('waits');
    door.bucket.pause(10_000);
    void door.ask('comes');
    await turn(10_050);
    expect(door.through).toEqual([]);
    await turn(150);
    expect(door.through).toEqual(['waits', 'comes']);
  });

  test('keeps a full bucket closed too', async () => {
    const door = new Door(10, 5);
    door.bucket.pause(1_000);
    void door.ask('comes');
    await turn(1_000);
    expect(door.through).toEqual([]);
    await turn(100);
    expect(door.through).toEqual(['comes']);
  });

  test('is not cut short by a shorter one', async () => {
    const door = new Door(10, 5);
    door.bucket.pause(5_000);
    door.bucket.pause(1_000);
    void door.ask('comes');
    await turn(5_000);
    expect(door.through).toEqual([]);
  });

  test.each([Number.POSITIVE_INFINITY, 999_999_999_000])('of %d ms lasts a minute', async (asked) => {
    const door = new Door(10, 5);
    door.bucket.pause(asked);
    void door.ask('comes');
    await turn(60_100);
    expect(door.through).toEqual(['comes']);
  });

  test.each([0, -5_000, Number.NaN])('of %d ms is none', async (asked) => {
    const door = new Door(10, 5);
    door.bucket.pause(asked);
    await door.ask('comes');
    expect(door.through).toEqual(['comes']);
  });
});
