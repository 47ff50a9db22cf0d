// The transforms at the edges of their blocks: what comes out opens again to what went in, and errors pass through.
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Decrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { compress } from '../../executor/stream/compress.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { measure } from '../../executor/stream/measure.ts';

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* failing(after: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < after; sent += 1000) yield randomBytes(1000);
  throw new RunError('DumpFailed', 'the dump broke');
}

const block = 65_536;

describe('compress', () => {
  const open = { zstd: zstdDecompressSync, gzip: gunzipSync, none: (bytes: Buffer) => bytes };
  for (const algorithm of ['zstd', 'gzip', 'none'] as const)
    test.each([0, 1, block - 1, block, block + 1, 300_000])(`${algorithm} of %d bytes opens again`, async (size) => {
      const plain = Buffer.alloc(size, 'a row of text\n');
      const packed = await collect(compress(inChunks(plain, 10_007), { algorithm, level: 3 }));
      expect(open[algorithm](packed).equals(plain)).toBe(true);
    });

  test('zstd has its checksum, so that a flipped bit does not open', async () => {
    const packed = await collect(compress(inChunks(randomBytes(100_000), block), { algorithm: 'zstd', level: 3 }));
    // Bit 2 of the frame header descriptor says that a checksum follows the frame.
    expect((packed[4] ?? 0) & 4).toBe(4);
    packed[50_000] = (packed[50_000] ?? 0) ^ 1;
    expect(() => zstdDecompressSync(packed)).toThrow();
  });

  test('a truncated zstd or gzip stream does not open', async () => {
    for (const [algorithm, open] of [
      ['zstd', zstdDecompressSync],
      ['gzip', gunzipSync],
    ] as const) {
      const packed = await collect(compress(inChunks(randomBytes(100_000), block), { algorithm, level: 3 }));
      expect(() => open(packed.subarray(0, -1))).toThrow();
    }
  });

  test.each(['zstd', 'gzip', 'none'] as const)('an error of the source comes out of %s as it is', async (algorithm) => {
    await expect(collect(compress(failing(500_000), { algorithm, level: 1 }))).rejects.toMatchObject({
      reason: 'DumpFailed',
    });
  });

  test('a reader that stops early leaves nothing running', async () => {
    for await (const _chunk of compress(inChunks(randomBytes(3_000_000), block), { algorithm: 'zstd', level: 1 }))
      break;
  });
});

describe('encrypt', () => {
  test.each([0, 1, block - 1, block, block + 1, 2 * block, 2 * block + 500])('%d bytes open again', async (size) => {
    const identity = await generateIdentity();
    const plain = randomBytes(size);
    for (const chunk of [1000, block, 3 * block]) {
      const sealed = await collect(encrypt(inChunks(plain, chunk), [await identityToRecipient(identity)]));
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      expect(Buffer.from(await decrypter.decrypt(sealed)).equals(plain)).toBe(true);
    }
  });

  test('each of several recipients opens it, a stranger does not', async () => {
    const identities = [await generateIdentity(), await generateIdentity()];
    const recipients = await Promise.all(identities.map(identityToRecipient));
    const sealed = await collect(encrypt(inChunks(Buffer.from('secret'), 3), recipients));
    for (const identity of identities) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      expect(await decrypter.decrypt(sealed, 'text')).toBe('secret');
    }
    const stranger = new Decrypter();
    stranger.addIdentity(await generateIdentity());
    await expect(stranger.decrypt(sealed)).rejects.toThrow();
  });

  test('two encryptions of the same bytes have nothing in common', async () => {
    const recipients = [await identityToRecipient(await generateIdentity())];
    const plain = Buffer.alloc(100_000);
    const [a, b] = await Promise.all([1, 2].map(() => collect(encrypt(inChunks(plain, block), recipients))));
    expect(a?.subarray(-1000).equals(b?.subarray(-1000) ?? Buffer.alloc(0))).toBe(false);
  });

  test('no recipients leave the stream as it is', async () => {
    expect((await collect(encrypt(inChunks(Buffer.from('plain'), 2), []))).toString()).toBe('plain');
  });

  test('an error of the source comes out as it is', async () => {
    const recipients = [await identityToRecipient(await generateIdentity())];
    await expect(collect(encrypt(failing(200_000), recipients))).rejects.toMatchObject({ reason: 'DumpFailed' });
  });
});

test.each([0, 1, 100_000])('measure counts %d bytes and takes their digest', async (size) => {
  const bytes = randomBytes(size);
  const { tally, pass } = measure();
  expect((await collect(pass(inChunks(bytes, 999)))).equals(bytes)).toBe(true);
  expect(tally.bytes).toBe(size);
  expect(tally.sha256()).toBe(createHash('sha256').update(bytes).digest('hex'));
});
