// What every kind of storage must do, run against a real server or disk of each kind.
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { ObjectExists, type PutOptions, type Storage } from '../../executor/storage/storage.ts';
import { waitFor } from '../wait.ts';

const chunkBytes = 100_003;
/** Sources that break in one run, each at a place of its own. */
const breaks = 200;
/** Each of its 2,510 objects is a request, and on a machine that does other work too a request takes its time. */
const listingMilliseconds = 300_000;

export interface Kind {
  /** Bytes of the first part; 8 MiB where the store takes no smaller ones. */
  part: number;
  /** Whether uploads that have not ended can be listed and taken back by another process. */
  listsPending: boolean;
}

/** Bytes that differ everywhere and cost nothing. */
const pattern = createHash('shake256', { outputLength: 2 * chunkBytes })
  .update('pattern')
  .digest();

async function* bytes(size: number, seed = 0): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < size; at += chunkBytes) {
    const from = (at + seed) % chunkBytes;
    yield pattern.subarray(from, from + Math.min(chunkBytes, size - at));
  }
}

async function digest(source: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk);
  return hash.digest('hex');
}

async function* breaking(size: number): AsyncGenerator<Buffer, void, void> {
  yield* bytes(size);
  throw new RunError('DumpFailed', 'the source broke');
}

/** Sends so much and then nothing, until it is called off. */
async function* hanging(size: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  yield* bytes(size);
  await new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason), { once: true }));
}

/** Sends so much and then nothing, and does not hear that it is called off. */
async function* deaf(size: number): AsyncGenerator<Buffer, void, void> {
  yield* bytes(size);
  await new Promise(() => {});
}

/** A little at a time. */
async function* slow(size: number): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of bytes(size)) {
    for (let at = 0; at < chunk.length; at += 40_000) {
      await pause(2);
      yield chunk.subarray(at, at + 40_000);
    }
  }
}

/** Numbers below 1 that a seed decides (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const seed = Number(process.env['DBBACKUP_SEED'] ?? Date.now() % 1_000_000);

/** Does the work of each item, four at a time. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const lane = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

const options = (signal = new AbortController().signal): PutOptions => ({ signal, expectedBytes: 0 });

let nextPrefix = 0;

/** @param open gives the storage, opened before the first test */
export function storageConformance(name: string, { part, listsPending }: Kind, open: () => Storage): void {
  const fresh = () => {
    nextPrefix += 1;
    return { storage: open(), prefix: `conformance/${process.pid}/${nextPrefix}/` };
  };

  async function names(storage: Storage, prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { key } of storage.list(prefix)) found.push(key.slice(prefix.length));
    return found.sort();
  }

  async function expectNothing(storage: Storage, prefix: string): Promise<void> {
    expect(await names(storage, prefix)).toEqual([]);
    expect(await storage.pending(prefix)).toEqual([]);
  }

  describe(name, () => {
    test.each([0, 1, part - 1, part, part + 1, 2 * part, 5 * part + 500, ...(part < 1_048_576 ? [40 * part] : [])])(
      'a stream of %d bytes comes back as it was',
      async (size) => {
        const { storage, prefix } = fresh();
        expect(await storage.put(`${prefix}a.snap`, bytes(size), options())).toBe(size);
        expect(await storage.head(`${prefix}a.snap`)).toMatchObject({ key: `${prefix}a.snap`, size });
        expect(await digest(storage.get(`${prefix}a.snap`))).toBe(await digest(bytes(size)));
        expect(await storage.pending(prefix)).toEqual([]);
      },
    );

    test.each([
      [7, undefined, '789'],
      [0, 1, '0'],
      [0, 10, '0123456789'],
      [2, 3, '234'],
      [8, 5, '89'],
    ])('a get from byte %i, of at most %s bytes, gives %j', async (start, length, expected) => {
      const { storage, prefix } = fresh();
      await storage.putSmall(`${prefix}a`, '0123456789');
      const chunks: Buffer[] = [];
      for await (const chunk of storage.get(`${prefix}a`, start, length)) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString()).toBe(expected);
    });

    test('a get from the middle of many parts gives the rest', async () => {
      const { storage, prefix } = fresh();
      await storage.put(`${prefix}a.snap`, bytes(2 * part + 9), options());
      const all: Buffer[] = [];
      for await (const chunk of bytes(2 * part + 9)) all.push(chunk);
      const rest = createHash('sha256')
        .update(Buffer.concat(all).subarray(part + 1))
        .digest('hex');
      expect(await digest(storage.get(`${prefix}a.snap`, part + 1))).toBe(rest);
    });

    test('a slow source loses nothing', async () => {
      const { storage, prefix } = fresh();
      const size = Math.min(2 * part + 5, 3_000_000);
      expect(await storage.put(`${prefix}a.snap`, slow(size), options())).toBe(size);
      expect(await digest(storage.get(`${prefix}a.snap`))).toBe(await digest(bytes(size)));
    });

    test(`${breaks} sources that break anywhere leave nothing, visible or pending (seed ${seed})`, async () => {
      const { storage, prefix } = fresh();
      const random = numbers(seed);
      const edges = [0, 1, part - 1, part, part + 1, 2 * part];
      const reach = part < 1_048_576 ? 3 * part : 1.5 * part;
      const offsets = [...edges, ...Array.from({ length: breaks - edges.length }, () => Math.floor(random() * reach))];
      await each(
        offsets.map((offset, index) => ({ offset, key: `${prefix}${index}.snap` })),
        async ({ offset, key }) => {
          const putting = storage.put(key, breaking(offset), options());
          await expect(putting, `seed ${seed}, offset ${offset}`).rejects.toThrow('the source broke');
          expect(await storage.head(key), `seed ${seed}, offset ${offset}`).toBeUndefined();
        },
      );
      await expectNothing(storage, prefix);
    });

    test('an upload that is called off while its source says nothing leaves nothing', async () => {
      const { storage, prefix } = fresh();
      for (const size of [10, part + 10, 2 * part + 10]) {
        const callOff = new AbortController();
        const putting = storage.put(`${prefix}a.snap`, hanging(size, callOff.signal), options(callOff.signal));
        setTimeout(() => callOff.abort(new RunError('Canceled', 'called off')), 200);
        await expect(putting).rejects.toThrow('called off');
        await expectNothing(storage, prefix);
      }
    });

    test('an upload whose source neither sends nor hears ends soon when it is called off, and leaves nothing', async () => {
      const { storage, prefix } = fresh();
      for (const size of [0, 10, part + 10]) {
        const callOff = new AbortController();
        const putting = storage.put(`${prefix}a.snap`, deaf(size), options(callOff.signal));
        setTimeout(() => callOff.abort(new RunError('Canceled', 'called off')), 100);
        await expect(putting).rejects.toThrow('called off');
        await expectNothing(storage, prefix);
      }
    });

    test(`an upload that is called off at any moment is there as a whole or not at all (seed ${seed})`, async () => {
      const { storage, prefix } = fresh();
      const random = numbers(seed + 1);
      const size = 2 * part + 10;
      await each(
        Array.from({ length: 12 }, (_, index) => ({ key: `${prefix}${index}.snap`, after: random() * 150 })),
        async ({ key, after }) => {
          const callOff = new AbortController();
          const timer = setTimeout(() => callOff.abort(new RunError('Canceled', 'called off')), after);
          const put = await storage
            .put(key, bytes(size), options(callOff.signal))
            .catch((error: Error) => error.message);
          clearTimeout(timer);
          const what = `seed ${seed}, after ${after} ms`;
          expect([size, 'called off'], what).toContain(put);
          expect((await storage.head(key))?.size, what).toBe(put === size ? size : undefined);
        },
      );
      expect(await storage.pending(prefix)).toEqual([]);
    });

    // Where nothing can be listed, nothing is to be seen.
    const takenBack = async () => {
      const { storage, prefix } = fresh();
      const callOff = new AbortController();
      const putting = storage.put(`${prefix}a.snap`, hanging(part + 10, callOff.signal), options(callOff.signal));
      const ending = expect(putting).rejects.toThrow();
      const pending = await waitFor('a pending upload', async () => (await storage.pending(prefix))[0]);
      expect(pending.key).toBe(`${prefix}a.snap`);
      expect(await names(storage, prefix)).toEqual([]);
      await storage.abortPending(pending);
      await storage.abortPending(pending);
      expect(await storage.pending(prefix)).toEqual([]);
      callOff.abort(new RunError('Canceled', 'called off'));
      await ending;
      await expectNothing(storage, prefix);
    };
    if (listsPending) test('an upload that another process left is seen and can be taken back', takenBack);

    test.each([3, part + 3])('a key that is taken is refused at %d bytes, and its object stays', async (size) => {
      const { storage, prefix } = fresh();
      await storage.put(`${prefix}a.snap`, bytes(size, 1), options());
      await expect(storage.put(`${prefix}a.snap`, bytes(size, 2), options())).rejects.toThrow(ObjectExists);
      await expect(storage.putSmall(`${prefix}a.snap`, 'other')).rejects.toThrow(ObjectExists);
      expect(await digest(storage.get(`${prefix}a.snap`))).toBe(await digest(bytes(size, 1)));
      expect(await storage.pending(prefix)).toEqual([]);
    });

    test.each([3, part + 3])('of two that write one key at once at %d bytes one wins, whole', async (size) => {
      const { storage, prefix } = fresh();
      const ends = await Promise.allSettled(
        [1, 2].map((seed) => storage.put(`${prefix}a.snap`, bytes(size, seed), options())),
      );
      const winners = [1, 2].filter((_, index) => ends[index]?.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      expect(await digest(storage.get(`${prefix}a.snap`))).toBe(await digest(bytes(size, winners[0])));
      expect(await names(storage, prefix)).toEqual(['a.snap']);
      expect(await storage.pending(prefix)).toEqual([]);
    });

    test('small objects: written once, read whole, refused when they are not small, absent when they are not there', async () => {
      const { storage, prefix } = fresh();
      await storage.putSmall(`${prefix}a.json`, '{"text":"größer"}');
      expect((await storage.getSmall(`${prefix}a.json`, 100))?.toString('utf8')).toBe('{"text":"größer"}');
      await expect(storage.getSmall(`${prefix}a.json`, 5)).rejects.toThrow('at most 5');
      expect(await storage.getSmall(`${prefix}b.json`, 100)).toBeUndefined();
      expect(await storage.head(`${prefix}b.json`)).toBeUndefined();
    });

    test(
      'a listing of 2,510 shows each direct child once and nothing deeper or beside',
      async () => {
        const { storage, prefix } = fresh();
        const wanted = Array.from({ length: 2510 }, (_, n) => `${String(n).padStart(4, '0')}.snap`);
        await each(wanted, (one) => storage.putSmall(prefix + one, one));
        await storage.putSmall(`${prefix}deeper/a.snap`, 'a');
        await storage.putSmall(`${prefix.slice(0, -1)}-beside/a.snap`, 'a');
        expect(await names(storage, prefix)).toEqual(wanted);
      },
      listingMilliseconds,
    );

    test('a prefix where nothing was ever written is empty', async () => {
      const { storage, prefix } = fresh();
      await expectNothing(storage, prefix);
    });

    test('a deleted object is gone, and deleting it again is no error', async () => {
      const { storage, prefix } = fresh();
      await storage.put(`${prefix}a.snap`, bytes(10), options());
      await storage.putSmall(`${prefix}b.snap`, 'b');
      await storage.delete(`${prefix}a.snap`);
      await storage.delete(`${prefix}a.snap`);
      await storage.delete(`${prefix}never/was.snap`);
      expect(await names(storage, prefix)).toEqual(['b.snap']);
      expect(await storage.head(`${prefix}a.snap`)).toBeUndefined();
    });

    test('a probe leaves nothing', async () => {
      const { storage, prefix } = fresh();
      await storage.probe(`${prefix}a.snap`);
      await expectNothing(storage, prefix);
    });
  });
}
