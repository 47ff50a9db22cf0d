// One create-only upload to S3 from a stream of unknown length. An own loop of parts: their size grows so that no dump is too long, a
// source that fails takes the upload back, and an answer that was lost is found out.
import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { partSize, partsInFlight } from './part-size.ts';
import { isMissing, isTaken, nameOf, statusOf } from './s3-errors.ts';
import type { PutOptions } from './storage.ts';

export interface Target {
  client: S3Client;
  bucket: string;
  key: string;
}

/** Tells our own object from one of another writer when the answer to its completion was lost. */
const attemptField = 'dbbackup-upload';

/**
 * Sends a create-only write. A store without conditional writes still has unique keys: there the key is looked up first.
 */
export async function createOnly<T>(
  { client, bucket, key }: Target,
  send: (condition: { IfNoneMatch?: '*' }) => Promise<T>,
  taken: () => Error,
): Promise<T> {
  try {
    return await send({ IfNoneMatch: '*' });
  } catch (error) {
    if (nameOf(error) !== 'NotImplemented' && statusOf(error) !== 501) throw error;
  }
  const there = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (there !== undefined) throw taken();
  return send({});
}

/** Cuts a stream into parts. The last one may be short, and empty when all is. */
export async function* parts(
  source: AsyncIterable<Buffer>,
  sizeOf: (number: number) => number,
): AsyncGenerator<{ number: number; body: Buffer; last: boolean }, void, void> {
  let number = 1;
  let body = Buffer.allocUnsafeSlow(sizeOf(number));
  let filled = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (rest.length > 0) {
      // Handed on only when more has come: so the last part is known as such.
      if (filled === body.length) {
        yield { number, body, last: false };
        number += 1;
        body = Buffer.allocUnsafeSlow(sizeOf(number));
        filled = 0;
      }
      const count = rest.copy(body, filled);
      filled += count;
      rest = rest.subarray(count);
    }
  }
  yield { number, body: body.subarray(0, filled), last: true };
}

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
  #bytes = 0;

  constructor(target: Target, options: PutOptions) {
    this.#target = target;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
  }

  /** Resolves to the size when the object is there, and only then. */
  async run(source: AsyncIterable<Buffer>, taken: () => Error): Promise<number> {
    try {
      for await (const { number, body, last } of parts(source, (n) => partSize(n, this.#options.expectedBytes))) {
        this.#bytes += body.length;
        if (number === 1 && last) return await this.#whole(body, taken);
        await this.#part(number, body);
      }
      await Promise.all(this.#flying);
      this.#signal.throwIfAborted();
      await this.#complete(taken);
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

  async #whole(body: Buffer, taken: () => Error): Promise<number> {
    const { client } = this.#target;
    const input = { ...this.#place, Body: body, Metadata: { [attemptField]: this.#attempt } };
    const options = { abortSignal: this.#signal };
    try {
      await createOnly(
        this.#target,
        (only) => client.send(new PutObjectCommand({ ...input, ...only }), options),
        taken,
      );
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
    const checksums = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({
        ...this.#place,
        Metadata: { [attemptField]: this.#attempt },
        ...(checksums ? { ChecksumAlgorithm: 'CRC32' } : {}),
      }),
    );
    if (UploadId === undefined) throw new Error('the store gave no upload id');
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
    if (this.#signal.aborted) return false;
    const head = await this.#target.client.send(new HeadObjectCommand(this.#place)).catch(() => undefined);
    return head?.ContentLength === this.#bytes && head.Metadata?.[attemptField] === this.#attempt;
  }

  /** Aborts the upload once no part is under way: a part that ends later would be kept, and billed. */
  async #takeBack(error: unknown): Promise<void> {
    this.#failed.abort(error);
    await Promise.all(this.#flying);
    if (this.#id === undefined) return;
    const abort = new AbortMultipartUploadCommand({ ...this.#place, UploadId: this.#id });
    // When this fails too, the next run takes the upload back.
    await this.#target.client.send(abort).catch(() => {});
  }
}
