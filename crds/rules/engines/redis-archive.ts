// Watches an RDB file pass as redis-cli --rdb writes it, and knows whether it is whole: it ends with the code for "end of file" and the
// sum of all that came before. Behind it a server that sends without a file of its own (repl-diskless-sync, the default) puts the 40 hex
// digits of its delimiter, which redis-cli cuts off a file and leaves on standard output. Servers read past neither.
// The format: src/rdb.c (rdbSaveRio, rdbLoadRio) and src/redis-cli.c (getRDB) of Redis.
import { jones, littleEndian, type Sum } from './crc64.ts';
import type { EndMarker } from './engine.ts';

const magic = /^(REDIS\d{4}|VALKEY\d{3})$/;
const magicLength = 9;
const endOfFile = 0xff;
const sumLength = 8;
const delimiterLength = 40;
/** What may follow the end code; so much is held back from the sum until the end is known. */
const tailLength = sumLength + delimiterLength;

/** A server with `rdbchecksum no` writes zeros. */
function fits(sum: Sum, stored: Buffer): boolean {
  return stored.every((byte) => byte === 0) || littleEndian(sum).equals(stored);
}

/** Watches one dump pass. Its errors say where it is not whole. */
export function redisArchive(): EndMarker {
  const sum: Sum = { high: 0, low: 0 };
  let beginning = Buffer.alloc(0);
  let tail = Buffer.alloc(0);
  /** The last byte that the sum has taken in. */
  let last = 0;
  let length = 0;

  const take = (bytes: Uint8Array): void => {
    if (bytes.length === 0) return;
    jones(sum, bytes);
    last = bytes[bytes.length - 1] ?? 0;
  };
  const checkBeginning = (): void => {
    if (!magic.test(beginning.toString('latin1')))
      throw new Error('read the dump: it does not begin with REDIS or VALKEY and a version, as an RDB file does');
  };

  return {
    push(chunk) {
      length += chunk.length;
      if (beginning.length < magicLength) {
        beginning = Buffer.concat([beginning, chunk.subarray(0, magicLength - beginning.length)]);
        if (beginning.length === magicLength) checkBeginning();
      }
      if (chunk.length < tailLength) {
        const both = Buffer.concat([tail, chunk]);
        take(both.subarray(0, Math.max(0, both.length - tailLength)));
        tail = both.subarray(-tailLength);
        return;
      }
      take(tail);
      take(chunk.subarray(0, chunk.length - tailLength));
      tail = Buffer.from(chunk.subarray(chunk.length - tailLength));
    },
    end() {
      if (beginning.length < magicLength) checkBeginning();
      const delimiter = tail.subarray(sumLength).toString('latin1');
      if (last === endOfFile && /^[0-9a-f]{40}$/.test(delimiter) && fits(sum, tail.subarray(0, sumLength))) return;
      take(tail.subarray(0, -sumLength));
      if (last === endOfFile && fits(sum, tail.subarray(-sumLength))) return;
      throw new Error(`read the dump: its ${length} bytes do not end with the end code and the sum of an RDB file`);
    },
  };
}
