// Ranges of an object that break, end early, stand still or are gone: what comes out is the object, byte for byte, or the right failure. The
// store is one in memory whose reads do as a test asks.
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { download, firstRangeBytes, rangeBytes } from '../../executor/download.ts';
import { RunError } from '../../executor/errors.ts';
import type { Storage } from '../../executor/storage/storage.ts';

interface Read {
  start: number;
  length: number;
  /** How many reads have begun with this one. */
  number: number;
}

/** What befalls a read: how many of its bytes come, and what after them. */
type Fate = { bytes: number; after?: 'end' | 'break' | 'hang' | RunError };

interface Store {
  storage: Storage;
  reads: Read[];
  /** Reads that go on at this moment, and the most there were. */
  open: number;
  mostOpen: number;
}

const refuse = (): never => {
  throw new Error('only head and get are wanted');
};

function storeOf(content: Buffer | undefined, fate: (read: Read) => Fate | undefined = () => undefined): Store {
  const store: Store = { storage: undefined as unknown as Storage, reads: [], open: 0, mostOpen: 0 };
  async function* get(_key: string, start = 0, length = 0): AsyncGenerator<Buffer> {
    const read = { start, length, number: store.reads.length + 1 };
    store.reads.push(read);
    store.open += 1;
    store.mostOpen = Math.max(store.mostOpen, store.open);
    try {
      const { bytes, after = 'end' } = fate(read) ?? { bytes: length };
      const given = content?.subarray(start, start + Math.min(bytes, length)) ?? Buffer.alloc(0);
      for (let at = 0; at < given.length; at += 1_000_003) {
        // Its memory is the reader's.
        yield Buffer.from(given.subarray(at, at + 1_000_003));
        await new Promise(setImmediate);
      }
      if (after === 'hang') await new Promise(() => {});
      if (after === 'break') throw new RunError('UploadFailed', 'the connection broke');
      if (after instanceof RunError) throw after;
    } finally {
      store.open -= 1;
    }
  }
  const head = async (key: string) =>
    content === undefined ? undefined : { key, size: content.length, modifiedAt: new Date() };
  store.storage = { get, head, put: refuse, list: refuse } as unknown as Storage;
  return store;
}

const never = new AbortController().signal;
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function read({ storage }: Store, size: number, signal = never): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of download(storage, { key: 'a.snap', size }, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('an object', () => {
  const two = firstRangeBytes + rangeBytes;
  test.each([
    [0, 0],
    [1, 1],
    [firstRangeBytes - 1, 1],
    [firstRangeBytes, 1],
    [firstRangeBytes + 1, 2],
    [two - 1, 2],
    [two, 2],
    [two + 1, 3],
    [5 * rangeBytes + 77, 6],
  ])('of %d bytes comes whole in %d ranges, the first of them small', async (size, ranges) => {
    const content = randomBytes(size);
    const store = storeOf(content);
    expect(digest(await read(store, size))).toBe(digest(content));
    expect(store.reads).toHaveLength(ranges);
  });

  test('is read by four ranges at once and no more', async () => {
    const store = storeOf(randomBytes(9 * rangeBytes));
    await read(store, 9 * rangeBytes);
    expect(store.mostOpen).toBe(4);
  });

  test('whose reader stops leaves no range being read for long', async () => {
    const store = storeOf(randomBytes(9 * rangeBytes));
    for await (const _chunk of download(store.storage, { key: 'a.snap', size: 9 * rangeBytes }, never)) break;
    await expect.poll(() => store.open).toBe(0);
    expect(store.reads.length).toBeLessThan(9);
  });
});

describe('a range that', () => {
  const content = randomBytes(2 * rangeBytes + 500);

  test.each(['break', 'end'] as const)('%ss half way is read on from that byte', async (after) => {
    const store = storeOf(content, ({ start, length }) =>
      length > 5_000_000 && start > 0 ? { bytes: 4_500_000, after } : undefined,
    );
    expect(digest(await read(store, content.length))).toBe(digest(content));
    expect(store.reads).toContainEqual({
      start: firstRangeBytes + 4_500_000,
      length: rangeBytes - 4_500_000,
      number: expect.any(Number),
    });
  });

  test('breaks again and again without a byte is given up, with the byte', { timeout: 60_000 }, async () => {
    const store = storeOf(content, ({ start }) =>
      start >= firstRangeBytes ? { bytes: start === firstRangeBytes ? 1000 : 0, after: 'break' } : undefined,
    );
    await expect(read(store, content.length)).rejects.toMatchObject({
      reason: 'StorageUnreachable',
      message: expect.stringMatching(/from byte \d+: the connection broke/),
    });
    expect(store.reads.length).toBeLessThan(20);
  });

  test('is refused for good is not asked for again', async () => {
    const store = storeOf(content, () => ({ bytes: 0, after: new RunError('StorageDenied', 'no') }));
    await expect(read(store, content.length)).rejects.toMatchObject({ reason: 'StorageDenied' });
    expect(store.reads.length).toBeLessThanOrEqual(4);
  });

  test('never says anything ends when the run is called off', async () => {
    const callOff = new AbortController();
    const store = storeOf(content, () => ({ bytes: 10, after: 'hang' }));
    const reading = read(store, content.length, callOff.signal);
    setTimeout(() => callOff.abort(new RunError('Canceled', 'stop')), 50);
    await expect(reading).rejects.toMatchObject({ reason: 'Canceled' });
  });
});

test('an object that is gone or has another size is told as such, and not read', async () => {
  await expect(read(storeOf(undefined), 100)).rejects.toMatchObject({ reason: 'SnapshotNotFound' });
  const store = storeOf(randomBytes(99));
  await expect(read(store, 100)).rejects.toMatchObject({
    reason: 'DigestMismatch',
    message: 'read "a.snap": the store holds 99 bytes, its manifest tells 100',
  });
  expect(store.reads).toEqual([]);
});
