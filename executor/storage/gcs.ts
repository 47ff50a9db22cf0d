// Storage in a bucket of Google Cloud Storage, over its JSON API.

import type { GcsTask } from '../../crds/rules/contract.ts';
import { gcsLimits } from '../../crds/rules/part-size.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { storageAgents } from './agents.ts';
import { download } from './download.ts';
import { gcsTokens } from './gcs-credentials.ts';
import { errorIn, gcsError, isLocked, isMissing } from './gcs-errors.ts';
import { type GcsBucket, type GcsObject, GcsUpload, objectUrl } from './gcs-upload.ts';
import type { HttpRequest } from './http.ts';
import { HttpClient } from './http-client.ts';
import {
  ObjectExists,
  ObjectLocked,
  type PendingUpload,
  type PutOptions,
  type Storage,
  type StoredObject,
  stillLocked,
} from './storage.ts';
import { PartsUpload, type Sizes, type Tuning } from './upload.ts';

const defaultEndpoint = 'https://storage.googleapis.com';

export async function openGcs(run: Run, task: GcsTask, { attempts, firstPart }: Tuning = {}): Promise<Storage> {
  const agents = await storageAgents(run, task.endpoint === undefined ? {} : { endpoint: task.endpoint });
  const tokens = await gcsTokens(run, task);
  const payer: Record<string, string> = task.project === undefined ? {} : { 'x-goog-user-project': task.project };
  const sign = async (request: HttpRequest, renew: boolean): Promise<HttpRequest> => {
    const authorization = `Bearer ${await tokens(renew)}`;
    return { ...request, headers: { ...request.headers, authorization, ...payer } };
  };
  const client = new HttpClient(agents, { sign, errorOf: (_answer, body) => errorIn(body) }, run.now, attempts);
  const endpoint = task.endpoint ?? defaultEndpoint;
  const path = `storage/v1/b/${encodeURIComponent(task.bucket)}/o`;
  const bucket = { client, objects: new URL(`/${path}`, endpoint), uploads: new URL(`/upload/${path}`, endpoint) };
  const sizes = { inFlight: 1, limits: gcsLimits, ...(firstPart === undefined ? {} : { firstPart }) };
  return new GcsStorage(bucket, task.bucket, sizes, run.now);
}

interface Page {
  items?: GcsObject[];
  nextPageToken?: string;
}

class GcsStorage implements Storage {
  readonly #bucket: GcsBucket;
  readonly #name: string;
  readonly #sizes: Sizes;
  readonly #now: () => Date;

  constructor(bucket: GcsBucket, name: string, sizes: Sizes, now: () => Date) {
    this.#bucket = bucket;
    this.#name = name;
    this.#sizes = sizes;
    this.#now = now;
  }

  get #client(): HttpClient {
    return this.#bucket.client;
  }

  /** Runs one step; its failure says what was tried and on what. */
  async #try<T>(verb: string, key: string, step: () => Promise<T>, fallback: Reason = 'UploadFailed'): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (error instanceof ObjectExists || error instanceof ObjectLocked) throw error;
      throw this.#error(error, verb, key, fallback);
    }
  }

  #error(error: unknown, verb: string, key: string, fallback: Reason): RunError {
    return gcsError(error, `${verb} "${key}" in bucket "${this.#name}"`, fallback, this.clockAhead());
  }

  put(key: string, source: AsyncIterable<Buffer>, options: PutOptions): Promise<number> {
    const upload = new PartsUpload(key, new GcsUpload(this.#bucket, key), options, this.#sizes);
    return this.#try('put', key, () => upload.run(source));
  }

  async putSmall(key: string, text: string): Promise<void> {
    const source = (async function* () {
      yield Buffer.from(text);
    })();
    await this.put(key, source, { signal: new AbortController().signal, expectedBytes: 0 });
  }

  async getSmall(key: string, limit: number): Promise<Buffer | undefined> {
    const found = await this.head(key);
    if (found === undefined) return undefined;
    if (found.size > limit)
      throw new RunError('UploadFailed', `get "${key}": ${found.size} bytes, at most ${limit} are expected`);
    const url = objectUrl(this.#bucket, key, { alt: 'media' });
    return this.#try('get', key, async () => (await this.#client.read({ method: 'GET', url, headers: {} })).body);
  }

  async *get(key: string, start = 0, length?: number): AsyncGenerator<Buffer, void, void> {
    const object = await this.#try('get', key, () => this.#look(key));
    const url = objectUrl(this.#bucket, key, { alt: 'media', generation: object.generation });
    const fail = (error: unknown) => this.#error(error, 'get', key, 'UploadFailed');
    yield* download(
      this.#client,
      { method: 'GET', url, headers: {} },
      { start, length, size: Number(object.size) },
      fail,
    );
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    let pageToken = '';
    do {
      const url = new URL(this.#bucket.objects);
      const fields = 'items(name,size,updated),nextPageToken';
      const query = { prefix, delimiter: '/', maxResults: '1000', fields, ...(pageToken === '' ? {} : { pageToken }) };
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
      const { body } = await this.#try('list', prefix, () => this.#client.read({ method: 'GET', url, headers: {} }));
      const page = JSON.parse(body.toString('utf8')) as Page;
      for (const object of page.items ?? []) yield stored(object);
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
  }

  async #look(key: string): Promise<GcsObject> {
    const { body } = await this.#client.read({ method: 'GET', url: objectUrl(this.#bucket, key), headers: {} });
    return JSON.parse(body.toString('utf8')) as GcsObject;
  }

  async #find(key: string): Promise<GcsObject | undefined> {
    return this.#try('look at', key, async () => {
      try {
        return await this.#look(key);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const found = await this.#find(key);
    return found && stored(found);
  }

  async locked(key: string): Promise<ObjectLocked | undefined> {
    const found = await this.#find(key);
    if (found === undefined) return undefined;
    if (found.temporaryHold === true || found.eventBasedHold === true) return new ObjectLocked(key);
    // One is the bucket's retention policy, the other a lock of the object itself.
    return stillLocked(
      key,
      [found.retentionExpirationTime, found.retention?.retainUntilTime],
      this.#now().getTime() - (this.clockAhead() ?? 0),
    );
  }

  /** By its generation: with object versions a plain delete only hides it. Nothing is overwritten, so it has no other. */
  async delete(key: string): Promise<void> {
    await this.#try('delete', key, async () => {
      try {
        const { generation } = await this.#look(key);
        const url = objectUrl(this.#bucket, key, { generation });
        await this.#client.read({ method: 'DELETE', url, headers: {} });
      } catch (error) {
        if (isLocked(error)) throw new ObjectLocked(key);
        if (!isMissing(error)) throw error;
      }
    });
  }

  /** Sessions cannot be listed; the store forgets them after a week. */
  async pending(): Promise<PendingUpload[]> {
    return [];
  }

  async abortPending(): Promise<void> {}

  async probe(key: string): Promise<void> {
    const upload = new GcsUpload(this.#bucket, key);
    await this.#try('begin an upload of', key, () => upload.begin(new AbortController().signal));
    await upload.discard();
  }

  clockAhead(): number | undefined {
    return this.#client.clockAhead();
  }

  close(): void {
    this.#client.close();
  }
}

function stored({ name, size, updated }: GcsObject): StoredObject {
  return { key: name, size: Number(size), modifiedAt: new Date(updated) };
}
