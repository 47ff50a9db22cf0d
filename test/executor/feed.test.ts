// What goes to the restore tool: nothing of the source is waited for longer than the tool is, and nothing of it is left open.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { feed, ReaderGone } from '../../executor/feed.ts';
import { run } from '../rig/command.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-feed-'));
  path = join(folder, 'fifo');
  await run(['mkfifo', path]);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A source that says when it was asked and that it was left. */
function source(): { chunks: AsyncGenerator<Buffer, void, void>; asked: Promise<void>; left: () => boolean } {
  let ask = (): void => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  let left = false;
  async function* chunks(): AsyncGenerator<Buffer, void, void> {
    try {
      ask();
      yield Buffer.from('one ');
      yield Buffer.from('two');
    } finally {
      left = true;
    }
  }
  return { chunks: chunks(), asked, left: () => left };
}

const options = (ended: boolean) => ({
  path,
  openMilliseconds: 10_000,
  signal: new AbortController().signal,
  ended: async () => ended,
});

test('the source is asked for its first chunk before the tool has opened the FIFO, and all of it arrives', async () => {
  const { chunks, asked, left } = source();
  let begun = 0;
  const feeding = feed(chunks, options(false), () => {
    begun += 1;
  });
  await asked;
  expect(begun).toBe(0);
  const read = readFile(path, 'utf8');
  await feeding;
  expect(await read).toBe('one two');
  expect(begun).toBe(1);
  expect(left()).toBe(true);
});

test('a tool that ends before it reads leaves a source that is closed and a failure that says so', async () => {
  const { chunks, left } = source();
  await expect(feed(chunks, options(true), () => {})).rejects.toThrow(ReaderGone);
  await expect.poll(left).toBe(true);
});

test('what is wrong with the first chunk is told when the tool has opened the FIFO, not as an unhandled rejection', async () => {
  async function* broken(): AsyncGenerator<Buffer, void, void> {
    yield await Promise.reject(new Error('the store is away'));
  }
  const feeding = feed(broken(), options(false), () => {});
  const read = readFile(path);
  await expect(feeding).rejects.toThrow('the store is away');
  expect(await read).toHaveLength(0);
});
