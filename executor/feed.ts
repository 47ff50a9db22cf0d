// Writes the dump into the FIFO that the restore tool reads. Whatever the other side does or leaves undone, this ends.
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, RunError } from './errors.ts';

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

function writeOne(socket: Socket, chunk: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const abort = () => fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.write(chunk, (error) => {
      signal.removeEventListener('abort', abort);
      if (error == null) done();
      else fail(codeOf(error) === 'EPIPE' ? new ReaderGone('it ended before it had read all') : error);
    });
  });
}

/**
 * Gives the stream to the reader. An error leaves the FIFO's end to whoever holds it open on the other side.
 * @param begin called once, before the first byte is written
 */
export async function feed(source: AsyncIterable<Buffer>, options: FeedOptions, begin: () => void): Promise<void> {
  const chunks = source[Symbol.asyncIterator]();
  // To open the store's object takes about as long as the other side takes to open the FIFO.
  let coming = chunks.next();
  // It is awaited later than it may fail.
  coming.catch(() => {});
  let socket: Socket | undefined;
  try {
    socket = socketOn(await openFifo(options));
    for (let chunk = await coming; chunk.done !== true; chunk = await coming) {
      options.signal.throwIfAborted();
      begin();
      begin = () => {};
      await writeOne(socket, chunk.value, options.signal);
      coming = chunks.next();
    }
  } finally {
    socket?.destroy();
    // A chunk that is still to come is not waited for.
    chunks.return?.().catch(() => {});
  }
}

function socketOn(file: number): Socket {
  try {
    const socket = new Socket({ fd: file, readable: false, writable: true });
    // What goes wrong comes out of the write that it befell.
    socket.on('error', () => {});
    return socket;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}
