// Storage in an S3 bucket.
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { S3Task } from '../../crds/rules/contract.ts';
import { s3CompatibleLimits, s3Limits } from '../../crds/rules/part-size.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { RunError } from '../errors.ts';
import type { Run } from '../run.ts';
import { connectS3, type S3Connection } from './s3-client.ts';
import { createOnly } from './s3-create-only.ts';
import { isDenied, isMissing, isTaken, isWithoutLock, nameOf, s3Error } from './s3-errors.ts';
import { checksumSettings, objectSettings } from './s3-settings.ts';
import { S3Upload } from './s3-upload.ts';
import {
  ObjectExists,
  ObjectLocked,
  type PendingUpload,
  type PutOptions,
  type Storage,
  type StoredObject,
} from './storage.ts';
import { PartsUpload } from './upload.ts';

/** @param attempts tries of one request, the first included */
export async function openS3(run: Run, task: S3Task, attempts?: number): Promise<Storage> {
  return new S3Storage(await connectS3(run, task, attempts), task, () => run.now());
}

const dayMilliseconds = 86_400_000;

/** What a request on one object tells of it. */
interface Head extends StoredObject {
  version: string | undefined;
  /** Until when the store does not delete it; as far away as a date can be where somebody holds it. */
  lockedUntil: Date | undefined;
}

const always = new Date(8.64e15);

function lockedError({ key }: Head, until: Date | undefined): ObjectLocked {
  return until === always ? new ObjectLocked(key) : new ObjectLocked(key, until);
}

class S3Storage implements Storage {
  readonly #connection: S3Connection;
  readonly #task: S3Task;
  readonly #now: () => Date;

  constructor(connection: S3Connection, task: S3Task, now: () => Date) {
    this.#connection = connection;
    this.#task = task;
    this.#now = now;
  }

  get #bucket(): string {
    return this.#task.bucket;
  }

  /** The time by the store's clock, which is the one that locks go by. */
  #storeTime(): Date {
    return new Date(this.#now().getTime() - (this.clockAhead() ?? 0));
  }

  #settings(kind: 'data' | 'manifest') {
    const checksums = checksumSettings(this.#task);
    return { checksums, object: () => objectSettings(this.#task, kind, this.#storeTime()) };
  }

  get #client() {
    return this.#connection.client;
  }

  /** Runs one request; its failure says what was tried and on what. */
  async #try<T>(verb: string, key: string, request: () => Promise<T>, fallback: Reason = 'UploadFailed'): Promise<T> {
    try {
      return await request();
    } catch (error) {
      if (error instanceof ObjectExists || error instanceof ObjectLocked) throw error;
      throw s3Error(error, `${verb} "${key}" in bucket "${this.#bucket}"`, fallback);
    }
  }

  #at(key: string) {
    return { Bucket: this.#bucket, Key: key };
  }

  #target(key: string) {
    return { client: this.#client, bucket: this.#bucket, key };
  }

  put(key: string, source: AsyncIterable<Buffer>, options: PutOptions): Promise<number> {
    const limits = this.#task.endpoint === undefined ? s3Limits : s3CompatibleLimits;
    const upload = new PartsUpload(key, new S3Upload(this.#target(key), this.#settings('data')), options, { limits });
    return this.#try('put', key, () => upload.run(source));
  }

  async putSmall(key: string, text: string): Promise<void> {
    const exists = () => new ObjectExists(key);
    const { object, checksums } = this.#settings('manifest');
    const input = { ...this.#at(key), ...object(), ...checksums, Body: text, ContentType: 'application/json' };
    const put = (only: { IfNoneMatch?: '*' }) => this.#client.send(new PutObjectCommand({ ...input, ...only }));
    await this.#try('put', key, () =>
      createOnly(this.#target(key), put, exists).catch((error: unknown) => {
        throw isTaken(error) ? exists() : error;
      }),
    );
  }

  async getSmall(key: string, limit: number): Promise<Buffer | undefined> {
    return this.#try('get', key, async () => {
      const object = await this.#client.send(new GetObjectCommand(this.#at(key))).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (object?.Body === undefined) return undefined;
      if ((object.ContentLength ?? 0) > limit) {
        if (object.Body instanceof Readable) object.Body.destroy();
        throw new RunError(
          'UploadFailed',
          `get "${key}": ${object.ContentLength} bytes, at most ${limit} are expected`,
        );
      }
      return Buffer.from(await object.Body.transformToByteArray());
    });
  }

  async *get(key: string, start = 0, length?: number): AsyncGenerator<Buffer, void, void> {
    const end = length === undefined ? '' : start + length - 1;
    const range = start === 0 && length === undefined ? {} : { Range: `bytes=${start}-${end}` };
    const object = await this.#try('get', key, () =>
      this.#client.send(new GetObjectCommand({ ...this.#at(key), ...range })),
    );
    if (!(object.Body instanceof Readable)) throw new RunError('UploadFailed', `get "${key}": no content came`);
    yield* object.Body;
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    let token: string | undefined;
    do {
      const page = await this.#try('list', prefix, () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            Delimiter: '/',
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? [])
        if (Key !== undefined) yield { key: Key, size: Size ?? 0, modifiedAt: LastModified ?? new Date() };
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async #head(key: string): Promise<Head | undefined> {
    return this.#try('look at', key, async () => {
      try {
        const head = await this.#client.send(new HeadObjectCommand(this.#at(key)));
        const modifiedAt = head.LastModified ?? new Date();
        const lockedUntil = head.ObjectLockLegalHoldStatus === 'ON' ? always : head.ObjectLockRetainUntilDate;
        return { key, size: head.ContentLength ?? 0, modifiedAt, version: head.VersionId, lockedUntil };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const found = await this.#head(key);
    return found && { key: found.key, size: found.size, modifiedAt: found.modifiedAt };
  }

  async locked(key: string): Promise<ObjectLocked | undefined> {
    const found = await this.#head(key);
    return found && this.#isAhead(found.lockedUntil) ? lockedError(found, found.lockedUntil) : undefined;
  }

  /**
   * With versions a plain delete only hides the object, and a lock lets that pass: so the version is named. Nothing is overwritten, so
   * its one version is all there is.
   */
  async delete(key: string): Promise<void> {
    const found = await this.#head(key);
    if (found === undefined) return;
    if (this.#isAhead(found.lockedUntil)) throw lockedError(found, found.lockedUntil);
    const version = found.version === undefined ? {} : { VersionId: found.version };
    const request = new DeleteObjectCommand({ ...this.#at(key), ...version });
    await this.#try('delete', key, async () => {
      try {
        await this.#client.send(request);
      } catch (error) {
        // Who may not read locks is refused the deletion as if it were forbidden: then our own settings tell.
        const until = this.#ownLock(found);
        throw isDenied(error) && this.#isAhead(until) ? lockedError(found, until) : error;
      }
    });
  }

  #isAhead(time: Date | undefined): boolean {
    return time !== undefined && time.getTime() > this.#storeTime().getTime();
  }

  #ownLock({ modifiedAt }: Head): Date | undefined {
    const { objectLock } = this.#task;
    return objectLock && new Date(modifiedAt.getTime() + objectLock.days * dayMilliseconds);
  }

  async pending(prefix: string): Promise<PendingUpload[]> {
    const found: PendingUpload[] = [];
    let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (marker !== undefined) {
      const input = { Bucket: this.#bucket, Prefix: prefix, ...marker };
      const page: ListMultipartUploadsCommandOutput = await this.#try('list uploads of', prefix, () =>
        this.#client.send(new ListMultipartUploadsCommand(input)),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
        if (Key !== undefined && UploadId !== undefined)
          found.push({ key: Key, id: UploadId, startedAt: Initiated ?? new Date() });
      const { NextKeyMarker: key, NextUploadIdMarker: id } = page;
      marker = page.IsTruncated === true && key ? { KeyMarker: key, ...(id ? { UploadIdMarker: id } : {}) } : undefined;
    }
    return found;
  }

  async abortPending({ key, id }: PendingUpload): Promise<void> {
    await this.#try('abort the upload of', key, async () => {
      try {
        await this.#client.send(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: id }));
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    });
  }

  async probe(key: string): Promise<void> {
    // As the data will be: a class, a key or a lock that the store refuses shows here.
    const { object, checksums } = this.#settings('data');
    const request = new CreateMultipartUploadCommand({ ...this.#at(key), ...object(), ...checksums });
    const { UploadId } = await this.#try('begin an upload of', key, async () => {
      try {
        return await this.#client.send(request);
      } catch (error) {
        if (this.#task.objectLock === undefined || !isWithoutLock(error)) throw error;
        const detail = `lock objects of bucket "${this.#bucket}": the store refuses spec.storage.s3.objectLock (${nameOf(error)}): use a bucket that was made with object lock`;
        throw new RunError('ConfigInvalid', detail, { cause: error });
      }
    });
    if (UploadId !== undefined) await this.abortPending({ key, id: UploadId, startedAt: new Date() });
  }

  clockAhead(): number | undefined {
    return this.#connection.clockAhead();
  }

  close(): void {
    this.#client.destroy();
  }
}
