// Digests taken on a thread of their own: SHA-256 of a large chunk takes the main thread tens of milliseconds where the processor has no
// instructions for it, in which it neither reads nor writes, and a FIFO holds a millisecond's work of the tool behind it.
import { type Transferable, Worker } from 'node:worker_threads';
import { ahead } from './ordered.ts';
import { own } from './release.ts';

type Asked = { stream: number; chunk: Uint8Array } | { stream: number };
type Answer = { chunk: Uint8Array } | { sha256: string };

/** What runs on the thread. It is sent there as text, so it knows nothing of this file. */
function digestAll(): void {
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const hashes = new Map<number, ReturnType<typeof createHash>>();
  parentPort?.on('message', (asked: Asked) => {
    const hash = hashes.get(asked.stream) ?? createHash('sha256');
    hashes.set(asked.stream, hash);
    if ('chunk' in asked) {
      hash.update(asked.chunk);
      parentPort?.postMessage({ chunk: asked.chunk }, [asked.chunk.buffer as ArrayBuffer]);
    } else parentPort?.postMessage({ sha256: hash.digest('hex') });
  });
}

export interface AsideMeasure {
  /** Bytes that have come so far. */
  bytes: number;
  /** Digest of all that has passed, hex. Once, after the end. */
  sha256(): Promise<string>;
  /** @param source its chunks are given away: each that is no smaller than Node's pool must be alone in its memory */
  pass(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void>;
}

export class DigestThread {
  readonly #worker = new Worker(`(${digestAll.toString()})()`, { eval: true });
  /** Answers come in the order of the questions. */
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];
  #streams = 0;
  #ended: unknown;

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#waiting.shift()?.resolve(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('take digests: their thread has ended')));
  }

  #fail(error: unknown): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #ask(asked: Asked, memory: Transferable[]): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(asked, memory);
    });
  }

  measure(): AsideMeasure {
    const stream = this.#streams++;
    const digest = async (given: Buffer): Promise<Buffer> => {
      const chunk = given.length < Buffer.poolSize ? own(given) : given;
      const answer = await this.#ask({ stream, chunk }, [chunk.buffer as ArrayBuffer]);
      if (!('chunk' in answer)) throw new Error('take a digest: no chunk came back');
      const { buffer, byteOffset, byteLength } = answer.chunk;
      return Buffer.from(buffer, byteOffset, byteLength);
    };
    const measured: AsideMeasure = {
      bytes: 0,
      sha256: async () => {
        const answer = await this.#ask({ stream }, []);
        if (!('sha256' in answer)) throw new Error('take a digest: none came back');
        return answer.sha256;
      },
      pass: (source) =>
        ahead(source, (chunk) => {
          measured.bytes += chunk.length;
          return digest(chunk);
        }),
    };
    return measured;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
