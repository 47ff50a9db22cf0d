// How an upload reaches S3: a small one in one request, others as the parts of a multipart upload. What it began it takes back, also what
// it never heard of.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { createOnly, type Target } from './s3-create-only.ts';
import { isTaken } from './s3-errors.ts';
import type { ChecksumSettings, ObjectSettings } from './s3-settings.ts';
import { ObjectExists } from './storage.ts';
import type { Destination } from './upload.ts';

/** Tells our own object from one of another writer when the answer to its completion was lost. */
const attemptField = 'dbbackup-upload';
/** An upload that outlives its abort is aborted again, so often and after a wait that doubles: within 3 s in all. */
const mostAborts = 4;
const againMilliseconds = 200;

/** What is asked of the object; the first is computed when it is begun. */
export interface Settings {
  object(): ObjectSettings;
  checksums: ChecksumSettings;
}

export class S3Upload implements Destination {
  readonly #target: Target;
  readonly #settings: Settings;
  readonly #attempt = randomUUID();
  readonly #sent: CompletedPart[] = [];
  #id: string | undefined;
  /** The request that begins the upload was sent more than once: each may have begun one. */
  #strays = false;
  /** The object may have come to be. */
  #ending = false;

  constructor(target: Target, settings: Settings) {
    this.#target = target;
    this.#settings = settings;
  }

  get #place() {
    return { Bucket: this.#target.bucket, Key: this.#target.key };
  }

  /** Of the request that makes the object or begins it. */
  #begin() {
    const { object, checksums } = this.#settings;
    return { ...this.#place, ...object(), ...checksums, Metadata: { [attemptField]: this.#attempt } };
  }

  async whole(body: Buffer, signal: AbortSignal): Promise<void> {
    const { client } = this.#target;
    const input = { ...this.#begin(), Body: body };
    this.#ending = true;
    const put = (only: { IfNoneMatch?: '*' }) =>
      client.send(new PutObjectCommand({ ...input, ...only }), { abortSignal: signal });
    await createOnly(this.#target, put, () => new ObjectExists(this.#target.key));
  }

  /** Not abortable: an upload whose id never came back could not be taken back. */
  async begin(): Promise<void> {
    const { client } = this.#target;
    this.#strays = true;
    const { UploadId, $metadata } = await client.send(new CreateMultipartUploadCommand(this.#begin()));
    if (UploadId === undefined) throw new Error('the store gave no upload id');
    this.#strays = ($metadata.attempts ?? 1) > 1;
    this.#id = UploadId;
  }

  async part(number: number, body: Buffer, _last: boolean, signal: AbortSignal): Promise<void> {
    const input = { ...this.#place, UploadId: this.#id, PartNumber: number, Body: body, ...this.#settings.checksums };
    const done = await this.#target.client.send(new UploadPartCommand(input), { abortSignal: signal });
    this.#sent.push({
      PartNumber: number,
      ETag: done.ETag,
      ...(done.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: done.ChecksumCRC32 }),
    });
  }

  async complete(signal: AbortSignal): Promise<void> {
    const { client } = this.#target;
    const Parts = this.#sent.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    const input = { ...this.#place, UploadId: this.#id, MultipartUpload: { Parts } };
    this.#ending = true;
    const end = (only: { IfNoneMatch?: '*' }) =>
      client.send(new CompleteMultipartUploadCommand({ ...input, ...only }), { abortSignal: signal });
    await createOnly(this.#target, end, () => new ObjectExists(this.#target.key));
  }

  /** Uploads that were begun beside the one that has become the object. */
  async settle(): Promise<void> {
    if (this.#strays) await this.#abort(await this.#begun());
  }

  isTaken(error: unknown): boolean {
    return isTaken(error);
  }

  /** The object where it is this upload's own. */
  async #own(): Promise<HeadObjectCommandOutput | undefined> {
    const head = await this.#target.client.send(new HeadObjectCommand(this.#place)).catch(() => undefined);
    return head?.Metadata?.[attemptField] === this.#attempt ? head : undefined;
  }

  async isOurs(size: number): Promise<boolean> {
    return (await this.#own())?.ContentLength === size;
  }

  /** Called once no part is under way: a part that ends later would be kept, and billed. */
  async discard(): Promise<void> {
    await this.#abort(this.#strays ? await this.#begun() : [this.#id]);
    if (this.#ending) await this.#remove();
    // A request that we gave up may still be at work in the store, and what it writes keeps the upload alive: S3 asks to abort it again then.
    for (let again = 0; again < mostAborts && this.#id !== undefined; again++) {
      const left = await this.#begun([]);
      if (left.length === 0) return;
      await sleep(againMilliseconds * 2 ** again);
      await this.#abort(left);
    }
  }

  /** Of an object that came to be though nobody wants it any more: its one version. */
  async #remove(): Promise<void> {
    const found = await this.#own();
    if (found === undefined) return;
    const version = found.VersionId === undefined ? {} : { VersionId: found.VersionId };
    await this.#target.client.send(new DeleteObjectCommand({ ...this.#place, ...version })).catch(() => {});
  }

  /**
   * Ids of all uploads of this key, which is ours alone.
   * @param known what to answer when the store does not list them
   */
  async #begun(known: (string | undefined)[] = [this.#id]): Promise<(string | undefined)[]> {
    const { client, bucket, key } = this.#target;
    try {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }));
      return Uploads.filter(({ Key }) => Key === key).map(({ UploadId }) => UploadId);
    } catch {
      return known;
    }
  }

  /** When this fails too, the next run takes the uploads back. */
  async #abort(ids: (string | undefined)[]): Promise<void> {
    for (const UploadId of ids) {
      if (UploadId === undefined) continue;
      await this.#target.client.send(new AbortMultipartUploadCommand({ ...this.#place, UploadId })).catch(() => {});
    }
  }
}
