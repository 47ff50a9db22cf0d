// Finds the frames of a zstd stream (RFC 8878) without opening them: node:zlib opens one frame of a buffer and says nothing of what
// follows. A small frame comes whole, so that several can be opened at once; of any other its chunks come one by one.
import { RunError } from '../errors.ts';
import type { ByteReader } from './reader.ts';
import { release } from './release.ts';

const frameMagic = 0xfd2fb528;
/** 16 magic numbers, the last digit is free. */
const skippableMagic = 0x184d2a50;
/** Magic, descriptor, window, dictionary id, content size. */
const longestHeader = 4 + 1 + 1 + 4 + 8;
const blockHeaderBytes = 3;
const checksumBytes = 4;
const largestBlock = 131_072;

/** Plain bytes of a frame that is opened in one go. Our own frames have 4 MiB. */
export const wholeFrameBytes = 8_388_608;

export type Frame =
  /** Exactly one frame, and its size when opened. */
  | { bytes: Buffer; size: number }
  /** One frame in pieces, each there until the next is asked for; to be read to its end before the next frame is. */
  | { pieces: AsyncGenerator<Buffer, void, void> };

interface Header {
  length: number;
  /** undefined when the frame does not tell. */
  size: number | undefined;
  hasChecksum: boolean;
}

function refuse(detail: string): RunError {
  return new RunError('DecryptFailed', `decompress the snapshot: ${detail}`);
}

const cutOff = (): RunError => refuse('it was cut off within a frame of zstd');

/** @param bytes as many of the frame's first as there are, up to longestHeader */
function readHeader(bytes: Buffer): Header {
  const descriptor = bytes[4];
  if (descriptor === undefined) throw cutOff();
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag;
  const sizeAt = 5 + (single ? 0 : 1) + dictionary;
  const length = sizeAt + sizeBytes;
  if (bytes.length < length) throw cutOff();
  if (bytes.subarray(sizeAt - dictionary, sizeAt).some((digit) => digit !== 0))
    throw refuse('it needs a dictionary of zstd, which dbbackup never uses');
  const hasChecksum = (descriptor & 4) !== 0;
  if (sizeBytes === 0) return { length, size: undefined, hasChecksum };
  if (sizeBytes === 8) return { length, size: Number(bytes.readBigUInt64LE(sizeAt)), hasChecksum };
  return { length, size: bytes.readUIntLE(sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0), hasChecksum };
}

/** Pieces of the frame that the reader stands at: its header, each block, its checksum. Each is there until the next is asked for. */
async function* walk(reader: ByteReader, header: Header): AsyncGenerator<Buffer, void, void> {
  yield reader.take(header.length);
  for (let last = false; !last; ) {
    if (!(await reader.fill(blockHeaderBytes))) throw cutOff();
    const word = reader.peek(blockHeaderBytes).readUIntLE(0, blockHeaderBytes);
    last = (word & 1) === 1;
    const kind = (word >> 1) & 3;
    const size = word >> 3;
    if (kind === 3 || size > largestBlock) throw refuse('it has a block that no zstd writes');
    // The block of one repeated byte has that byte only.
    const length = blockHeaderBytes + (kind === 1 ? 1 : size);
    if (!(await reader.fill(length))) throw cutOff();
    yield reader.take(length);
  }
  if (!header.hasChecksum) return;
  if (!(await reader.fill(checksumBytes))) throw cutOff();
  yield reader.take(checksumBytes);
}

/**
 * A frame as one buffer that is alone in its memory.
 * @param room bytes that it may well have
 */
async function whole(pieces: AsyncIterable<Buffer>, room: number): Promise<Buffer> {
  let bytes = Buffer.allocUnsafeSlow(room);
  let at = 0;
  const move = (to: number): void => {
    const before = bytes;
    bytes = Buffer.allocUnsafeSlow(to);
    before.copy(bytes, 0, 0, at);
    release(before);
  };
  for await (const piece of pieces) {
    if (at + piece.length > bytes.length) move(2 * (at + piece.length));
    at += piece.copy(bytes, at);
  }
  if (2 * at < bytes.length) move(at);
  return bytes.subarray(0, at);
}

async function skip(reader: ByteReader): Promise<void> {
  if (!(await reader.fill(8))) throw cutOff();
  let left = reader.take(8).readUInt32LE(4);
  while (left > 0) {
    const some = await reader.takeSome(left);
    if (some === undefined) throw cutOff();
    left -= some.length;
  }
}

/** The frames of a stream, which must hold nothing else and end where a frame does. */
export async function* zstdFrames(reader: ByteReader): AsyncGenerator<Frame, void, void> {
  let seen = 0;
  for (; await reader.fill(1); seen += 1) {
    if (!(await reader.fill(4))) throw refuse('bytes that are no frame of zstd follow its end');
    const magic = reader.peek(4).readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
      await skip(reader);
      continue;
    }
    if (magic !== frameMagic)
      throw refuse(
        seen === 0 ? 'it does not begin with a frame of zstd' : 'bytes that are no frame of zstd follow its end',
      );
    await reader.fill(longestHeader);
    const header = readHeader(reader.peek(Math.min(reader.held, longestHeader)));
    const pieces = walk(reader, header);
    if (header.size !== undefined && header.size <= wholeFrameBytes)
      yield { bytes: await whole(pieces, Math.ceil(header.size / 3) + longestHeader), size: header.size };
    else yield { pieces };
  }
  if (seen === 0) throw refuse('it is empty, which no compressed snapshot is');
}
