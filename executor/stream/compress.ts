// Compresses a stream to what the stock zstd or gzip program opens: blocks that are frames of their own, so that several are packed at
// once on the threads of libuv. One stream would be half as fast as two cores are.
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { Task } from '../../crds/rules/contract.ts';
import { parts } from '../storage/parts.ts';
import { inOrder } from './ordered.ts';

/** Larger blocks gain nothing at level 3, whose window is 2 MiB. */
const blockBytes = 4_194_304;
/** Each holds its block and what comes of it, at most as much again: 4 times 8 MiB. Four is also how many threads libuv has. */
const blocksAtOnce = 4;
/** zstd's tables for a block: up to 15 MiB at level 9, and up to 70 MiB above. Two keep two cores busy. */
const lightestLevels = 9;
const heavyBlocksAtOnce = 2;
/** What a block becomes fits into one piece where it compresses 3:1; each piece more is a way to the threads and back. */
const outputBytes = 1_572_864;

const pack = { zstd: promisify(zstdCompress), gzip: promisify(gzip) };

function packer({ algorithm, level }: { algorithm: 'zstd' | 'gzip'; level: number }) {
  if (algorithm === 'gzip') return (body: Buffer) => pack.gzip(body, { level, chunkSize: outputBytes });
  return (body: Buffer) =>
    pack.zstd(body, {
      chunkSize: outputBytes,
      pledgedSrcSize: body.length,
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        // Node leaves the checksum out; without it a flipped bit decompresses into wrong bytes unnoticed.
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    });
}

function atOnce({ algorithm, level }: Task['compression']): number {
  return algorithm === 'zstd' && level > lightestLevels ? heavyBlocksAtOnce : blocksAtOnce;
}

/** An empty stream becomes one empty frame: the stock programs refuse a file of nothing. */
export async function* compress(
  source: AsyncIterable<Buffer>,
  compression: Task['compression'],
): AsyncGenerator<Buffer, void, void> {
  const { algorithm, level } = compression;
  if (algorithm === 'none') yield* source;
  else {
    const packed = packer({ algorithm, level });
    // Blocks are used again: the collector of garbage would let hundreds of mebibytes of them gather.
    const free: Buffer[] = [];
    const allocate = (): Buffer => free.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
    const blocks = parts(source, () => blockBytes, allocate);
    yield* inOrder(blocks, atOnce(compression), async ({ body }) => {
      const result = await packed(body);
      free.push(body);
      return result;
    });
  }
}
