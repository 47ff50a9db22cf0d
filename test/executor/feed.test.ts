// What goes to the restore tool: nothing of the source is waited for longer than the tool is, and nothing of it is left open.
import { createHash, randomBytes } from 'node:crypto';
import { constants, readSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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
function source(...given: Buffer[]): {
  chunks: AsyncGenerator<Buffer, void, void>;
  asked: Promise<void>;
  left: () => boolean;
} {
  let ask = (): void => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  let left = false;
  async function* chunks(): AsyncGenerator<Buffer, void, void> {
    try {
      ask();
      yield* given;
    } finally {
      left = true;
    }
  }
  return { chunks: chunks(), asked, left: () => left };
}

/** A source that goes silent behind its chunk. */
function stalling(chunk: Buffer): { chunks: AsyncGenerator<Buffer, void, void>; left: () => boolean } {
  let left = false;
  async function* chunks(): AsyncGenerator<Buffer, void, void> {
    try {
      yield chunk;
      await new Promise(() => {});
    } finally {
      left = true;
    }
  }
  return { chunks: chunks(), left: () => left };
}

const options = (ended: boolean) => ({
  path,
  openMilliseconds: 10_000,
  signal: new AbortController().signal,
  ended: async () => ended,
});

test('the source is asked for its first chunk before the tool has opened the FIFO, and all of it arrives', async () => {
  const { chunks, asked, left } = source(Buffer.from('one '), Buffer.from('two'));
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
  const { chunks, left } = source(Buffer.from('one'));
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

test('a run that is called off while the FIFO is opened gives nothing, though the first chunk is there', async () => {
  const stop = new AbortController();
  const { chunks } = source(Buffer.from('one'));
  const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const ended = async () => {
    await new Promise(setImmediate);
    stop.abort(new Error('called off'));
    return false;
  };
  let begun = 0;
  const begin = () => {
    begun += 1;
  };
  try {
    await expect(feed(chunks, { ...options(false), signal: stop.signal, ended }, begin)).rejects.toThrow('called off');
    expect(begun).toBe(0);
    expect(readSync(reader.fd, Buffer.alloc(10))).toBe(0);
  } finally {
    await reader.close();
  }
});

describe('a reader', () => {
  /** As pg_restore reads, and as nothing that is known reads. */
  test.each([
    ['4 KiB at a time', 4096, 3_000_000],
    ['all at once', 1_048_576, 3_000_000],
    ['a byte at a time', 1, 100_000],
  ])('that takes %s gets every byte in its place', async (_name, blockBytes, size) => {
    const sent = randomBytes(size);
    async function* chunks() {
      for (let at = 0; at < size; ) {
        const chunk = Buffer.from(sent.subarray(at, at + 1 + Math.floor(Math.random() * 400_000)));
        at += chunk.length;
        yield chunk;
      }
    }
    const reading = run(['sh', '-c', `dd if=${path} bs=${blockBytes} 2>/dev/null | sha256sum`]);
    await feed(chunks(), options(false), () => {});
    expect(await reading).toContain(createHash('sha256').update(sent).digest('hex'));
  });

  test('that goes away while the source says nothing is told of at once', async () => {
    const { chunks, left } = stalling(Buffer.alloc(1_000_000));
    const reading = run(['head', '-c', '10', path]);
    await expect(feed(chunks, options(false), () => {})).rejects.toThrow('it ended before it had read all');
    await reading;
    expect(left()).toBe(false);
  });

  test('that reads nothing keeps nobody from stopping, and sees the end of what was written', async () => {
    const stop = new AbortController();
    const { chunks } = source(Buffer.alloc(1_000_000, 'x'));
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const feeding = feed(chunks, { ...options(false), signal: stop.signal }, () => {});
      await expect.poll(() => readSync(reader.fd, Buffer.alloc(1), { length: 1 })).toBe(1);
      stop.abort(new Error('told to stop'));
      await expect(feeding).rejects.toThrow('told to stop');
      const rest = Buffer.alloc(1_000_000);
      let held = 0;
      for (let count = -1; count !== 0; held += count) count = readSync(reader.fd, rest);
      expect(held).toBeLessThan(1_000_000);
    } finally {
      await reader.close();
    }
  });
});

test('the memory of what was given is not kept', async () => {
  const given: Buffer[] = [];
  async function* chunks() {
    for (let index = 0; index < 3; index += 1) {
      const chunk = Buffer.allocUnsafeSlow(500_000);
      given.push(chunk);
      yield chunk;
    }
  }
  const reading = run(['sh', '-c', `cat ${path} >/dev/null`]);
  await feed(chunks(), options(false), () => {});
  await reading;
  expect(given.map(({ length }) => length)).toEqual([0, 0, 0]);
});
