// Storage in a container of Azure Blob Storage, over its REST API.

import { createHash } from 'node:crypto';
import type { AzureTask } from '../../crds/rules/contract.ts';
import { azureLimits } from '../../crds/rules/part-size.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { storageAgents } from './agents.ts';
import { azureAccess } from './azure-credentials.ts';
import { azureError, isLocked, isMissing } from './azure-errors.ts';
import { decodeListing } from './azure-listing.ts';
import { type AzureContainer, AzureUpload, blobUrl } from './azure-upload.ts';
import { download } from './download.ts';
import type { HttpAnswer } from './http.ts';
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

/** Names of one page of a listing. */
const pageLength = '1000';
/** No object has this etag: a write for which it must be there is refused, but only to those who may write. */
const noEtag = '"0x0"';

function errorOf(answer: HttpAnswer, body: string): string {
  return answer.header('x-ms-error-code') || (/<Code>(\w+)<\/Code>/.exec(body)?.[1] ?? '');
}

/** What Azure says to a key or a SAS token that is not good any more. */
const isProofRefused = (answer: HttpAnswer): boolean =>
  answer.status === 403 && ['AuthenticationFailed', 'AuthorizationFailure'].includes(answer.header('x-ms-error-code'));

export async function openAzure(run: Run, task: AzureTask, { attempts, firstPart }: Tuning = {}): Promise<Storage> {
  const access = await azureAccess(run, task);
  const agents = await storageAgents(run, { endpoint: access.account.href });
  const client = new HttpClient(agents, { sign: access.sign, errorOf, isProofRefused }, run.now, attempts);
  const url = new URL(`${access.account.href.replace(/\/+$/, '')}/${encodeURIComponent(task.container)}`);
  const sizes = { limits: azureLimits, ...(firstPart === undefined ? {} : { firstPart }) };
  return new AzureStorage({ client, url }, task.container, sizes, run.now);
}

class AzureStorage implements Storage {
  readonly #container: AzureContainer;
  readonly #name: string;
  readonly #sizes: Sizes;
  readonly #now: () => Date;

  constructor(container: AzureContainer, name: string, sizes: Sizes, now: () => Date) {
    this.#container = container;
    this.#name = name;
    this.#sizes = sizes;
    this.#now = now;
  }

  get #client(): HttpClient {
    return this.#container.client;
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
    return azureError(error, `${verb} "${key}" in container "${this.#name}"`, fallback, this.clockAhead());
  }

  put(key: string, source: AsyncIterable<Buffer>, options: PutOptions): Promise<number> {
    const upload = new PartsUpload(key, new AzureUpload(this.#container, key), options, this.#sizes);
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
    const url = blobUrl(this.#container, key);
    return this.#try('get', key, async () => (await this.#client.read({ method: 'GET', url, headers: {} })).body);
  }

  async *get(key: string, start = 0, length?: number): AsyncGenerator<Buffer, void, void> {
    const blob = await this.#try('get', key, () => this.#look(key));
    const ask = {
      method: 'GET',
      url: blobUrl(this.#container, key),
      headers: { 'if-match': blob.header('etag') },
    } as const;
    const fail = (error: unknown) => this.#error(error, 'get', key, 'UploadFailed');
    yield* download(this.#client, ask, { start, length, size: sizeOf(blob) }, fail);
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    let marker = '';
    do {
      const url = new URL(this.#container.url);
      const query = { restype: 'container', comp: 'list', prefix, delimiter: '/', maxresults: pageLength };
      for (const [name, value] of Object.entries({ ...query, ...(marker === '' ? {} : { marker }) }))
        url.searchParams.set(name, value);
      const { body } = await this.#try('list', prefix, () => this.#client.read({ method: 'GET', url, headers: {} }));
      const { objects, next } = decodeListing(body.toString('utf8'));
      yield* objects;
      marker = next;
    } while (marker !== '');
  }

  async #look(key: string): Promise<HttpAnswer> {
    return (await this.#client.read({ method: 'HEAD', url: blobUrl(this.#container, key), headers: {} })).answer;
  }

  async #find(key: string): Promise<HttpAnswer | undefined> {
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
    const blob = await this.#find(key);
    return blob && { key, size: sizeOf(blob), modifiedAt: new Date(blob.header('last-modified')) };
  }

  /** A policy of the whole container is told of no blob; it holds the manifest, which is younger, longer than the data. */
  async locked(key: string): Promise<ObjectLocked | undefined> {
    const blob = await this.#find(key);
    if (blob === undefined) return undefined;
    if (blob.header('x-ms-legal-hold') === 'true') return new ObjectLocked(key);
    const now = this.#now().getTime() - (this.clockAhead() ?? 0);
    return stillLocked(key, [blob.header('x-ms-immutability-policy-until-date')], now);
  }

  /**
   * With versions the delete of an object only makes it an earlier version, which is then deleted by its name: the version that is current
   * cannot be. Soft delete keeps what is deleted for its days all the same.
   */
  async delete(key: string): Promise<void> {
    const blob = await this.#find(key);
    if (blob === undefined) return;
    const versionid = blob.header('x-ms-version-id');
    await this.#remove(key, {}, { 'x-ms-delete-snapshots': 'include' });
    if (versionid !== '') await this.#remove(key, { versionid }, {});
  }

  async #remove(key: string, query: Record<string, string>, headers: Record<string, string>): Promise<void> {
    const url = blobUrl(this.#container, key, query);
    await this.#try('delete', key, async () => {
      try {
        await this.#client.read({ method: 'DELETE', url, headers });
      } catch (error) {
        if (isLocked(error)) throw new ObjectLocked(key);
        if (!isMissing(error)) throw error;
      }
    });
  }

  /** Blocks that were never committed cannot be taken back; the store discards them after a week. */
  async pending(): Promise<PendingUpload[]> {
    return [];
  }

  async abortPending(): Promise<void> {}

  /** A write on a condition that nothing meets: it shows whether writing is allowed, and writes nothing. */
  async probe(key: string): Promise<void> {
    const headers = {
      'x-ms-blob-type': 'BlockBlob',
      'if-match': noEtag,
      'content-md5': createHash('md5').digest('base64'),
      'content-type': 'application/octet-stream',
    };
    const ask = { method: 'PUT', url: blobUrl(this.#container, key), headers, expect: [412] } as const;
    await this.#try('begin an upload of', key, () => this.#client.read(ask));
  }

  clockAhead(): number | undefined {
    return this.#client.clockAhead();
  }

  close(): void {
    this.#client.close();
  }
}

function sizeOf(blob: HttpAnswer): number {
  return Number(blob.header('content-length'));
}
