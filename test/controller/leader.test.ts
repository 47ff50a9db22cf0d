// Leader election against a Lease in memory: taking, waiting by the own clock, stepping down, giving back.
import { pino } from 'pino';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Kube } from '../../controller/kube.ts';
import { lead } from '../../controller/leader.ts';
import type { Lease } from '../../controller/objects.ts';
import { ApiError } from '../../controller/transport.ts';
import { randomOf } from '../crds/seeded.ts';

// Files share their modules: one that was imported before knows nothing of the mock, and none after shall know of it.
vi.hoisted(() => vi.resetModules());
afterAll(() => void vi.resetModules());
// Its sleep is made of the timer that the tests turn forward.
vi.mock('node:timers/promises', () => ({
  setTimeout: (wait: number, value: unknown, options: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      if (options.signal.aborted) return reject(options.signal.reason);
      const timer = setTimeout(() => resolve(value), wait);
      options.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(options.signal.reason);
      });
    }),
}));

const second = 1000;
const turn = async (seconds: number): Promise<void> => void (await vi.advanceTimersByTimeAsync(seconds * second));

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] }));
afterEach(() => vi.useRealTimers());

/** What an API server stores of the Lease. */
class Store {
  lease: Lease | undefined;
  writes = 0;

  put(body: object): Lease {
    this.writes += 1;
    const { metadata, spec } = body as Lease;
    this.lease = {
      metadata: { ...metadata, resourceVersion: String(this.writes) },
      ...(spec === undefined ? {} : { spec }),
    };
    return this.lease;
  }
}

/** The way of one client to an API server, which may be away, hang, be slow, or have the Lease held by another. */
class Server {
  state: 'well' | 'away' | 'hangs' = 'well';
  /** Milliseconds before a call comes to the server. */
  delay = 0;
  private readonly store: Store;

  constructor(store = new Store()) {
    this.store = store;
  }

  /** Another way to the same. */
  for(): Server {
    return new Server(this.store);
  }

  private async answer<T>(value: () => T): Promise<T> {
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
    if (this.state === 'away') throw new Error('connect ECONNREFUSED');
    if (this.state === 'hangs') return await new Promise<T>(() => undefined);
    return value();
  }

  /** Another controller writes its name, with a clock of its own. */
  heldBy(holderIdentity: string, leaseDurationSeconds = 15): void {
    const spec = {
      holderIdentity,
      leaseDurationSeconds,
      renewTime: '1999-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    };
    this.store.put({ metadata: { name: 'leader', namespace: 'system' }, spec });
  }

  get lease(): Lease | undefined {
    return this.store.lease;
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  readonly kube: Pick<Kube, 'getLease' | 'createLease' | 'putLease'> = {
    getLease: () => this.answer(() => structuredClone(this.lease)),
    createLease: (_namespace, body) =>
      this.answer(() => {
        if (this.lease !== undefined) throw new ApiError('POST', 409, 'exists');
        return this.store.put(body);
      }),
    putLease: (body) =>
      this.answer(() => {
        if (body.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new ApiError('PUT', 409, 'changed');
        return this.store.put(body);
      }),
  };
}

/** Work that ends when it is told to, or when its calls are given up, or never. */
type Ends = 'at once' | 'when interrupted' | 'never';

interface Seen {
  started: number;
  ended: number;
  interrupted: number;
  stuck: number;
  working: boolean;
  over: boolean;
}

function candidate(server: Server, identity = 'me', ends: Ends = 'at once') {
  const stopping = new AbortController();
  const seen: Seen = { started: 0, ended: 0, interrupted: 0, stuck: 0, working: false, over: false };
  let ended = (): void => undefined;
  const running = lead({
    kube: server.kube,
    namespace: 'system',
    leaseName: 'leader',
    identity,
    log: pino({ level: 'silent' }),
    signal: stopping.signal,
    term: {
      begin: () => {
        seen.started += 1;
        seen.working = true;
      },
      end: () =>
        new Promise((resolve) => {
          ended = () => {
            seen.ended += 1;
            seen.working = false;
            resolve();
          };
          if (ends === 'at once') ended();
        }),
      interrupt: () => {
        seen.interrupted += 1;
        if (ends === 'when interrupted') ended();
      },
      stuck: () => (seen.stuck += 1),
    },
  }).then(() => {
    seen.over = true;
  });
  return { seen, stop: () => stopping.abort(), running };
}

const leading = { started: 1, ended: 0, interrupted: 0, stuck: 0, working: true, over: false };
const waiting = { started: 0, ended: 0, interrupted: 0, stuck: 0, working: false, over: false };
const over = { started: 1, ended: 1, interrupted: 0, stuck: 0, working: false, over: true };

describe('a candidate', () => {
  test('leads at once where there is no Lease, and begins once', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(60);
    expect(seen).toEqual(leading);
    expect(server.holder).toBe('me');
  });

  test('leads at once where the Lease was given back, and counts the change', async () => {
    const server = new Server();
    server.heldBy('');
    const { seen } = candidate(server);
    await turn(1);
    expect(seen.started).toBe(1);
    expect(server.lease?.spec?.leaseTransitions).toBe(5);
  });

  test('waits out a held Lease by its own clock, whatever time stands in it', async () => {
    const server = new Server();
    server.heldBy('other');
    const { seen } = candidate(server);
    await turn(14);
    expect(seen.started).toBe(0);
    await turn(6);
    expect(seen.started).toBe(1);
    expect(server.holder).toBe('me');
  });

  test('waits as long as the Lease is renewed', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    server.heldBy('other');
    for (let renewed = 0; renewed < 20; renewed++) {
      await turn(10);
      server.heldBy('other');
    }
    expect(seen.started).toBe(0);
  });

  test('waits longer where the holder asks for longer', async () => {
    const server = new Server();
    server.heldBy('other', 60);
    const { seen } = candidate(server);
    await turn(55);
    expect(seen.started).toBe(0);
    await turn(10);
    expect(seen.started).toBe(1);
  });

  test('of two only one leads, and the other after the first has gone', async () => {
    const server = new Server();
    const first = candidate(server, 'one');
    const second = candidate(server, 'two');
    await turn(60);
    expect(first.seen.started + second.seen.started).toBe(1);
    const [leader, other] = first.seen.started === 1 ? [first, second] : [second, first];
    leader.stop();
    await turn(5);
    expect(other.seen.started).toBe(1);
    expect(leader.seen).toEqual(over);
  });

  test('asks on while nobody answers', async () => {
    const server = new Server();
    server.state = 'away';
    const { seen } = candidate(server);
    await turn(300);
    expect(seen).toEqual(waiting);
    server.state = 'well';
    await turn(3);
    expect(seen.started).toBe(1);
  });
});

describe('a leader', () => {
  test.each(['away', 'hangs'] as const)(
    'ends its work before others may lead when the server %s, and leads again when it is well',
    async (state) => {
      const server = new Server();
      const { seen } = candidate(server);
      await turn(5);
      server.state = state;
      await turn(5);
      expect(seen).toEqual(leading);
      await turn(7);
      expect(seen).toEqual({ ...leading, ended: 1, working: false });
      await turn(600);
      expect(seen).toEqual({ ...leading, ended: 1, working: false });
      server.state = 'well';
      await turn(8);
      expect(seen).toEqual({ ...leading, started: 2, ended: 1 });
    },
  );

  test('gives up the calls of its work while the lease still holds, and only then calls it stuck', async () => {
    for (const [ends, stuck] of [
      ['when interrupted', 0],
      ['never', 1],
    ] as const) {
      const server = new Server();
      const { seen } = candidate(server, 'me', ends);
      const other = candidate(server, 'other');
      await turn(1);
      server.state = 'away';
      // Renewed at 0 s at the latest: until 15 s nobody else may lead.
      await turn(12.9);
      expect(seen).toMatchObject({ interrupted: 0, stuck: 0, working: true });
      await turn(1);
      expect(seen).toMatchObject({ interrupted: 1, ended: ends === 'never' ? 0 : 1 });
      await turn(1.1);
      expect(seen.stuck).toBe(stuck);
      expect(seen.over).toBe(stuck === 1);
      expect(other.seen.started).toBe(0);
    }
  });

  test('steps down when it sees another in its place, and gives up its calls at once', async () => {
    const server = new Server();
    const { seen } = candidate(server, 'me', 'when interrupted');
    await turn(3);
    server.heldBy('other');
    await turn(3);
    expect(seen).toEqual({ ...leading, ended: 1, interrupted: 1, working: false });
    expect(server.holder).toBe('other');
  });

  test('waits for the lease again after another took it, and leads when that one is gone', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(3);
    server.heldBy('other');
    await turn(14);
    expect(seen).toEqual({ ...leading, ended: 1, working: false });
    await turn(10);
    expect(seen).toEqual({ ...leading, started: 2, ended: 1 });
  });

  test('outlives renewals that take four seconds each', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(1);
    server.delay = 2 * second;
    await turn(120);
    expect(seen).toEqual(leading);
  });

  test('never works beside another, whoever is cut off when: the later write of a call that hung is refused', async () => {
    const random = randomOf(7);
    const server = new Server();
    const candidates = ['one', 'two', 'three'].map((name) => ({ name, view: server.for() }));
    const all = candidates.map(({ name, view }) => ({ view, ...candidate(view, name) }));
    let terms = 0;
    for (let count = 0; count < 400; count++) {
      for (const { view } of all) {
        view.state = random.pick(['well', 'well', 'away', 'hangs']);
        view.delay = random.pick([0, 0, 500, 3_000, 9_000, 20_000]);
      }
      for (let step = 0; step < 40; step++) {
        await turn(0.25);
        expect(all.filter(({ seen }) => seen.working).length).toBeLessThanOrEqual(1);
      }
    }
    for (const { seen } of all) terms += seen.started;
    expect(terms).toBeGreaterThan(20);
  });

  test('survives a short absence of the server', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    for (let count = 0; count < 10; count++) {
      await turn(5);
      server.state = 'away';
      await turn(5);
      server.state = 'well';
    }
    expect(seen).toEqual(leading);
  });

  test('survives a conflict', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(1);
    server.heldBy('me');
    await turn(10);
    expect(seen).toEqual(leading);
  });

  test('gives the Lease back at its end, and is not called lost', async () => {
    const server = new Server();
    const { seen, stop, running } = candidate(server);
    await turn(5);
    stop();
    await running;
    expect(server.holder).toBe('');
    await turn(60);
    expect(seen).toEqual(over);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not give back what its work may still use', async () => {
    const server = new Server();
    const { seen, stop, running } = candidate(server, 'me', 'never');
    await turn(5);
    stop();
    await turn(20);
    await running;
    expect(seen).toMatchObject({ interrupted: 1, stuck: 1 });
    expect(server.holder).toBe('me');
  });

  test.each(['away', 'hangs'] as const)('comes to its end when the server %s', async (state) => {
    const server = new Server();
    const { seen, stop, running } = candidate(server);
    await turn(5);
    server.state = state;
    stop();
    await turn(6);
    await running;
    expect(seen).toEqual(over);
    expect(server.holder).toBe('me');
  });

  test('does not give back what another holds by then', async () => {
    const server = new Server();
    const { stop, running } = candidate(server);
    await turn(1);
    server.heldBy('other');
    stop();
    await running;
    expect(server.holder).toBe('other');
  });
});
