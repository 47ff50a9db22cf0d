// CRC-32C (Castagnoli), which Google's storage has of every object and Node has not. Eight tables, so that eight bytes are taken at a time.
import { endianness } from 'node:os';

const littleEndian = endianness() === 'LE';
const polynomial = 0x82f63b78;
const width = 8;

/** The table for a byte that has `n` bytes behind it starts at 256 * n. */
const tables = new Int32Array(256 * width);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  tables[byte] = value;
}
for (let at = 256; at < tables.length; at++) {
  const before = tables[at - 256] ?? 0;
  tables[at] = (before >>> 8) ^ (tables[before & 255] ?? 0);
}

const none = new Int32Array(0);

/** One sum over all that is given to it. */
export class Crc32c {
  #state = -1;

  update(bytes: Buffer): void {
    let c = this.#state;
    let at = 0;
    // Words are read as this machine keeps them, where that is the order that the sum wants.
    const aligned = littleEndian && bytes.byteOffset % 4 === 0;
    const words = aligned ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2) : none;
    for (let word = 0; word + 1 < words.length; word += 2) {
      const low = c ^ (words[word] as number);
      const high = words[word + 1] as number;
      c =
        (tables[1792 + (low & 255)] as number) ^
        (tables[1536 + ((low >>> 8) & 255)] as number) ^
        (tables[1280 + ((low >>> 16) & 255)] as number) ^
        (tables[1024 + (low >>> 24)] as number) ^
        (tables[768 + (high & 255)] as number) ^
        (tables[512 + ((high >>> 8) & 255)] as number) ^
        (tables[256 + ((high >>> 16) & 255)] as number) ^
        (tables[high >>> 24] as number);
      at += width;
    }
    for (; at < bytes.length; at++) c = (c >>> 8) ^ (tables[(c ^ (bytes[at] as number)) & 255] as number);
    this.#state = c;
  }

  /** The four bytes, the highest first, in Base64: as Google writes it. */
  base64(): string {
    const sum = Buffer.alloc(4);
    sum.writeInt32BE(~this.#state);
    return sum.toString('base64');
  }
}
