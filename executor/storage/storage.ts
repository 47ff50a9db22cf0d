// Where snapshots are kept, as little as the executor needs of it. Nothing is ever overwritten, and what is not whole is not visible.
// Every kind passes the same conformance suite against a real server. Failures are RunErrors; an existing key is ObjectExists.

export interface StoredObject {
  key: string;
  size: number;
  /** The store's own word on when it was written. */
  modifiedAt: Date;
}

/** An upload that has begun and not ended; invisible, but it takes room. */
export interface PendingUpload {
  key: string;
  startedAt: Date;
  /** The store's name for it. */
  id: string;
}

export class ObjectExists extends Error {
  override name = 'ObjectExists';
}

/** The store does not let go of an object yet: no failure, it is deleted by a later run. */
export class ObjectLocked extends Error {
  override name = 'ObjectLocked';
  /** undefined where it is held until somebody releases it, or where the store does not tell. */
  readonly until: Date | undefined;

  constructor(key: string, until?: Date) {
    super(`delete "${key}": it is locked${until === undefined ? '' : ` until ${until.toISOString()}`}`);
    this.until = until;
  }
}

/**
 * A lock that the store tells by its end.
 * @param ends of all that may hold the object, in any form of a date; undefined or empty where there is none
 * @param now by the store's clock, in ms
 */
export function stillLocked(key: string, ends: readonly (string | undefined)[], now: number): ObjectLocked | undefined {
  const until = Math.max(0, ...ends.map((end) => Date.parse(end ?? '') || 0));
  return until > now ? new ObjectLocked(key, new Date(until)) : undefined;
}

export interface PutOptions {
  /** Aborted when the source fails or the run is called off: what has been sent is then taken back. */
  signal: AbortSignal;
  /** Bytes that are probably coming, 0 when unknown; sizes the parts. */
  expectedBytes: number;
}

export interface Storage {
  /** Stores a stream under a new key and gives its size. When the source throws nothing is left. */
  put(key: string, source: AsyncIterable<Buffer>, options: PutOptions): Promise<number>;
  /** Stores a small text under a new key. Throws ObjectExists when there is one. */
  putSmall(key: string, text: string): Promise<void>;
  /** A whole small object; undefined when there is none. Refuses one of more than `limit` bytes. */
  getSmall(key: string, limit: number): Promise<Buffer | undefined>;
  /** An object from byte `start` on, and no more than `length` bytes of it: one that is shorter ends early. A chunk's memory is the reader's. */
  get(key: string, start?: number, length?: number): AsyncIterable<Buffer>;
  /** The direct children of a prefix that ends with a slash, in any order. */
  list(prefix: string): AsyncIterable<StoredObject>;
  head(key: string): Promise<StoredObject | undefined>;
  /** What holds an object so that it cannot be deleted yet; undefined where nothing does, or the store does not tell. */
  locked(key: string): Promise<ObjectLocked | undefined>;
  /** Deletes one object for good, every version of it. One that is not there is no error; a locked one is ObjectLocked. */
  delete(key: string): Promise<void>;
  /** Uploads below the prefix that have not ended. */
  pending(prefix: string): Promise<PendingUpload[]>;
  abortPending(upload: PendingUpload): Promise<void>;
  /** Begins and takes back an upload of this key: whether writing is allowed shows before the dump runs. */
  probe(key: string): Promise<void>;
  /** Milliseconds that our clock is ahead of the store's, as of its last answer; undefined where it has none. */
  clockAhead(): number | undefined;
  close(): void;
}
