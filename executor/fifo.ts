// Reads the FIFO that the dump writes. Whatever the other side does or leaves undone, this ends in bounded time.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, RunError } from './errors.ts';

const pollMilliseconds = 100;
/** What a pipe holds. */
const chunkBytes = 65_536;

export interface FifoOptions {
  path: string;
  /** Milliseconds until the first byte, from now. */
  firstByteMilliseconds: number;
  /** Milliseconds without a byte while we wait for one; the time that the store takes does not count. */
  stallMilliseconds: number;
  signal: AbortSignal;
  /** Whether the dump has said that it ended. */
  ended(): Promise<boolean>;
}

/** What is in the pipe now: nothing also while no writer has come, which a read cannot tell from its having gone. */
function readNow(file: number): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  try {
    const count = readSync(file, buffer);
    return count === 0 ? undefined : buffer.subarray(0, count);
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

async function firstChunk(file: number, options: FifoOptions): Promise<Buffer | undefined> {
  const deadline = performance.now() + options.firstByteMilliseconds;
  for (;;) {
    options.signal.throwIfAborted();
    // Asked before the read: what was written before the end is then seen by it.
    const ended = await options.ended();
    const chunk = readNow(file);
    if (chunk !== undefined || ended) return chunk;
    if (performance.now() > deadline)
      throw new RunError(
        'DumpStalled',
        `read the dump: not a byte came within ${Math.round(options.firstByteMilliseconds / 1000)} s`,
      );
    await pause(pollMilliseconds);
  }
}

/** The dump's bytes, until the writer has gone; none when it ended without writing. */
export async function* readFifo(options: FifoOptions): AsyncGenerator<Buffer, void, void> {
  // Non-blocking: a blocking open would wait for ever for a dump that never starts.
  const file = openSync(options.path, constants.O_RDONLY | constants.O_NONBLOCK);
  let first: Buffer | undefined;
  try {
    first = await firstChunk(file, options);
  } finally {
    if (first === undefined) closeSync(file);
  }
  if (first === undefined) return;
  const socket = new Socket({ fd: file, readable: true, writable: false });
  try {
    yield first;
    yield* withStallLimit(socket, options);
  } finally {
    socket.destroy();
  }
}

async function* withStallLimit(socket: Socket, { signal, stallMilliseconds }: FifoOptions): AsyncGenerator<Buffer> {
  const abort = () => socket.destroy(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', abort, { once: true });
  const stall = () =>
    socket.destroy(
      new RunError('DumpStalled', `read the dump: not a byte came for ${Math.round(stallMilliseconds / 1000)} s`),
    );
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  try {
    for (;;) {
      const timer = setTimeout(stall, stallMilliseconds);
      const next = await chunks.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
