// Memory that is given back while a stream runs: nothing that is still to be read may be among it.
import { randomBytes } from 'node:crypto';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { parts } from '../../executor/storage/parts.ts';
import { compress } from '../../executor/stream/compress.ts';
import { decompress } from '../../executor/stream/decompress.ts';
import { decrypt } from '../../executor/stream/decrypt.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { lent, release } from '../../executor/stream/release.ts';

/** Copies of its own, as a FIFO gives them. */
async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(size, bytes.length - at));
    bytes.copy(chunk, 0, at);
    yield chunk;
  }
}

async function whole(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of source) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

const words = Buffer.from(Array.from({ length: 400_000 }, (_, number) => `${number} of ${number % 97}\n`).join(''));
const sizes = [1000, 65_536, 1_048_576, 1_048_577, 5_000_000, 20_000_000];

describe.each(['zstd', 'gzip', 'none'] as const)('%s', (algorithm) => {
  test.each(sizes)('in chunks of %i bytes opens again, whatever is given back on the way', async (size) => {
    const bytes = Buffer.concat([words, randomBytes(3_000_001)]);
    const identity = await generateIdentity();
    for (const recipients of [[], [await identityToRecipient(identity)]]) {
      const packed = compress(lent(inChunks(bytes, size)), { algorithm, level: 1 });
      const sealed = encrypt(lent(packed), recipients);
      const stored: Buffer[] = [];
      for await (const { body } of parts(lent(sealed), () => 262_144)) {
        stored.push(Buffer.from(body));
        release(body);
      }
      const file = Buffer.concat(stored);
      const read = inChunks(file, 100_000);
      const opened = recipients.length === 0 ? read : decrypt(lent(read), [identity]);
      const frames = algorithm === 'zstd' ? lent(opened) : opened;
      expect((await whole(lent(decompress(frames, algorithm, bytes.length)))).equals(bytes)).toBe(true);
    }
  });
});

describe('release', () => {
  test('empties what has memory of its own, once', () => {
    const chunk = Buffer.allocUnsafeSlow(65_536);
    release(chunk);
    expect([chunk.length, chunk.buffer.byteLength]).toEqual([0, 0]);
    release(chunk);
  });

  test('leaves alone what shares its memory', () => {
    const [small, neighbour] = [Buffer.from('some'), Buffer.from('text')];
    release(small);
    expect(`${small} ${neighbour}`).toBe('some text');
  });

  test('gives a chunk back when the next is asked for, and not before', async () => {
    const chunks = lent(inChunks(Buffer.alloc(200_000, 'x'), 100_000));
    const first = (await chunks.next()).value as Buffer;
    expect(first.length).toBe(100_000);
    const second = (await chunks.next()).value as Buffer;
    expect([first.length, second.length]).toEqual([0, 100_000]);
  });
});
