// What runs on threads of its own is sent there as text: it has to be whole also as the release build leaves it.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { release } from '../../build.ts';
import type { feed } from '../../executor/feed.ts';
import type { DigestThread } from '../../executor/stream/digest-thread.ts';
import { run } from '../rig/command.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-threads-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function released<T>(entry: string): Promise<T> {
  const outfile = join(folder, 'released.mjs');
  await build({ ...release, format: 'esm', target: 'node24', entryPoints: [entry], outfile });
  return (await import(pathToFileURL(outfile).href)) as T;
}

test('digests', async () => {
  const { DigestThread: Released } = await released<{ DigestThread: typeof DigestThread }>(
    'executor/stream/digest-thread.ts',
  );
  const thread = new Released();
  try {
    const meter = thread.measure();
    async function* chunks() {
      yield Buffer.from('some text');
    }
    for await (const _chunk of meter.pass(chunks()));
    expect(await meter.sha256()).toBe(createHash('sha256').update('some text').digest('hex'));
  } finally {
    await thread.close();
  }
});

test('a FIFO', async () => {
  const { feed: give } = await released<{ feed: typeof feed }>('executor/feed.ts');
  const path = join(folder, 'fifo');
  await run(['mkfifo', path]);
  const sent = Buffer.alloc(300_000, 'x');
  async function* chunks() {
    yield Buffer.from(sent);
  }
  const read = readFile(path);
  const options = { path, openMilliseconds: 10_000, signal: new AbortController().signal, ended: async () => false };
  await give(chunks(), options, () => {});
  expect((await read).equals(sent)).toBe(true);
});
