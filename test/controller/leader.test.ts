// Leader election against a Lease in memory: taking, waiting by the own clock, stepping down, giving back.
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Kube } from '../../controller/kube.ts';
import { lead } from '../../controller/leader.ts';
import type { Lease } from '../../controller/objects.ts';
import { ApiError } from '../../controller/transport.ts';

// Its sleep is made of the timer that the tests turn forward.
vi.mock('node:timers/promises', () => ({
  setTimeout: (wait: number, value: unknown, options: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
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

/** An API server that holds one Lease, and may be away, hang or be held by another. */
class Server {
  lease: Lease | undefined;
  state: 'well' | 'away' | 'hangs' = 'well';
  writes = 0;

  private async answer<T>(value: () => T): Promise<T> {
    if (this.state === 'away') throw new Error('connect ECONNREFUSED');
    if (this.state === 'hangs') return await new Promise<T>(() => undefined);
    return value();
  }

  private store(body: object): Lease {
    this.writes += 1;
    const { metadata, spec } = body as Lease;
    this.lease = {
      metadata: { ...metadata, resourceVersion: String(this.writes) },
      ...(spec === undefined ? {} : { spec }),
    };
    return this.lease;
  }

  /** Another controller writes its name, with a clock of its own. */
  heldBy(holderIdentity: string, leaseDurationSeconds = 15): void {
    const spec = {
      holderIdentity,
      leaseDurationSeconds,
      renewTime: '1999-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    };
    this.store({ metadata: { name: 'leader', namespace: 'system' }, spec });
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  readonly kube: Pick<Kube, 'getLease' | 'createLease' | 'putLease'> = {
    getLease: () => this.answer(() => structuredClone(this.lease)),
    createLease: (_namespace, body) =>
      this.answer(() => {
        if (this.lease !== undefined) throw new ApiError('POST', 409, 'exists');
        return this.store(body);
      }),
    putLease: (body) =>
      this.answer(() => {
        if (body.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new ApiError('PUT', 409, 'changed');
        return this.store(body);
      }),
  };
}

function candidate(server: Server, identity = 'me') {
  const stopping = new AbortController();
  const seen = { started: 0, lost: 0, ended: false };
  const running = lead({
    kube: server.kube as Kube,
    namespace: 'system',
    leaseName: 'leader',
    identity,
    log: pino({ level: 'silent' }),
    signal: stopping.signal,
    started: () => (seen.started += 1),
    lost: () => (seen.lost += 1),
  }).then(() => {
    seen.ended = true;
  });
  return { seen, stop: () => stopping.abort(), running };
}

describe('a candidate', () => {
  test('leads at once where there is no Lease, and begins once', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(60);
    expect(seen).toEqual({ started: 1, lost: 0, ended: false });
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
    expect(leader.seen).toEqual({ started: 1, lost: 0, ended: true });
  });

  test('asks on while nobody answers', async () => {
    const server = new Server();
    server.state = 'away';
    const { seen } = candidate(server);
    await turn(300);
    expect(seen).toEqual({ started: 0, lost: 0, ended: false });
    server.state = 'well';
    await turn(3);
    expect(seen.started).toBe(1);
  });
});

describe('a leader', () => {
  test.each(['away', 'hangs'] as const)(
    'steps down once, before others may lead, when the server %s',
    async (state) => {
      const server = new Server();
      const { seen } = candidate(server);
      await turn(5);
      server.state = state;
      await turn(5);
      expect(seen.lost).toBe(0);
      await turn(7);
      expect(seen.lost).toBe(1);
      server.state = 'well';
      await turn(60);
      expect(seen.lost).toBe(1);
      expect(seen.started).toBe(1);
    },
  );

  test('steps down when it sees another in its place', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(3);
    server.heldBy('other');
    await turn(3);
    expect(seen).toMatchObject({ lost: 1, ended: true });
    expect(server.holder).toBe('other');
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
    expect(seen).toEqual({ started: 1, lost: 0, ended: false });
  });

  test('survives a conflict', async () => {
    const server = new Server();
    const { seen } = candidate(server);
    await turn(1);
    server.heldBy('me');
    await turn(10);
    expect(seen).toEqual({ started: 1, lost: 0, ended: false });
  });

  test('gives the Lease back at its end, and is not called lost', async () => {
    const server = new Server();
    const { seen, stop, running } = candidate(server);
    await turn(5);
    stop();
    await running;
    expect(server.holder).toBe('');
    await turn(60);
    expect(seen).toEqual({ started: 1, lost: 0, ended: true });
    expect(vi.getTimerCount()).toBe(0);
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
