// The way back of the stream, at the edges of its blocks and frames: what was packed and sealed opens to what went in, and nothing that was
// cut, changed, reordered or added comes through.
import { createCipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { beforeAll, describe, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { compress } from '../../executor/stream/compress.ts';
import { decompress } from '../../executor/stream/decompress.ts';
import { decrypt } from '../../executor/stream/decrypt.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { ByteReader } from '../../executor/stream/reader.ts';

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function* breaking(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes.subarray(0, bytes.length >> 1);
  throw new RunError('StorageUnreachable', 'the store went away');
}

const block = 65_536;
const sealed = block + 16;
const plenty = Number.MAX_SAFE_INTEGER;
const rows = (size: number): Buffer =>
  Buffer.from(Array.from({ length: size / 16 + 1 }, (_, n) => `row ${n} of many\t`).join('')).subarray(0, size);
const frame = (plain: Buffer): Buffer => zstdCompressSync(plain, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

describe('decrypt', () => {
  let identity: string;
  let stranger: string;
  let recipient: string;
  beforeAll(async () => {
    [identity, stranger] = [await generateIdentity(), await generateIdentity()];
    recipient = await identityToRecipient(identity);
  });
  const seal = (plain: Buffer) => collect(encrypt(inChunks(plain, 100_003), [recipient]));
  const open = (file: Buffer, chunk = 100_003, keys = [identity]) => collect(decrypt(inChunks(file, chunk), keys));
  const headerOf = (file: Buffer): number => file.indexOf('\n', file.indexOf('\n--- ') + 1) + 1 + 16;

  test.each([0, 1, block - 1, block, block + 1, 2 * block, 2 * block + 500, 5 * block])(
    '%d bytes open again, in chunks of any size',
    async (size) => {
      const plain = randomBytes(size);
      const file = await seal(plain);
      for (const chunk of [997, block, sealed, sealed + 1, 10 * block])
        expect((await open(file, chunk)).equals(plain)).toBe(true);
    },
  );

  test('what the age package sealed opens, for any of several recipients and identities', async () => {
    const encrypter = new Encrypter();
    for (const one of [stranger, identity]) encrypter.addRecipient(await identityToRecipient(one));
    const plain = randomBytes(3 * block);
    const file = Buffer.from(await encrypter.encrypt(plain));
    for (const keys of [[identity], [stranger], [await generateIdentity(), stranger]])
      expect((await open(file, 5000, keys)).equals(plain)).toBe(true);
  });

  test('another identity gives not a byte, and the message says so without it', async () => {
    const file = await seal(randomBytes(1000));
    const error = await open(file, 500, [stranger]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      reason: 'DecryptFailed',
      message: expect.stringContaining('not one of its recipients'),
    });
    expect(String(error)).not.toContain(stranger);
    const recipients = Array.from({ length: 6 }, (_, n) => `age1recipient${n}`);
    await expect(collect(decrypt(inChunks(file, 500), [stranger], recipients))).rejects.toThrow(
      /not one of its recipients: age1recipient0, .*, age1recipient3 and 2 more$/,
    );
    await expect(open(file, 500, ['AGE-SECRET-KEY-1WRONG'])).rejects.toMatchObject({
      reason: 'DecryptFailed',
      message: expect.not.stringContaining('1WRONG'),
    });
  });

  test('a file that was cut at any border of its blocks, or beside one, does not open', async () => {
    const plain = randomBytes(4 * block);
    const file = await seal(plain);
    const start = headerOf(file);
    const borders = [0, 1, 2, 3, 4].map((number) => start + number * sealed);
    for (const border of [...borders, 0, 10, start - 16])
      for (const cut of [border - 1, border, border + 1, border + 16, border + 17].filter(
        (at) => at >= 0 && at < file.length,
      )) {
        const given: Buffer[] = [];
        const reading = (async () => {
          for await (const chunk of decrypt(inChunks(file.subarray(0, cut), 40_000), [identity])) given.push(chunk);
        })();
        await expect(reading, `cut at ${cut}`).rejects.toMatchObject({ reason: 'DecryptFailed' });
        // What came out is the true beginning, in whole blocks.
        const out = Buffer.concat(given);
        expect(out.length % block).toBe(0);
        expect(out.equals(plain.subarray(0, out.length))).toBe(true);
      }
  });

  test('blocks that change places, come twice or are left out do not open', async () => {
    const file = await seal(randomBytes(4 * block + 100));
    const start = headerOf(file);
    const part = (number: number) => file.subarray(start + number * sealed, start + (number + 1) * sealed);
    const head = file.subarray(0, start);
    for (const order of [
      [1, 0, 2, 3, 4],
      [0, 1, 3, 2, 4],
      [0, 0, 1, 2, 3, 4],
      [0, 2, 3, 4],
      [0, 1, 2, 4, 3],
      [0, 1, 2, 3, 4, 4],
      [4],
    ])
      await expect(open(Buffer.concat([head, ...order.map(part)])), order.join()).rejects.toMatchObject({
        reason: 'DecryptFailed',
      });
  });

  test('blocks of another file under the same identity do not open', async () => {
    const [a, b] = [await seal(randomBytes(3 * block)), await seal(randomBytes(3 * block))];
    const start = headerOf(a);
    const mixed = Buffer.concat([a.subarray(0, start + sealed), b.subarray(start + sealed)]);
    await expect(open(mixed)).rejects.toMatchObject({ reason: 'DecryptFailed' });
  });

  test('one flipped bit anywhere does not open', async () => {
    const file = await seal(randomBytes(block + 1000));
    for (let at = 0; at < file.length; at += at < headerOf(file) ? 7 : 4999) {
      const flipped = Buffer.from(file);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await expect(open(flipped), `at ${at}`).rejects.toMatchObject({ reason: 'DecryptFailed' });
    }
  });

  test('rubbish at the end does not open', async () => {
    const file = await seal(randomBytes(block));
    for (const more of [1, 16, 17, sealed])
      await expect(open(Buffer.concat([file, randomBytes(more)]))).rejects.toMatchObject({ reason: 'DecryptFailed' });
  });

  test('an empty last block after others, which age never writes, does not open', async () => {
    const key = Buffer.alloc(32);
    const nonce = randomBytes(16);
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    encrypter.addRecipient({
      wrapFileKey(fileKey: Uint8Array) {
        key.set(new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32)));
        return [];
      },
    });
    const header = Buffer.from(await encrypter.encrypt(new Uint8Array())).subarray(0, -32);
    const sealOne = (number: number, last: number, bytes: Buffer): Buffer => {
      const cipher = createCipheriv('chacha20-poly1305', key, Buffer.from([...Array(10).fill(0), number, last]), {
        authTagLength: 16,
      });
      return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
    };
    const first = sealOne(0, 0, randomBytes(block));
    const good = Buffer.concat([header, nonce, first, sealOne(1, 1, randomBytes(1))]);
    expect(await open(good)).toHaveLength(block + 1);
    const bad = Buffer.concat([header, nonce, first, sealOne(1, 1, Buffer.alloc(0))]);
    await expect(open(bad)).rejects.toMatchObject({
      reason: 'DecryptFailed',
      message: expect.stringContaining('empty'),
    });
  });

  test('what is no file of age is refused soon', async () => {
    for (const file of [
      Buffer.alloc(0),
      Buffer.from('age-encryption.org/v1\n'),
      randomBytes(300_000),
      Buffer.alloc(200_000, '\n'),
    ])
      await expect(open(file)).rejects.toMatchObject({ reason: 'DecryptFailed' });
  });

  test('no identity leaves the stream as it is, and an error of the source passes', async () => {
    expect((await open(Buffer.from('plain'), 2, [])).toString()).toBe('plain');
    await expect(collect(decrypt(breaking(await seal(randomBytes(300_000))), [identity]))).rejects.toMatchObject({
      reason: 'StorageUnreachable',
    });
  });
});

// Generous, for machines that are busy with other files.
describe('decompress', { timeout: 120_000 }, () => {
  const unzstd = (packed: Buffer, chunk = 50_021, limit = plenty) =>
    collect(decompress(inChunks(packed, chunk), 'zstd', limit));

  for (const algorithm of ['zstd', 'gzip', 'none'] as const)
    test.each([0, 1, block, 300_000, 9_000_000])(`%d bytes that our ${algorithm} packed open again`, async (size) => {
      const plain = rows(size);
      const packed = await collect(compress(inChunks(plain, 100_003), { algorithm, level: 1 }));
      expect((await collect(decompress(inChunks(packed, 70_001), algorithm, plain.length))).equals(plain)).toBe(true);
    });

  test('every frame of many is opened, in order, however the chunks fall', async () => {
    const plain = Array.from({ length: 40 }, (_, n) => (n % 3 === 0 ? randomBytes(10_000 + n) : rows(n * 5000)));
    const packed = Buffer.concat(plain.map(frame));
    const few = Buffer.concat(plain.slice(0, 4).map(frame));
    expect((await unzstd(few, 3)).equals(Buffer.concat(plain.slice(0, 4)))).toBe(true);
    for (const chunk of [1021, 70_000, packed.length])
      expect((await unzstd(packed, chunk)).equals(Buffer.concat(plain))).toBe(true);
  });

  test('frames that tell no size, large ones, empty ones and ones to skip stand beside small ones', async () => {
    const large = rows(9_000_000);
    const unsized = await collect(compress(inChunks(rows(500_000), 50_000), { algorithm: 'zstd', level: 1 }));
    const skippable = Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')]);
    const packed = Buffer.concat([
      skippable,
      frame(large),
      frame(Buffer.alloc(0)),
      unsized,
      skippable,
      frame(rows(10)),
    ]);
    expect((await unzstd(packed)).equals(Buffer.concat([large, rows(500_000), rows(10)]))).toBe(true);
  });

  test('a frame of one repeated byte opens, whatever its size field', async () => {
    for (const size of [1, 255, 256, 257, 65_535, 65_791, 65_792, 1_000_000])
      expect((await unzstd(frame(Buffer.alloc(size, 'x')))).equals(Buffer.alloc(size, 'x'))).toBe(true);
  });

  test('frames that are cut anywhere do not open', async () => {
    const packed = Buffer.concat([frame(rows(200_000)), frame(randomBytes(140_000)), frame(rows(3000))]);
    const borders = new Set([frame(rows(200_000)).length, packed.length - frame(rows(3000)).length]);
    for (let cut = 1; cut < packed.length; cut += cut < 100 || packed.length - cut < 100 ? 1 : 4999)
      if (!borders.has(cut))
        await expect(unzstd(packed.subarray(0, cut)), `cut at ${cut}`).rejects.toMatchObject({
          reason: 'DecryptFailed',
        });
    await expect(unzstd(Buffer.alloc(0))).rejects.toMatchObject({ reason: 'DecryptFailed' });
  });

  test('rubbish before, between and after frames is refused', async () => {
    const one = frame(rows(1000));
    for (const packed of [
      Buffer.concat([Buffer.from('rubbish'), one]),
      Buffer.concat([one, Buffer.from('rubbish'), one]),
      Buffer.concat([one, Buffer.from('rubbish')]),
      Buffer.concat([one, Buffer.alloc(1)]),
      Buffer.concat([one, one.subarray(0, 4)]),
    ])
      await expect(unzstd(packed)).rejects.toMatchObject({ reason: 'DecryptFailed' });
    const gzip = gzipSync(rows(1000));
    await expect(
      collect(decompress(inChunks(Buffer.concat([gzip, Buffer.from('rubbish')]), 100), 'gzip', plenty)),
    ).rejects.toMatchObject({ reason: 'DecryptFailed' });
    await expect(collect(decompress(inChunks(gzip.subarray(0, -1), 100), 'gzip', plenty))).rejects.toMatchObject({
      reason: 'DecryptFailed',
    });
  });

  test('a flipped bit does not open', async () => {
    const packed = frame(randomBytes(200_000));
    for (let at = 20; at < packed.length; at += 19_999) {
      const flipped = Buffer.from(packed);
      flipped[at] = (flipped[at] ?? 0) ^ 4;
      await expect(unzstd(flipped), `at ${at}`).rejects.toMatchObject({ reason: 'DecryptFailed' });
    }
  });

  test('several members of gzip open like one', async () => {
    const packed = Buffer.concat([gzipSync('one '), gzipSync('two')]);
    expect(String(await collect(decompress(inChunks(packed, 7), 'gzip', plenty)))).toBe('one two');
  });

  test.each(['zstd', 'gzip', 'none'] as const)(
    'more plain bytes than the manifest tells are refused before they pile up: %s',
    async (algorithm) => {
      const bomb = Buffer.alloc(64 * 1_048_576);
      const packed = algorithm === 'none' ? bomb : algorithm === 'gzip' ? gzipSync(bomb) : frame(bomb);
      let given = 0;
      const reading = (async () => {
        for await (const chunk of decompress(inChunks(packed, 10_000), algorithm, 1_000_000)) given += chunk.length;
      })();
      await expect(reading).rejects.toMatchObject({ reason: 'DigestMismatch' });
      expect(given).toBeLessThanOrEqual(1_000_000);
    },
  );

  test('a frame that holds more or less than its header tells is refused', async () => {
    const honest = frame(Buffer.alloc(100_000, 'x'));
    const at = honest.indexOf(Buffer.from([0xa0, 0x86, 0x01, 0x00]));
    expect(at).toBeGreaterThan(0);
    for (const told of [99_999, 100_001]) {
      const lying = Buffer.from(honest);
      lying.writeUInt32LE(told, at);
      await expect(unzstd(lying)).rejects.toMatchObject({ reason: 'DecryptFailed' });
    }
  });

  test('an error of the source comes out as it is, and a reader that stops early leaves nothing running', async () => {
    const packed = Buffer.concat(Array.from({ length: 9 }, () => frame(randomBytes(100_000))));
    for (const algorithm of ['zstd', 'gzip', 'none'] as const)
      await expect(
        collect(decompress(breaking(algorithm === 'gzip' ? gzipSync(packed) : packed), algorithm, plenty)),
        algorithm,
      ).rejects.toMatchObject({ reason: 'StorageUnreachable' });
    let closed = false;
    const source = (async function* () {
      try {
        yield* inChunks(packed, 5000);
      } finally {
        closed = true;
      }
    })();
    for await (const _chunk of decompress(source, 'zstd', plenty)) break;
    expect(closed).toBe(true);
  });
});

test('a reader gives what is asked for, however it came', async () => {
  const bytes = randomBytes(10_000);
  for (const chunk of [1, 7, 333, 20_000]) {
    const reader = new ByteReader(inChunks(bytes, chunk));
    const hash = createHash('sha256');
    expect(await reader.fill(600)).toBe(true);
    expect(reader.peek(300).equals(bytes.subarray(0, 300))).toBe(true);
    for (const count of [0, 1, 599, 400]) {
      await reader.fill(count);
      hash.update(reader.take(count));
    }
    for (let some = await reader.takeSome(77); some !== undefined; some = await reader.takeSome(77)) hash.update(some);
    expect(await reader.fill(1)).toBe(false);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  }
});
