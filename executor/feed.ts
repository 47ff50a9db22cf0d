// Writes the dump into the FIFO that the restore tool reads. Whatever the other side does or leaves undone, this ends.
import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, RunError } from './errors.ts';
import { FifoWriter } from './fifo-writer.ts';
import { untilAborted } from './storage/parts.ts';

/** The other side opens it within moments of being told to begin. */
const pollMilliseconds = 25;

/** The reader has gone: how it ended stands in its exit file, if it had the time. */
export class ReaderGone extends Error {
  override name = 'ReaderGone';
}

export interface FeedOptions {
  path: string;
  /** Milliseconds until the other side has opened the FIFO. */
  openMilliseconds: number;
  signal: AbortSignal;
  /** Whether the other side has said that it ended. */
  ended(): Promise<boolean>;
}

/** The writing end; undefined while nobody reads. */
function tryOpen(path: string): number | undefined {
  try {
    // Non-blocking: a blocking open would wait for ever for a reader that never comes.
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENXIO') return undefined;
    throw error;
  }
}

async function openFifo({ path, openMilliseconds, signal, ended }: FeedOptions): Promise<number> {
  const deadline = performance.now() + openMilliseconds;
  for (;;) {
    signal.throwIfAborted();
    const hasEnded = await ended();
    const file = tryOpen(path);
    if (file !== undefined) return file;
    if (hasEnded) throw new ReaderGone('it ended before it read a byte');
    if (performance.now() > deadline)
      throw new RunError(
        'RestoreFailed',
        `feed the restore: nothing read the FIFO within ${Math.round(openMilliseconds / 1000)} s`,
      );
    await pause(pollMilliseconds);
  }
}

/** Fails as soon as the signal is aborted, though the write may go on. */
function writeOne(writer: FifoWriter, chunk: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const abort = () => fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const settle = (error?: unknown) => {
      signal.removeEventListener('abort', abort);
      if (error === undefined) done();
      else fail(codeOf(error) === 'EPIPE' ? new ReaderGone('it ended before it had read all') : error);
    };
    writer.write(chunk).then(() => settle(), settle);
  });
}

/**
 * Gives the stream to the reader. An error leaves the FIFO's end to whoever holds it open on the other side.
 * @param source its chunks are given away: each that is no smaller than Node's pool must be alone in its memory
 * @param begin called once, before the first byte is written
 */
export async function feed(source: AsyncIterable<Buffer>, options: FeedOptions, begin: () => void): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const chunks = untilAborted(source, signal);
  // To open the store's object takes about as long as the other side takes to open the FIFO.
  const first = chunks.next();
  // It is awaited later than it may fail.
  first.catch(() => {});
  try {
    const file = await openFifo(options);
    let writer: FifoWriter | undefined;
    try {
      writer = new FifoWriter(file);
      let writing: Promise<void> | undefined;
      for (let chunk = await first; chunk.done !== true; chunk = await chunks.next()) {
        // It may have come before the signal did.
        signal.throwIfAborted();
        if (writing === undefined) begin();
        // Given before the one before it is written: the reader waits for no chunk that is there.
        const before = writing;
        writing = writeOne(writer, chunk.value, signal);
        writing.catch((error: unknown) => over.abort(error));
        await before;
      }
      await writing;
    } finally {
      await writer?.close();
      closeSync(file);
    }
  } finally {
    // A chunk that is still to come is not waited for.
    over.abort(new RunError('Canceled', 'give no further'));
  }
}
