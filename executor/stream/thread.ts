// A thread that answers what it is asked, in order, and never leaves a question open when it is gone.
import { type Transferable, Worker } from 'node:worker_threads';
import { own } from './release.ts';

/** A chunk as it comes back from a thread, or goes to one. */
export type Sent = Uint8Array<ArrayBuffer>;

export class Thread<Asked, Answer> {
  readonly #worker: Worker;
  /** Answers come in the order of the questions. */
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];
  #ended: unknown;

  /**
   * @param body sent to the thread as text: it may know nothing of its file, and name no function, which the release build would wrap in a
   * helper that is not there. What it posts are the answers, one for each question
   */
  constructor(name: string, body: () => void, workerData?: unknown) {
    this.#worker = new Worker(`(${body.toString()})()`, { eval: true, name, workerData });
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => {
      this.#waiting.shift()?.resolve(answer);
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error(`ask the thread "${name}": it has ended`)));
  }

  #fail(error: unknown): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** @param memory is the thread's from now on */
  ask(asked: Asked, memory: Transferable[] = []): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      // The process may not end before the answer.
      this.#worker.ref();
      this.#worker.postMessage(asked, memory);
    });
  }

  /** Ends it wherever it is; what was asked and not answered fails. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** A chunk that can be given away: itself when it is alone in its memory, as each is that is no smaller than Node's pool. */
export function sendable(chunk: Buffer): Sent {
  return (chunk.length < Buffer.poolSize ? own(chunk) : chunk) as Sent;
}
