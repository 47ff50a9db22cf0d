// Decompresses what our own executor, stock zstd or stock gzip wrote: all frames of it, and nothing behind them. More plain bytes than
// the manifest tells are refused as they come, so that a few bytes in storage cannot fill a disk.
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip, createZstdDecompress, zstdDecompress } from 'node:zlib';
import type { Task } from '../../crds/rules/contract.ts';
import { RunError } from '../errors.ts';
import { ByteReader } from './reader.ts';
import { own, release } from './release.ts';
import { type Frame, zstdFrames } from './zstd-frames.ts';

const outputBytes = 1_048_576;
const batchBytes = 262_144;
/** Frames that are opened at once, each in a thread of libuv's pool (4 by default): at most 4 x 8 MiB plain in memory. */
const framesAtOnce = 4;

const openFrame = promisify(zstdDecompress);

/** Whatever zlib says of the bytes. An error of the source passes as it is. */
function damaged(error: unknown, name: string): unknown {
  if (error instanceof RunError) return error;
  return new RunError('DecryptFailed', `decompress the snapshot: its ${name} was cut off or changed`, { cause: error });
}

type Opener = ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>;

async function* through(
  source: AsyncIterable<Buffer>,
  stream: Opener,
  name: string,
): AsyncGenerator<Buffer, void, void> {
  const feeding = pipeline(source, stream);
  // An error of the source destroys the stream with the same error, and the loop below throws it.
  feeding.catch(() => {});
  try {
    // The stream goes on writing into the memory of what it gave.
    for await (const chunk of stream) yield own(chunk as Buffer);
    await feeding;
  } catch (error) {
    throw damaged(error, name);
  } finally {
    stream.destroy();
  }
}

async function openWhole({ bytes, size }: { bytes: Buffer; size: number }): Promise<Buffer> {
  try {
    // One byte of room more than it has: so zlib sees in one call that it is done.
    const plain = await openFrame(bytes, { chunkSize: Math.max(64, size + 1), maxOutputLength: size + 1 });
    if (plain.length !== size) throw new Error(`${plain.length} bytes instead of ${size}`);
    release(bytes);
    return plain;
  } catch (error) {
    throw damaged(error, 'zstd');
  }
}

/** Fewer and larger pieces: each is a way to a thread and back. */
async function* batches(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    held.push(Buffer.from(piece));
    size += piece.length;
    if (size < batchBytes) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(held);
}

/** The frame whose turn it is; its memory is given back when the one after it is asked for. */
async function* next(opening: Promise<Buffer>[]): AsyncGenerator<Buffer, void, void> {
  const plain = await (opening.shift() as Promise<Buffer>);
  yield plain;
  release(plain);
}

/** Small frames in parallel and in order; a large one by itself, with little memory. */
async function* unzstd(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const reader = new ByteReader(source);
  const opening: Promise<Buffer>[] = [];
  const settle = async () => Promise.allSettled(opening.splice(0));
  try {
    for await (const frame of zstdFrames(reader)) {
      if ('pieces' in frame) {
        while (opening.length > 0) yield* next(opening);
        yield* through(batches(frame.pieces), createZstdDecompress({ chunkSize: outputBytes }), 'zstd');
        continue;
      }
      opening.push(start(frame));
      if (opening.length >= framesAtOnce) yield* next(opening);
    }
    while (opening.length > 0) yield* next(opening);
  } finally {
    await settle();
    await reader.close();
  }
}

function start(frame: Exclude<Frame, { pieces: unknown }>): Promise<Buffer> {
  const opened = openWhole(frame);
  // It is awaited later than it may fail.
  opened.catch(() => {});
  return opened;
}

function unpack(source: AsyncIterable<Buffer>, algorithm: Task['compression']['algorithm']): AsyncIterable<Buffer> {
  if (algorithm === 'none') return source;
  if (algorithm === 'zstd') return unzstd(source);
  return through(source, createGunzip({ chunkSize: outputBytes }), 'gzip');
}

/**
 * A chunk that this gives is only there until the next one is asked for, and a large one is alone in its memory. With zstd the chunks of
 * the source have to stay no longer than that either.
 * @param limit plain bytes that the manifest tells
 */
export async function* decompress(
  source: AsyncIterable<Buffer>,
  algorithm: Task['compression']['algorithm'],
  limit: number,
): AsyncGenerator<Buffer, void, void> {
  let size = 0;
  for await (const chunk of unpack(source, algorithm)) {
    size += chunk.length;
    if (size > limit)
      throw new RunError(
        'DigestMismatch',
        `decompress the snapshot: it holds more than the ${limit} bytes of its manifest`,
      );
    if (chunk.length > 0) yield chunk;
  }
}
