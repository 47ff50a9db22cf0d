// How an upload reaches Google's storage: a small one in one request, others through a resumable session, which takes its chunks one after
// the other, tells how much of them it has, and shows the object only when all is there.
import { randomUUID } from 'node:crypto';
import { RunError } from '../errors.ts';
import { Crc32c } from './crc32c.ts';
import { isMissing, isTaken } from './gcs-errors.ts';
import { type HttpClient, HttpError } from './http-client.ts';
import type { Destination } from './upload.ts';

/** Tells our own object from one of another writer when the answer to its completion was lost. */
const attemptField = 'dbbackup-upload';
/** What a session answers while it wants more. */
const incomplete = 308;
/** All requests that take an upload back, together. */
const discardMilliseconds = 4000;
const discardAttempts = 3;

/** An object as Google describes it. */
export interface GcsObject {
  name: string;
  size: string;
  updated: string;
  /** Of the content; each write makes another. */
  generation: string;
  crc32c?: string;
  temporaryHold?: boolean;
  eventBasedHold?: boolean;
  /** RFC 3339. */
  retentionExpirationTime?: string;
  retention?: { retainUntilTime?: string };
  metadata?: Record<string, string>;
}

export interface GcsBucket {
  client: HttpClient;
  /** Requests on objects: `<objects>/<name>`. */
  objects: URL;
  /** Where uploads begin. */
  uploads: URL;
}

/** The address of an object, with the query's fields. */
export function objectUrl({ objects }: GcsBucket, key: string, query: Record<string, string> = {}): URL {
  const url = new URL(`${objects.href}/${encodeURIComponent(key)}`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

export class GcsUpload implements Destination {
  readonly #bucket: GcsBucket;
  readonly #key: string;
  readonly #attempt = randomUUID();
  readonly #sum = new Crc32c();
  #session: URL | undefined;
  #sent = 0;

  constructor(bucket: GcsBucket, key: string) {
    this.#bucket = bucket;
    this.#key = key;
  }

  get #client(): HttpClient {
    return this.#bucket.client;
  }

  #uploadUrl(uploadType: 'multipart' | 'resumable'): URL {
    const url = new URL(this.#bucket.uploads);
    const query = { uploadType, name: this.#key, ifGenerationMatch: '0' };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  async whole(body: Buffer, signal: AbortSignal): Promise<void> {
    this.#sum.update(body);
    const boundary = this.#attempt;
    const fields = { metadata: { [attemptField]: this.#attempt }, crc32c: this.#sum.base64() };
    const head = `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(fields)}\r\n`;
    const before = Buffer.from(`${head}--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`);
    const asking = this.#client.read({
      method: 'POST',
      url: this.#uploadUrl('multipart'),
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body: [before, body, Buffer.from(`\r\n--${boundary}--\r\n`)],
      signal,
    });
    const { body: told } = await asking.catch((error: unknown) => {
      throw error instanceof HttpError && error.status === 400 ? this.#mismatch() : error;
    });
    this.#check(told, body.length);
  }

  async begin(signal: AbortSignal): Promise<void> {
    const { answer } = await this.#client.read({
      method: 'POST',
      url: this.#uploadUrl('resumable'),
      headers: { 'content-type': 'application/json; charset=UTF-8' },
      body: [Buffer.from(JSON.stringify({ metadata: { [attemptField]: this.#attempt } }))],
      signal,
    });
    // Only path and query: our token goes to the store that was asked for and to no other host.
    const { pathname, search } = new URL(answer.header('location') || '/', this.#bucket.uploads);
    if (search === '') throw new RunError('UploadFailed', `put "${this.#key}": the store began no upload`);
    this.#session = new URL(pathname + search, this.#bucket.uploads);
  }

  async part(_number: number, body: Buffer, last: boolean, signal: AbortSignal): Promise<void> {
    this.#sum.update(body);
    const from = this.#sent;
    const end = from + body.length;
    await this.#client.retry(
      async (attempt) => {
        let at = attempt === 1 ? from : await this.#stored(last ? end : undefined, signal);
        while (at !== 'all' && (last || at < end)) {
          if (at < from) throw new RunError('UploadFailed', `put "${this.#key}": the store lost what it had`);
          const before: number = at;
          at = await this.#chunk(body.subarray(at - from), at, last ? end : undefined, signal);
          // Each answer moves it on, or the try has failed.
          if (at !== 'all' && at <= before) throw new HttpError(503, 'noProgress');
        }
      },
      { signal },
    );
    this.#sent = end;
  }

  /** The last part has done it. */
  async complete(): Promise<void> {}

  /** Sends bytes from `at` on. Gives how many the store has now. */
  #chunk(bytes: Buffer, at: number, total: number | undefined, signal: AbortSignal): Promise<number | 'all'> {
    const range = `bytes ${bytes.length === 0 ? '*' : `${at}-${at + bytes.length - 1}`}/${total ?? '*'}`;
    const sum = total === undefined ? {} : { 'x-goog-hash': `crc32c=${this.#sum.base64()}` };
    return this.#tell({ 'content-range': range, ...sum }, [bytes], total, signal);
  }

  /** How many bytes the store has. */
  #stored(total: number | undefined, signal: AbortSignal): Promise<number | 'all'> {
    return this.#tell({ 'content-range': `bytes */${total ?? '*'}` }, [], total, signal);
  }

  async #tell(
    headers: Record<string, string>,
    body: Buffer[],
    total: number | undefined,
    signal: AbortSignal,
  ): Promise<number | 'all'> {
    if (this.#session === undefined) throw new Error('an upload has parts only after its beginning');
    const request = { method: 'PUT', url: this.#session, headers, body, signal, attempts: 1 } as const;
    const asking = this.#client.read({ ...request, expect: [200, 201, incomplete] });
    const { answer, body: told } = await asking.catch((error: unknown) => {
      throw this.#refusal(error, total !== undefined);
    });
    if (answer.status === incomplete) {
      const range = /^bytes=0-(\d+)$/.exec(answer.header('range'));
      return range === null ? 0 : Number(range[1]) + 1;
    }
    if (total === undefined) throw new RunError('UploadFailed', `put "${this.#key}": the store ended it too soon`);
    this.#check(told, total);
    return 'all';
  }

  /** What a refusal means that would mean something else of another request. */
  #refusal(error: unknown, summed: boolean): unknown {
    const status = error instanceof HttpError ? error.status : 0;
    if (status === 404 || status === 410)
      return new RunError('UploadFailed', `put "${this.#key}": the store has forgotten the upload (HTTP ${status})`);
    // The one thing in it that can be wrong is the sum of what was sent before.
    if (status === 400 && summed) return this.#mismatch();
    return error;
  }

  #mismatch(): RunError {
    return new RunError('DigestMismatch', `put "${this.#key}": the store got other bytes than were sent`);
  }

  /** Holds what the store has against what was sent. */
  #check(told: Buffer, size: number): void {
    const object = JSON.parse(told.toString('utf8')) as GcsObject;
    const wrong = Number(object.size) !== size || (object.crc32c !== undefined && object.crc32c !== this.#sum.base64());
    if (wrong) throw this.#mismatch();
  }

  async #look(signal?: AbortSignal): Promise<GcsObject | undefined> {
    const url = objectUrl(this.#bucket, this.#key);
    const options = signal === undefined ? {} : { signal, attempts: discardAttempts };
    try {
      const { body } = await this.#client.read({ method: 'GET', url, headers: {}, ...options });
      return JSON.parse(body.toString('utf8')) as GcsObject;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  #isOwn(object: GcsObject | undefined): object is GcsObject {
    return object?.metadata?.[attemptField] === this.#attempt;
  }

  async isOurs(size: number): Promise<boolean> {
    const object = await this.#look();
    return this.#isOwn(object) && Number(object.size) === size && object.crc32c === this.#sum.base64();
  }

  isTaken(error: unknown): boolean {
    return isTaken(error);
  }

  /** A session that is not canceled here is forgotten by the store within a week, and was never seen. */
  async discard(): Promise<void> {
    const signal = AbortSignal.timeout(discardMilliseconds);
    const options = { headers: {}, signal, attempts: discardAttempts };
    try {
      if (this.#session !== undefined)
        await this.#client.read({ method: 'DELETE', url: this.#session, ...options }).catch(() => {});
      const object = await this.#look(signal);
      if (!this.#isOwn(object)) return;
      const url = objectUrl(this.#bucket, this.#key, { generation: object.generation });
      await this.#client.read({ method: 'DELETE', url, ...options });
    } catch {
      // What is left has no manifest and is no snapshot; prune removes it once nobody can be writing it.
    }
  }
}
