// One create-only upload from a stream of unknown length, part by part, for any store that takes parts: which of them travel, what happens
// when the source, a part or the caller gives up, and how an answer that was lost is found out.
import { type Limits, partSize, partsInFlight } from '../../crds/rules/part-size.ts';
import { release } from '../stream/release.ts';
import { parts, untilAborted } from './parts.ts';
import { ObjectExists, type PutOptions } from './storage.ts';

/** How long the step that makes the object visible may still take when the run is called off: only its answer says whether it is there. */
const lingerMilliseconds = 3000;

/** Where the parts go: one object of one store, not there yet. Each step tries again by itself as often as is good for it. */
export interface Destination {
  /** Stores all there is as one object. */
  whole(body: Buffer, signal: AbortSignal): Promise<void>;
  /** Before the first of several parts. */
  begin(signal: AbortSignal): Promise<void>;
  /** @param last whether no other follows; only the last may be short */
  part(number: number, body: Buffer, last: boolean, signal: AbortSignal): Promise<void>;
  /** Makes the object of the parts, all of which are there. */
  complete(signal: AbortSignal): Promise<void>;
  /** Whether the object is there and is this upload's own, which another writer's is not. */
  isOurs(size: number): Promise<boolean>;
  /** Whether the failure says that the key is taken. */
  isTaken(error: unknown): boolean;
  /** Once the object is there: takes back what was begun beside it. Never fails. */
  settle?(): Promise<void>;
  /** Takes back what is left of the upload, the object included if it came to be. Never fails: what stays, the store discards. */
  discard(): Promise<void>;
}

export interface Sizes {
  firstPart?: number;
  /** What the store takes; absent: what S3 does. */
  limits?: Limits;
  /** Parts on their way at once, where the store does not take as many as memory has room for. */
  inFlight?: number;
}

/** What tests make small. */
export interface Tuning {
  /** Tries of one request, the first included. */
  attempts?: number;
  /** Bytes of the first part; a multiple of 256 KiB for Google. */
  firstPart?: number;
}

/** A signal that follows another a little later. */
function lingering(signal: AbortSignal): { signal: AbortSignal; release: () => void } {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(() => late.abort(signal.reason), lingerMilliseconds);
  };
  signal.addEventListener('abort', start, { once: true });
  const release = () => {
    signal.removeEventListener('abort', start);
    clearTimeout(timer);
  };
  return { signal: late.signal, release };
}

export class PartsUpload {
  readonly #key: string;
  readonly #to: Destination;
  readonly #options: PutOptions;
  readonly #sizes: Sizes;
  readonly #flying = new Set<Promise<void>>();
  readonly #failed = new AbortController();
  /** Aborted by the caller and by the first part that failed. */
  readonly #signal: AbortSignal;
  #bytes = 0;
  /** The source has been read to its end: from here on the object may come to be. */
  #ended = false;

  constructor(key: string, to: Destination, options: PutOptions, sizes: Sizes = {}) {
    this.#key = key;
    this.#to = to;
    this.#options = options;
    this.#sizes = sizes;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
  }

  /** Resolves to the size when the object is there, and only then. */
  async run(source: AsyncIterable<Buffer>): Promise<number> {
    const late = lingering(this.#signal);
    try {
      await this.#send(source, late.signal);
      // Called off in the meantime: whoever did it counts on there being no object.
      this.#signal.throwIfAborted();
    } catch (error) {
      this.#failed.abort(error);
      await Promise.all(this.#flying);
      if (!(await this.#arrived())) throw await this.#undo();
    } finally {
      late.release();
    }
    await this.#to.settle?.();
    return this.#bytes;
  }

  /** Gives what called the run off, or the part that failed first, rather than its consequences. */
  async #undo(): Promise<unknown> {
    await this.#to.discard();
    const cause: unknown = this.#options.signal.aborted ? this.#options.signal.reason : this.#failed.signal.reason;
    return this.#to.isTaken(cause) ? new ObjectExists(this.#key) : cause;
  }

  async #send(source: AsyncIterable<Buffer>, late: AbortSignal): Promise<void> {
    const { firstPart, limits } = this.#sizes;
    const sizeOf = (number: number) => partSize(number, this.#options.expectedBytes, limits, firstPart);
    for await (const { number, body, last } of parts(untilAborted(source, this.#signal), sizeOf)) {
      this.#bytes += body.length;
      if (last) this.#ended = true;
      if (number === 1 && last) return this.#to.whole(body, late);
      if (number === 1) await this.#to.begin(this.#signal);
      await this.#start(number, body, last, last ? late : this.#signal);
    }
    await Promise.all(this.#flying);
    this.#signal.throwIfAborted();
    await this.#to.complete(late);
  }

  /** Starts one part, after waiting until there is room for it. */
  async #start(number: number, body: Buffer, last: boolean, signal: AbortSignal): Promise<void> {
    const { inFlight = partsInFlight(body.length) } = this.#sizes;
    while (this.#flying.size >= inFlight) await Promise.race(this.#flying);
    this.#signal.throwIfAborted();
    const flight: Promise<void> = this.#to
      .part(number, body, last, signal)
      .then(() => release(body))
      .catch((error: unknown) => this.#failed.abort(error))
      .finally(() => this.#flying.delete(flight));
    this.#flying.add(flight);
  }

  /** Whether the object is there after all when the answer to its last step was lost, and nobody has called the run off. */
  async #arrived(): Promise<boolean> {
    if (!this.#ended || this.#options.signal.aborted) return false;
    return this.#to.isOurs(this.#bytes).catch(() => false);
  }
}
