// How an upload reaches Azure: a small one in one request, others as blocks that nobody sees until their list is committed. Blocks that are
// never committed cannot be taken back; Azure discards them within a week.
import { createHash, randomUUID } from 'node:crypto';
import { RunError } from '../errors.ts';
import { isMissing, isTaken } from './azure-errors.ts';
import type { HttpAnswer } from './http.ts';
import { type Ask, type HttpClient, HttpError } from './http-client.ts';
import type { Destination } from './upload.ts';

/** Tells our own object from one of another writer when the answer to its commit was lost. Azure takes no "-" in such names. */
const attemptField = 'x-ms-meta-dbbackup_upload';
/** All requests that take an upload back, together. */
const discardMilliseconds = 4000;
const discardAttempts = 3;

export interface AzureContainer {
  client: HttpClient;
  url: URL;
}

/** The address of an object, with the query's fields. */
export function blobUrl({ url: container }: AzureContainer, key: string, query: Record<string, string> = {}): URL {
  const path = key.split('/').map(encodeURIComponent).join('/');
  const url = new URL(`${container.href}/${path}`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
}

const md5 = (body: Buffer): string => createHash('md5').update(body).digest('base64');

export class AzureUpload implements Destination {
  readonly #container: AzureContainer;
  readonly #key: string;
  readonly #attempt = randomUUID();
  #blocks = 0;

  constructor(container: AzureContainer, key: string) {
    this.#container = container;
    this.#key = key;
  }

  get #client(): HttpClient {
    return this.#container.client;
  }

  /** All ids have one length, as Azure demands, and are of this upload: blocks of another writer of the key are not taken for ours. */
  #block(number: number): string {
    return Buffer.from(`${this.#attempt}-${String(number).padStart(6, '0')}`).toString('base64');
  }

  /** Sends content with its sum. That the sum is wrong is the one thing that the store can call a bad request in it. */
  async #send(ask: Ask): Promise<void> {
    try {
      await this.#client.read(ask);
    } catch (error) {
      if (!(error instanceof HttpError) || error.status !== 400) throw error;
      const detail = `put "${this.#key}": the store got other bytes than were sent: ${error.message}`;
      throw new RunError('DigestMismatch', detail, { cause: error });
    }
  }

  async whole(body: Buffer, signal: AbortSignal): Promise<void> {
    await this.#send({
      method: 'PUT',
      url: blobUrl(this.#container, this.#key),
      headers: {
        'x-ms-blob-type': 'BlockBlob',
        'if-none-match': '*',
        'content-md5': md5(body),
        'content-type': 'application/octet-stream',
        [attemptField]: this.#attempt,
      },
      body: [body],
      signal,
    });
  }

  /** A key that is taken is refused here: blocks beside its object would stay there for a week. */
  async begin(signal: AbortSignal): Promise<void> {
    if ((await this.#look(signal)) !== undefined) throw new HttpError(409, 'BlobAlreadyExists');
  }

  async part(number: number, body: Buffer, _last: boolean, signal: AbortSignal): Promise<void> {
    this.#blocks = Math.max(this.#blocks, number);
    await this.#send({
      method: 'PUT',
      url: blobUrl(this.#container, this.#key, { comp: 'block', blockid: this.#block(number) }),
      headers: { 'content-md5': md5(body) },
      body: [body],
      signal,
    });
  }

  async complete(signal: AbortSignal): Promise<void> {
    const blocks = Array.from({ length: this.#blocks }, (_, index) => `<Latest>${this.#block(index + 1)}</Latest>`);
    const list = Buffer.from(`<?xml version="1.0" encoding="utf-8"?><BlockList>${blocks.join('')}</BlockList>`);
    await this.#client.read({
      method: 'PUT',
      url: blobUrl(this.#container, this.#key, { comp: 'blocklist' }),
      headers: {
        'if-none-match': '*',
        'content-md5': md5(list),
        'content-type': 'application/xml',
        'x-ms-blob-content-type': 'application/octet-stream',
        [attemptField]: this.#attempt,
      },
      body: [list],
      signal,
    });
  }

  async #look(signal?: AbortSignal): Promise<HttpAnswer | undefined> {
    const url = blobUrl(this.#container, this.#key);
    try {
      return (await this.#client.read({ method: 'HEAD', url, headers: {}, ...(signal && { signal }) })).answer;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async isOurs(size: number): Promise<boolean> {
    const blob = await this.#look();
    return blob?.header(attemptField) === this.#attempt && Number(blob.header('content-length')) === size;
  }

  isTaken(error: unknown): boolean {
    return isTaken(error);
  }

  async discard(): Promise<void> {
    const signal = AbortSignal.timeout(discardMilliseconds);
    try {
      const blob = await this.#look(signal);
      if (blob?.header(attemptField) !== this.#attempt) return;
      const url = blobUrl(this.#container, this.#key);
      const headers = { 'if-match': blob.header('etag') };
      await this.#client.read({ method: 'DELETE', url, headers, signal, attempts: discardAttempts });
    } catch {
      // What is left has no manifest and is no snapshot; prune removes it once nobody can be writing it.
    }
  }
}
