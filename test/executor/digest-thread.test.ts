// Digests on a thread of their own: the same as on this one, of each stream for itself, in order, and never a wait for a thread that is gone.
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DigestThread } from '../../executor/stream/digest-thread.ts';

let thread: DigestThread;
beforeEach(() => {
  thread = new DigestThread();
});
afterEach(() => thread.close());

/** A chunk that is alone in its memory, with room before and behind. */
function chunkOf(bytes: Uint8Array): Buffer {
  const chunk = Buffer.allocUnsafeSlow(bytes.length + 9).subarray(4, 4 + bytes.length);
  chunk.set(bytes);
  return chunk;
}
async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield chunkOf(bytes.subarray(at, at + size));
}
async function whole(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('a stream', () => {
  test.each([
    [0, 1],
    [1, 1],
    [10_000, 1],
    [100_000, 4_096],
    [100_000, 100_000],
    [100_001, 100_000],
  ])('of %i bytes in chunks of %i passes as it is, with its digest and its size', async (length, size) => {
    const bytes = randomBytes(length);
    const meter = thread.measure();
    expect((await whole(meter.pass(inChunks(bytes, size)))).equals(bytes)).toBe(true);
    expect(meter.bytes).toBe(length);
    expect(await meter.sha256()).toBe(sha256(bytes));
  });

  test('has its own digest beside others on the same thread', async () => {
    const streams = [1, 2, 3].map((seed) => randomBytes(50_000 + seed));
    const digests = await Promise.all(
      streams.map(async (bytes, index) => {
        const meter = thread.measure();
        await whole(meter.pass(inChunks(bytes, 1_000 * (index + 1))));
        return await meter.sha256();
      }),
    );
    expect(digests).toEqual(streams.map(sha256));
  });

  test('may pass two meters, one after the other', async () => {
    const bytes = randomBytes(30_000);
    const [first, second] = [thread.measure(), thread.measure()];
    expect((await whole(second.pass(first.pass(inChunks(bytes, 7_000))))).equals(bytes)).toBe(true);
    expect([await first.sha256(), await second.sha256()]).toEqual([sha256(bytes), sha256(bytes)]);
  });

  test('of small chunks in memory that they share leaves that memory alone', async () => {
    const [first, neighbour] = [Buffer.from('some '), Buffer.from('text')];
    async function* small() {
      yield first;
      yield neighbour;
    }
    expect(String(await whole(thread.measure().pass(small())))).toBe('some text');
    expect(`${first}${neighbour}`).toBe('some text');
  });

  test('that breaks breaks with its own error', async () => {
    async function* breaking() {
      yield chunkOf(randomBytes(10));
      throw new Error('cut off');
    }
    await expect(whole(thread.measure().pass(breaking()))).rejects.toThrow('cut off');
  });

  test('is given as far as it has come, though the rest is long in coming', async () => {
    const never = Promise.withResolvers<void>();
    async function* stalled() {
      yield chunkOf(Buffer.from('first'));
      await never.promise;
    }
    const passed = thread.measure().pass(stalled());
    expect(String((await passed.next()).value)).toBe('first');
    await passed.return();
  });

  test('that nobody reads on ends its source', async () => {
    let ended = false;
    async function* endless() {
      try {
        for (;;) yield chunkOf(randomBytes(100));
      } finally {
        ended = true;
      }
    }
    for await (const _chunk of thread.measure().pass(endless())) break;
    await vi.waitFor(() => expect(ended).toBe(true));
  });
});

test('who waits for a thread that is gone is told', async () => {
  const meter = thread.measure();
  const waiting = whole(meter.pass(inChunks(randomBytes(1_000), 10)));
  await Promise.all([expect(waiting).rejects.toThrow('it has ended'), thread.close()]);
  await expect(meter.sha256()).rejects.toThrow('it has ended');
});
