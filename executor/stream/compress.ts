// Compresses a stream to what the stock zstd or gzip program opens.
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { Task } from '../../crds/rules/contract.ts';

const outputBytes = 262_144;

function packer({ algorithm, level }: { algorithm: 'zstd' | 'gzip'; level: number }) {
  if (algorithm === 'gzip') return createGzip({ level, chunkSize: outputBytes });
  return createZstdCompress({
    chunkSize: outputBytes,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      // Node leaves the checksum out; without it a flipped bit decompresses into wrong bytes unnoticed.
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

export async function* compress(
  source: AsyncIterable<Buffer>,
  { algorithm, level }: Task['compression'],
): AsyncGenerator<Buffer, void, void> {
  if (algorithm === 'none') {
    yield* source;
    return;
  }
  const stream = packer({ algorithm, level });
  const feeding = pipeline(source, stream);
  // An error of the source destroys the stream with the same error, and the loop below throws it.
  feeding.catch(() => {});
  try {
    for await (const chunk of stream) yield chunk;
    await feeding;
  } finally {
    stream.destroy();
  }
}
