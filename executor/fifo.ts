// Reads the FIFO that the dump writes. Whatever the other side does or leaves undone, this ends in bounded time.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, RunError } from './errors.ts';

const pollMilliseconds = 100;
/** What a pipe holds. */
const chunkBytes = 65_536;
/** What is handed on at a time. */
const blockBytes = 1_048_576;

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
  if (first !== undefined) yield* new Reading(file, first, options).blocks();
}

/**
 * Reads on while its reader is at work, until two blocks are full. The pipe gives 64 KiB at most: gathered here, they cost nothing more on
 * the way through the streams behind.
 */
class Reading {
  readonly #socket: Socket;
  readonly #options: FifoOptions;
  readonly #full: Buffer[] = [];
  #block = Buffer.allocUnsafeSlow(blockBytes);
  #filled: number;
  #ended = false;
  #failure: Error | undefined;
  /** Runs while the reader waits, from the last byte on. */
  #stalled: NodeJS.Timeout | undefined;
  #wake = (): void => {};

  constructor(file: number, first: Buffer, options: FifoOptions) {
    this.#options = options;
    this.#filled = first.copy(this.#block);
    const onread = { buffer: () => this.#block.subarray(this.#filled), callback: (count: number) => this.#came(count) };
    this.#socket = new Socket({ fd: file, readable: true, writable: false, onread });
    this.#socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    this.#socket.on('error', (error) => {
      this.#failure = error;
      this.#wake();
    });
  }

  /** @returns whether there is room for more */
  #came(count: number): boolean {
    this.#stalled?.refresh();
    this.#filled += count;
    if (this.#filled < blockBytes) return true;
    this.#full.push(this.#block);
    this.#block = Buffer.allocUnsafeSlow(blockBytes);
    this.#filled = 0;
    this.#wake();
    return this.#full.length < 2;
  }

  async *blocks(): AsyncGenerator<Buffer, void, void> {
    const { signal } = this.#options;
    const abort = () => this.#socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      for (;;) {
        await this.#more();
        const block = this.#full.shift();
        if (block === undefined) break;
        this.#socket.resume();
        yield block;
      }
      if (this.#filled > 0) yield this.#block.subarray(0, this.#filled);
    } finally {
      signal.removeEventListener('abort', abort);
      this.#socket.destroy();
    }
  }

  /** Waits for a full block or the end. */
  async #more(): Promise<void> {
    const { stallMilliseconds } = this.#options;
    const stall = () =>
      this.#socket.destroy(
        new RunError('DumpStalled', `read the dump: not a byte came for ${Math.round(stallMilliseconds / 1000)} s`),
      );
    this.#stalled = setTimeout(stall, stallMilliseconds);
    try {
      while (this.#full.length === 0 && !this.#ended && this.#failure === undefined)
        await new Promise<void>((done) => {
          this.#wake = done;
        });
    } finally {
      clearTimeout(this.#stalled);
      this.#stalled = undefined;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
