// What every kind of storage must do, run against a real server or disk of each kind.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { ObjectExists, type PutOptions, type Storage } from '../../executor/storage/storage.ts';
import { waitFor } from '../wait.ts';

/** The first part's size on stores that have parts. */
const part = 8 * 1_048_576;
const chunkBytes = 100_003;

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

const options = (signal = new AbortController().signal): PutOptions => ({ signal, expectedBytes: 0 });

let nextPrefix = 0;

/** @param open gives the storage, opened before the first test */
export function storageConformance(name: string, open: () => Storage): void {
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
    test.each([0, 1, part - 1, part, part + 1, 2 * part, 5 * part + 500])(
      'a stream of %d bytes comes back as it was',
      async (size) => {
        const { storage, prefix } = fresh();
        expect(await storage.put(`${prefix}a.snap`, bytes(size), options())).toBe(size);
        expect(await storage.head(`${prefix}a.snap`)).toMatchObject({ key: `${prefix}a.snap`, size });
        expect(await digest(storage.get(`${prefix}a.snap`))).toBe(await digest(bytes(size)));
        expect(await storage.pending(prefix)).toEqual([]);
      },
    );

    test('a get from the middle gives the rest', async () => {
      const { storage, prefix } = fresh();
      await storage.putSmall(`${prefix}a`, '0123456789');
      const chunks: Buffer[] = [];
      for await (const chunk of storage.get(`${prefix}a`, 7)) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString()).toBe('789');
    });

    test('a source that breaks anywhere leaves nothing, visible or pending', async () => {
      const { storage, prefix } = fresh();
      const offsets = [
        0,
        1,
        part - 1,
        part,
        part + 1,
        3 * part,
        ...Array.from({ length: 14 }, (_, n) => (n * 2_654_435_761) % (3 * part)),
      ];
      for (const offset of offsets) {
        await expect(storage.put(`${prefix}a.snap`, breaking(offset), options()), `offset ${offset}`).rejects.toThrow(
          'the source broke',
        );
        await expectNothing(storage, prefix);
      }
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

    test('an upload that another process left is seen and can be taken back', async () => {
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
    });

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

    test('a listing of 1,050 shows each direct child once and nothing deeper or beside', async () => {
      const { storage, prefix } = fresh();
      const wanted = Array.from({ length: 1050 }, (_, n) => `${String(n).padStart(4, '0')}.snap`);
      for (let at = 0; at < wanted.length; at += 50)
        await Promise.all(wanted.slice(at, at + 50).map((one) => storage.putSmall(prefix + one, one)));
      await storage.putSmall(`${prefix}deeper/a.snap`, '');
      await storage.putSmall(`${prefix.slice(0, -1)}-beside/a.snap`, '');
      expect(await names(storage, prefix)).toEqual(wanted);
    });

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
