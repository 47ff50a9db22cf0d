// Counts bytes and takes their digest while they pass.
import { createHash } from 'node:crypto';

export interface Tally {
  bytes: number;
  /** Digest of what has passed, hex. Ends the tally. */
  sha256(): string;
}

export interface Measure {
  tally: Tally;
  pass(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void>;
}

export function measure(): Measure {
  const hash = createHash('sha256');
  const tally: Tally = { bytes: 0, sha256: () => hash.digest('hex') };
  return {
    tally,
    async *pass(source) {
      for await (const chunk of source) {
        hash.update(chunk);
        tally.bytes += chunk.length;
        yield chunk;
      }
    },
  };
}
