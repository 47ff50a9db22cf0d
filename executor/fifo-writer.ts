// Writes into a FIFO on a thread of its own, which looks for room from time to time. A reader that takes 4 KiB at a time, as those built on
// the C library do, wakes one who waits for room at every turn, and both spend more on waking than on the bytes.
import { type Sent, sendable, Thread } from './stream/thread.ts';

type Answer = { done: true } | { code: string; message: string };

/** What runs on the thread. */
function writeAll(): void {
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  const { writeSync } = process.getBuiltinModule('node:fs');
  const file: number = workerData;
  const never = new Int32Array(new SharedArrayBuffer(4));
  // A full pipe is no failure, and its error is made often.
  Error.stackTraceLimit = 0;
  /**
   * Milliseconds: at the shortest what a timer of the system can do, at the longest what a tool may wait that reads in bursts, and
   * behind many naps in which it read nothing what one may wait that begins again.
   */
  const [shortest, longest, idle] = [0.05, 0.5, 8];
  let nap = 0.25;
  /** What the pipe holds, 64 KiB as a rule, and a page or two when its user has many: the most that it ever took at once. */
  let capacity = 1;
  /** Read while it is written to, it takes more than it holds. */
  const largest = 65_536;

  const pipe = {
    /** How much of the chunk there was room for. */
    write(chunk: Uint8Array, at: number): number {
      try {
        return writeSync(file, chunk, at);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
        throw error;
      }
    },
    /** Naps until the pipe is found empty about as often as not: as few wakings as its size allows. */
    rest(written: number): void {
      capacity = Math.min(largest, Math.max(capacity, written));
      nap *= written >= capacity ? 0.9 : 1.1;
      nap = Math.min(written === 0 ? idle : longest, Math.max(shortest, nap));
      Atomics.wait(never, 0, 0, nap);
    },
  };
  parentPort?.on('message', (chunk: Sent) => {
    try {
      for (let at = 0; at < chunk.length; ) {
        const written = pipe.write(chunk, at);
        at += written;
        if (at < chunk.length) pipe.rest(written);
      }
      parentPort?.postMessage({ done: true });
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      parentPort?.postMessage({ code, message });
    }
    // Nobody reads it again: see release.ts.
    chunk.buffer.transfer(0);
  });
}

export class FifoWriter {
  readonly #thread: Thread<Sent, Answer>;

  /** @param file open for writing, and non-blocking: a thread that waits in a write cannot be ended. It is the caller's to close, after this */
  constructor(file: number) {
    this.#thread = new Thread('fifo', writeAll, file);
  }

  /**
   * Resolves when all of it is in the pipe. The next may be given before.
   * @param given is given away: unless it is smaller than Node's pool it must be alone in its memory
   * @throws an error with the system's code, EPIPE when the reader has gone
   */
  async write(given: Buffer): Promise<void> {
    const chunk = sendable(given);
    const answer = await this.#thread.ask(chunk, [chunk.buffer]);
    if ('code' in answer) throw Object.assign(new Error(`write to the FIFO: ${answer.message}`), { code: answer.code });
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
