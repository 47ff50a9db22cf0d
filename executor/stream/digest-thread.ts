// Digests taken on a thread of their own: SHA-256 of a large chunk takes the main thread tens of milliseconds where the processor has no
// instructions for it, in which it neither reads nor writes, and a FIFO holds a millisecond's work of the tool behind it.
import { ahead } from './ordered.ts';
import { type Sent, sendable, Thread } from './thread.ts';

type Asked = { stream: number; chunk: Sent } | { stream: number };
type Answer = { chunk: Sent } | { sha256: string };

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
      parentPort?.postMessage({ chunk: asked.chunk }, [asked.chunk.buffer]);
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
  readonly #thread = new Thread<Asked, Answer>('digests', digestAll);
  #streams = 0;

  measure(): AsideMeasure {
    const stream = this.#streams++;
    const digest = async (given: Buffer): Promise<Buffer> => {
      const chunk = sendable(given);
      const answer = await this.#thread.ask({ stream, chunk }, [chunk.buffer]);
      if (!('chunk' in answer)) throw new Error('take a digest: no chunk came back');
      const { buffer, byteOffset, byteLength } = answer.chunk;
      return Buffer.from(buffer, byteOffset, byteLength);
    };
    const measured: AsideMeasure = {
      bytes: 0,
      sha256: async () => {
        const answer = await this.#thread.ask({ stream });
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

  close(): Promise<void> {
    return this.#thread.close();
  }
}
