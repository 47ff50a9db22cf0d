// The transforms at the edges of their blocks: what comes out opens again to what went in, and errors pass through.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Decrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { beforeAll, describe, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { compress } from '../../executor/stream/compress.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { measure } from '../../executor/stream/measure.ts';
import { inOrder } from '../../executor/stream/ordered.ts';
import { debianPackages } from '../rig/debian.ts';

beforeAll(() => debianPackages(['zstd'], (line) => console.error(line)), 300_000);

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
/** What is compressed at once. */
const frame = 4_194_304;

describe('compress', () => {
  /** Node's own opens only the first frame. */
  const stock = (program: string) => (input: Buffer) =>
    execFileSync(program, ['-d', '-c'], { input, maxBuffer: 4 * frame, stdio: ['pipe', 'pipe', 'pipe'] });
  const unpack = { zstd: stock('zstd'), gzip: stock('gzip'), none: (bytes: Buffer) => bytes };
  for (const algorithm of ['zstd', 'gzip', 'none'] as const)
    test.each([0, 1, block, frame - 1, frame, frame + 1, 3 * frame + 500])(
      `${algorithm} of %d bytes opens again with the stock program`,
      async (size) => {
        const plain = Buffer.alloc(size, 'a row of text\n');
        const packed = await collect(compress(inChunks(plain, 100_007), { algorithm, level: 3 }));
        expect(unpack[algorithm](packed).equals(plain)).toBe(true);
      },
    );

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

  test('a source that is slow and ends in an error is not taken for whole', async () => {
    const source = (async function* () {
      yield randomBytes(frame);
      await pause(20);
      yield randomBytes(frame);
      await pause(20);
      throw new RunError('DumpStalled', 'nothing came');
    })();
    const chunks: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of compress(source, { algorithm: 'zstd', level: 1 })) chunks.push(chunk);
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'DumpStalled' });
    expect(Buffer.concat(chunks).length).toBeLessThan(2 * frame);
  });

  test('a reader that stops early leaves nothing running', async () => {
    let closed = false;
    const source = (async function* () {
      try {
        for (;;) yield Buffer.alloc(block);
      } finally {
        closed = true;
      }
    })();
    for await (const _chunk of compress(source, { algorithm: 'zstd', level: 1 })) break;
    expect(closed).toBe(true);
  });
});

describe('inOrder', () => {
  const numbers = async function* (count: number) {
    for (let number = 0; number < count; number++) yield number;
  };

  test.each([0, 1, 2, 3, 4, 20])(
    'gives the results of %i items in their order, whichever is ready first',
    async (count) => {
      const results: number[] = [];
      for await (const result of inOrder(numbers(count), 3, async (number) => {
        await pause(number % 3 === 0 ? 5 : 1);
        return number;
      }))
        results.push(result);
      expect(results).toEqual(Array.from({ length: count }, (_, index) => index));
    },
  );

  test('works on so many items at the most', async () => {
    let [busy, most] = [0, 0];
    const work = async () => {
      busy += 1;
      most = Math.max(most, busy);
      await pause(2);
      busy -= 1;
    };
    for await (const _done of inOrder(numbers(12), 3, work)) await pause(1);
    expect(most).toBe(3);
  });

  test('gives the first failure in its place, and what fails behind it troubles nobody', async () => {
    const results: number[] = [];
    const reading = (async () => {
      for await (const result of inOrder(numbers(6), 4, (number) =>
        number < 2 ? Promise.resolve(number) : Promise.reject(new Error(`item ${number}`)),
      ))
        results.push(result);
    })();
    await expect(reading).rejects.toThrow('item 2');
    expect(results).toEqual([0, 1]);
    await pause(5);
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
