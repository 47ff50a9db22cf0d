// What the stock age, zstd and gzip programs wrote opens with ours, of any size and setting, and what ours wrote opens with theirs.
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compress } from '../../executor/stream/compress.ts';
import { decompress } from '../../executor/stream/decompress.ts';
import { decrypt } from '../../executor/stream/decrypt.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';

const size = 30_000_000;
let folder: string;
let plain: string;
let whole: string;
let identity: string;
let recipient: string;

const at = (name: string): string => join(folder, name);
const sh = (line: string) => run(['sh', '-c', line], { cwd: folder });

async function digestOf(source: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk);
  return hash.digest('hex');
}

const read = (name: string): AsyncIterable<Buffer> => createReadStream(at(name), { highWaterMark: 1_000_003 });

beforeAll(async () => {
  await debianPackages(['zstd', 'age', 'gzip'], (line) => console.error(line));
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-stock-'));
  identity = await generateIdentity();
  recipient = await identityToRecipient(identity);
  await writeFile(at('key'), `# created: today\n${identity}\n`);
  const rows = Array.from({ length: 100_000 }, (_, n) => `${n}\torder ${(n * 7919) % 99_991}\t${Math.sin(n)}\n`).join(
    '',
  );
  plain = rows.repeat(Math.ceil(size / rows.length)).slice(0, size);
  await writeFile(at('plain'), plain);
  whole = createHash('sha256').update(plain).digest('hex');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('theirs with ours', () => {
  test.each([
    'zstd -3 -c plain',
    'zstd -1 -T2 -c plain',
    'zstd -12 --long=27 -c plain',
    'zstd -3 --no-check -c plain',
    // From a pipe it does not know the size.
    'cat plain | zstd -3 -c',
    'split -b 3000000 plain part. && for one in part.*; do zstd -3 -c $one; done',
  ])('%s', async (line) => {
    await sh(`{ ${line}; } > packed`);
    expect(await digestOf(decompress(read('packed'), 'zstd', size))).toBe(whole);
  });

  test('gzip', async () => {
    await sh('gzip -1 -c plain > packed');
    expect(await digestOf(decompress(read('packed'), 'gzip', size))).toBe(whole);
  });

  test.each([size, 65_536, 65_537, 0])('age, %d bytes', async (count) => {
    await sh(`head -c ${count} plain | age -r ${recipient} -o sealed`);
    const expected = createHash('sha256').update(plain.slice(0, count)).digest('hex');
    expect(await digestOf(decrypt(read('sealed'), [identity]))).toBe(expected);
  });

  test('age to several recipients', async () => {
    const other = await identityToRecipient(await generateIdentity());
    await sh(`age -r ${other} -r ${recipient} -o sealed plain`);
    expect(await digestOf(decrypt(read('sealed'), [await generateIdentity(), identity]))).toBe(whole);
  });
});

test.each(['zstd', 'gzip'] as const)('ours with theirs: %s and age', async (algorithm) => {
  const sealed = encrypt(compress(read('plain'), { algorithm, level: 3 }), [recipient]);
  await pipeline(sealed, createWriteStream(at('ours')));
  const found = await sh(`age -d -i key ours | ${algorithm} -d -c | sha256sum`);
  expect(found.slice(0, 64)).toBe(whole);
});
