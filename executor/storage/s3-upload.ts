// One create-only upload to S3 from a stream of unknown length. An own loop of parts: their size grows so that no dump is too long, a
// source that fails takes the upload back, and an answer that was lost is found out.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { partSize, parts, partsInFlight, untilAborted } from './parts.ts';
import { createOnly, type Target } from './s3-create-only.ts';
import { isTaken } from './s3-errors.ts';
import type { PutOptions } from './storage.ts';

/** Tells our own object from one of another writer when the answer to its completion was lost. */
const attemptField = 'dbbackup-upload';
/** An upload that outlives its abort is aborted again, so often and after a wait that doubles: within 3 s in all. */
const mostAborts = 4;
const againMilliseconds = 200;

export class Upload {
  readonly #target: Target;
  readonly #options: PutOptions;
  readonly #attempt = randomUUID();
  readonly #sent: CompletedPart[] = [];
  readonly #flying = new Set<Promise<void>>();
  readonly #failed = new AbortController();
  /** Aborted by the caller and by the first part that failed. */
  readonly #signal: AbortSignal;
  #id: string | undefined;
  /** The request that begins the upload was sent more than once: each may have begun one. */
  #strays = false;
  #bytes = 0;

  constructor(target: Target, options: PutOptions) {
    this.#target = target;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
  }

  /** Resolves to the size when the object is there, and only then. */
  async run(source: AsyncIterable<Buffer>, taken: () => Error): Promise<number> {
    try {
      const sizeOf = (number: number) => partSize(number, this.#options.expectedBytes);
      for await (const { number, body, last } of parts(untilAborted(source, this.#signal), sizeOf)) {
        this.#bytes += body.length;
        if (number === 1 && last) return await this.#whole(body, taken);
        await this.#part(number, body);
      }
      await Promise.all(this.#flying);
      this.#signal.throwIfAborted();
      await this.#complete(taken);
      if (this.#strays) await this.#abort(await this.#begun());
      return this.#bytes;
    } catch (error) {
      await this.#takeBack(error);
      // What called the run off, or the part that failed first, rather than its consequences.
      throw this.#signal.aborted ? this.#signal.reason : error;
    }
  }

  get #place() {
    return { Bucket: this.#target.bucket, Key: this.#target.key };
  }

  /**
   * Not abortable, as little as a completion: the store may be done with a request that was given up, and the object would stay. Whoever
   * calls the run off takes back what came of it.
   */
  async #whole(body: Buffer, taken: () => Error): Promise<number> {
    const { client } = this.#target;
    this.#signal.throwIfAborted();
    const input = { ...this.#place, Body: body, Metadata: { [attemptField]: this.#attempt } };
    try {
      await createOnly(this.#target, (only) => client.send(new PutObjectCommand({ ...input, ...only })), taken);
    } catch (error) {
      if (!(await this.#arrived())) throw isTaken(error) ? taken() : error;
    }
    return body.length;
  }

  /** Starts one part, after waiting until there is room for it. */
  async #part(number: number, body: Buffer): Promise<void> {
    const signal = this.#signal;
    signal.throwIfAborted();
    this.#id ??= await this.#create();
    while (this.#flying.size >= partsInFlight(body.length)) await Promise.race(this.#flying);
    signal.throwIfAborted();
    const flight: Promise<void> = this.#send(number, body)
      .catch((error: unknown) => this.#failed.abort(error))
      .finally(() => this.#flying.delete(flight));
    this.#flying.add(flight);
  }

  async #send(number: number, body: Buffer): Promise<void> {
    const input = { ...this.#place, UploadId: this.#id, PartNumber: number, Body: body };
    const done = await this.#target.client.send(new UploadPartCommand(input), { abortSignal: this.#signal });
    this.#sent.push({
      PartNumber: number,
      ETag: done.ETag,
      ...(done.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: done.ChecksumCRC32 }),
    });
  }

  /** Not abortable: an upload whose id never came back could not be taken back. */
  async #create(): Promise<string> {
    const { client } = this.#target;
    this.#strays = true;
    const checksums = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
    const { UploadId, $metadata } = await client.send(
      new CreateMultipartUploadCommand({
        ...this.#place,
        Metadata: { [attemptField]: this.#attempt },
        ...(checksums ? { ChecksumAlgorithm: 'CRC32' } : {}),
      }),
    );
    if (UploadId === undefined) throw new Error('the store gave no upload id');
    this.#strays = ($metadata.attempts ?? 1) > 1;
    return UploadId;
  }

  async #complete(taken: () => Error): Promise<void> {
    const { client } = this.#target;
    const Parts = this.#sent.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    const input = { ...this.#place, UploadId: this.#id, MultipartUpload: { Parts } };
    try {
      await createOnly(
        this.#target,
        (only) => client.send(new CompleteMultipartUploadCommand({ ...input, ...only })),
        taken,
      );
    } catch (error) {
      if (!(await this.#arrived())) throw isTaken(error) ? taken() : error;
    }
  }

  /** Whether the object is there and ours after a write that seems to have failed: its answer may have been lost. */
  async #arrived(): Promise<boolean> {
    const head = await this.#target.client.send(new HeadObjectCommand(this.#place)).catch(() => undefined);
    return head?.ContentLength === this.#bytes && head.Metadata?.[attemptField] === this.#attempt;
  }

  /** Aborts the upload once no part is under way: a part that ends later would be kept, and billed. */
  async #takeBack(error: unknown): Promise<void> {
    this.#failed.abort(error);
    await Promise.all(this.#flying);
    await this.#abort(this.#strays ? await this.#begun() : [this.#id]);
    // A request that we gave up may still be at work in the store, and what it writes keeps the upload alive: S3 asks to abort it again then.
    for (let again = 0; again < mostAborts && this.#id !== undefined; again++) {
      const left = await this.#begun([]);
      if (left.length === 0) return;
      await sleep(againMilliseconds * 2 ** again);
      await this.#abort(left);
    }
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
