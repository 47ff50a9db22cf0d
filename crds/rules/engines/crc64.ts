// CRC-64 of bytes as they pass, eight at a time: BigInt would be a hundred times slower, so the two halves are numbers. Redis and
// MongoDB end what they write with one.

/** The two halves of a sum. */
export interface Sum {
  high: number;
  low: number;
}

/** Eight tables of 256 entries, one for each byte of a group. */
interface Tables {
  high: Uint32Array;
  low: Uint32Array;
}

const group = 8;
const entries = 256;

/** @param polynomial bits reversed, the lowest power first */
function tables(polynomial: bigint): Tables {
  const high = new Uint32Array(group * entries);
  const low = new Uint32Array(group * entries);
  for (let byte = 0; byte < entries; byte++) {
    let sum = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1n) === 1n ? (sum >> 1n) ^ polynomial : sum >> 1n;
    high[byte] = Number(sum >> 32n);
    low[byte] = Number(sum & 0xffffffffn);
  }
  for (let index = entries; index < group * entries; index++) {
    const before = { high: high[index - entries] ?? 0, low: low[index - entries] ?? 0 };
    const byte = before.low & 255;
    high[index] = (before.high >>> 8) ^ (high[byte] ?? 0);
    low[index] = (before.low >>> 8) ^ (before.high << 24) ^ (low[byte] ?? 0);
  }
  return { high, low };
}

/** Goes on with a sum over the bytes. */
export type Update = (sum: Sum, bytes: Uint8Array) => void;

function updater({ high, low }: Tables): Update {
  // Lookups are in range by their masks; `at` only tells the compiler.
  const at = (table: Uint32Array, index: number): number => table[index] as number;
  return (sum, bytes) => {
    let h = sum.high;
    let l = sum.low;
    let index = 0;
    const byte = (offset: number): number => bytes[index + offset] as number;
    for (; index + group <= bytes.length; index += group) {
      const first = l ^ (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24));
      const second = h ^ (byte(4) | (byte(5) << 8) | (byte(6) << 16) | (byte(7) << 24));
      const a = 1792 + (first & 255);
      const b = 1536 + ((first >>> 8) & 255);
      const c = 1280 + ((first >>> 16) & 255);
      const d = 1024 + (first >>> 24);
      const e = 768 + (second & 255);
      const f = 512 + ((second >>> 8) & 255);
      const g = 256 + ((second >>> 16) & 255);
      const i = second >>> 24;
      l = at(low, a) ^ at(low, b) ^ at(low, c) ^ at(low, d) ^ at(low, e) ^ at(low, f) ^ at(low, g) ^ at(low, i);
      h = at(high, a) ^ at(high, b) ^ at(high, c) ^ at(high, d) ^ at(high, e) ^ at(high, f) ^ at(high, g) ^ at(high, i);
    }
    for (; index < bytes.length; index++) {
      const entry = (l ^ byte(0)) & 255;
      l = ((l >>> 8) | (h << 24)) ^ at(low, entry);
      h = (h >>> 8) ^ at(high, entry);
    }
    sum.high = h;
    sum.low = l;
  };
}

/** The sum as eight bytes, the lowest first. */
export function littleEndian({ high, low }: Sum): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(low | 0, 0);
  bytes.writeInt32LE(high | 0, 4);
  return bytes;
}

/** Redis: the polynomial of Jones, from 0. Its sum of "123456789" is e9c6d914c4b8d9ca. */
export const jones = updater(tables(0x95ac9329ac4bc9b5n));

/** MongoDB: ECMA-182 as Go's hash/crc64 has it, all bits turned round before and after. Its sum of "123456789" is 995dc9bbdf1939fa. */
export const ecma = updater(tables(0xc96c5795d7870f42n));
