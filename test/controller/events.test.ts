// Events with a clock and an API server of the test's own: what is written, what is counted, and that nothing gets out of hand.
import { beforeEach, describe, expect, it } from 'vitest';
import { type EventSink, Events, type Happening, type Regarding } from '../../controller/events.ts';
import { ApiError } from '../../controller/transport.ts';

interface Written {
  call: 'create' | 'patch';
  name: string;
  body: Record<string, unknown>;
}

const minute = 60_000;
const start = Date.parse('2025-03-27T01:00:00.123Z');
const series = (count: number, lastObservedTime: string) => ({ series: { count, lastObservedTime } });

let now: number;
let written: Written[];
let dropped: number;
/** Answers before the call is taken down; throws to refuse it. */
let answer: (call: Written) => void | Promise<void>;
let events: Events;

beforeEach(() => {
  now = start;
  written = [];
  dropped = 0;
  answer = () => undefined;
  const take = async (call: Written): Promise<void> => {
    await answer(call);
    written.push(call);
  };
  const sink: EventSink = {
    createEvent: (namespace, event) => {
      const body = event as Written['body'] & { metadata: { name: string; namespace: string } };
      expect(body.metadata.namespace).toBe(namespace);
      return take({ call: 'create', name: body.metadata.name, body });
    },
    patchEvent: (_, name, patch) => take({ call: 'patch', name, body: patch as Written['body'] }),
  };
  events = new Events(sink, {
    instance: 'dbbackup-controller-7f-abc',
    now: () => new Date(now),
    dropped: () => {
      dropped += 1;
    },
  });
});

const orders = (uid = 'uid-1'): Regarding => ({
  apiVersion: 'dbbackup.io/v1alpha1',
  kind: 'DatabaseBackup',
  metadata: { name: 'orders', namespace: 'shop', uid },
});

const failed = (change: Partial<Happening> = {}): Happening => ({
  type: 'Warning',
  reason: 'BackupFailed',
  action: 'Backup',
  note: 'The store did not answer.',
  ...change,
});

const refuse = (status: number) => () => {
  throw new ApiError('call', status, 'refused by the test');
};
const calls = () => written.map(({ call }) => call);

describe('one event', () => {
  it('says what, about whom, by whom and when', async () => {
    await events.record(orders(), failed());
    expect(written.map(({ body }) => body)).toEqual([
      {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: expect.stringMatching(/^orders\.[0-9a-f]{16}$/), namespace: 'shop' },
        eventTime: '2025-03-27T01:00:00.123000Z',
        reportingController: 'dbbackup.io/controller',
        reportingInstance: 'dbbackup-controller-7f-abc',
        type: 'Warning',
        reason: 'BackupFailed',
        action: 'Backup',
        note: 'The store did not answer.',
        regarding: {
          apiVersion: 'dbbackup.io/v1alpha1',
          kind: 'DatabaseBackup',
          name: 'orders',
          namespace: 'shop',
          uid: 'uid-1',
        },
      },
    ]);
  });

  it.each([
    ['a'.repeat(1024), 1024],
    ['a'.repeat(1025), 1024],
    [`${'a'.repeat(1023)}é`, 1023],
    [`${'a'.repeat(1021)}€`, 1024],
    [`${'a'.repeat(1022)}€`, 1022],
    [`${'a'.repeat(1021)}😀`, 1021],
    ['€'.repeat(1000), 1023],
  ])('has a note of at most 1024 bytes that ends with a whole character', async (note, bytes) => {
    await events.record(orders(), failed({ note }));
    const cut = String(written[0]?.body['note']);
    expect(Buffer.byteLength(cut)).toBe(bytes);
    expect(note.startsWith(cut)).toBe(true);
  });
});

describe('a repeat', () => {
  it('becomes a series, and counts up in it', async () => {
    await events.record(orders(), failed());
    now += minute;
    await events.record(orders(), failed());
    now += minute;
    await events.record(orders(), failed());
    expect(calls()).toEqual(['create', 'patch', 'patch']);
    expect(new Set(written.map(({ name }) => name)).size).toBe(1);
    expect(written[1]?.body).toEqual(series(2, '2025-03-27T01:01:00.123000Z'));
    expect(written[2]?.body).toEqual(series(3, '2025-03-27T01:02:00.123000Z'));
  });

  it('continues a series that lasts longer than the six minutes from one to the next', async () => {
    for (let at = 0; at < 4; at++) {
      await events.record(orders(), failed());
      now += 6 * minute;
    }
    expect(calls()).toEqual(['create', 'patch', 'patch', 'patch']);
  });

  it('after more than six minutes is an event of its own', async () => {
    await events.record(orders(), failed());
    now += 6 * minute + 1;
    await events.record(orders(), failed());
    expect(calls()).toEqual(['create', 'create']);
    expect(written[0]?.name).not.toBe(written[1]?.name);
    expect(written[1]?.body).not.toHaveProperty('series');
  });

  it.each<[string, Regarding, Happening]>([
    ['object', orders('uid-2'), failed()],
    ['type', orders(), failed({ type: 'Normal' })],
    ['reason', orders(), failed({ reason: 'BackupCanceled' })],
    ['action', orders(), failed({ action: 'Start' })],
    ['note', orders(), failed({ note: 'The store refused the credentials.' })],
  ])('of another %s is none', async (_what, regarding, happening) => {
    await events.record(orders(), failed());
    await events.record(regarding, happening);
    expect(calls()).toEqual(['create', 'create']);
    expect(written[0]?.name).not.toBe(written[1]?.name);
  });

  it('of an event that is gone by now makes it again, with its count', async () => {
    await events.record(orders(), failed());
    answer = (call) => (call.call === 'patch' ? refuse(404)() : undefined);
    await events.record(orders(), failed());
    expect(calls()).toEqual(['create', 'create']);
    expect(written[1]?.body).toMatchObject(series(2, '2025-03-27T01:00:00.123000Z'));
    expect(dropped).toBe(0);
  });

  it('waits for the write before it, which may tell of it too', async () => {
    const waiting: (() => void)[] = [];
    answer = () => new Promise<void>((resolve) => waiting.push(resolve));
    const all = Array.from({ length: 5 }, () => events.record(orders(), failed()));
    await expect.poll(() => waiting.length).toBe(1);
    answer = () => undefined;
    waiting[0]?.();
    await Promise.all(all);
    expect(written.at(-1)?.body['series']).toMatchObject({ count: 5 });
    expect(written.length).toBeLessThanOrEqual(2);
    expect(dropped).toBe(0);
  });
});

describe('a write that fails', () => {
  it.each([
    ['is refused', refuse(403)],
    ['meets a server in trouble', refuse(500)],
    [
      'gets no answer',
      () => {
        throw new TypeError('fetch failed');
      },
    ],
  ])('is counted when it %s, and told of by the next', async (_how, trouble) => {
    answer = trouble;
    await events.record(orders(), failed());
    expect([dropped, calls()]).toEqual([1, []]);
    answer = () => undefined;
    await events.record(orders(), failed());
    expect(calls()).toEqual(['create']);
    expect(written[0]?.body['series']).toMatchObject({ count: 2 });
    answer = trouble;
    await events.record(orders(), failed());
    expect(dropped).toBe(2);
    answer = () => undefined;
    await events.record(orders(), failed());
    expect(written[1]).toMatchObject({ call: 'patch', body: { series: { count: 4 } } });
  });

  it('is none when the event is there already, since its name is made of what it says', async () => {
    answer = refuse(409);
    await events.record(orders(), failed());
    answer = () => undefined;
    await events.record(orders(), failed());
    expect([dropped, calls()]).toEqual([0, ['patch']]);
  });
});

describe('a storm', () => {
  it.each([
    ['alike', () => 'the same'],
    ['all different', (at: number) => `note ${at}`],
  ])('of ten thousand looks, %s, writes 25 times and then once in five minutes', async (_how, note) => {
    for (let at = 0; at < 10_000; at++) await events.record(orders(), failed({ note: note(at) }));
    expect([written.length, dropped]).toEqual([25, 9975]);
    for (let at = 0; at < 60; at++) {
      now += minute;
      await events.record(orders(), failed({ note: note(at) }));
    }
    expect(written.length).toBe(25 + 12);
  });

  it('of one object takes nothing from another', async () => {
    for (let at = 0; at < 100; at++) await events.record(orders(), failed());
    const before = written.length;
    await events.record(orders('uid-2'), failed());
    expect(written.length).toBe(before + 1);
  });

  it('fills what was used up again, to 25 and no more', async () => {
    for (let at = 0; at < 100; at++) await events.record(orders(), failed());
    now += 24 * 60 * minute;
    written = [];
    for (let at = 0; at < 100; at++) await events.record(orders(), failed());
    expect(written.length).toBe(25);
  });

  it('of ten thousand objects keeps the count of each', async () => {
    for (let look = 0; look < 2; look++)
      for (let at = 0; at < 10_000; at++) await events.record(orders(`uid-${at}`), failed());
    expect(calls().filter((call) => call === 'create')).toHaveLength(10_000);
    expect(calls().filter((call) => call === 'patch')).toHaveLength(10_000);
  });

  it('while the API server does not answer holds at most a hundred writes', async () => {
    const waiting: (() => void)[] = [];
    answer = () => new Promise<void>((resolve) => waiting.push(resolve));
    const all = Array.from({ length: 1000 }, (_, at) => events.record(orders(`uid-${at}`), failed()));
    await expect.poll(() => waiting.length).toBe(100);
    expect(dropped).toBe(900);
    for (const resolve of waiting) resolve();
    await Promise.all(all);
    answer = () => undefined;
    await events.record(orders('uid-999'), failed());
    expect(written.length).toBe(101);
  });
});
