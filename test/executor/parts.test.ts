// The parts of a multipart upload: never more than S3 takes, never more than memory holds.
import { expect, test } from 'vitest';
import { partSize, parts, partsInFlight } from '../../executor/storage/parts.ts';

const mebibyte = 1_048_576;
const gibibyte = 1024 * mebibyte;

/** Bytes that fit into the first `count` parts. */
function room(count: number, expectedBytes: number): number {
  let sum = 0;
  for (let number = 1; number <= count; number++) sum += partSize(number, expectedBytes);
  return sum;
}

test('F36 10,000 parts hold 5 TiB even when the size was not known before', () => {
  expect(room(10_000, 0)).toBeGreaterThan(5 * 1024 * gibibyte);
});

test('F36 60 GiB, which lib-storage could not hold, fit without a part of more than 64 MiB', () => {
  let number = 1;
  for (let left = 60 * gibibyte; left > 0; number++) left -= partSize(number, 0);
  expect(number).toBeLessThan(10_000);
  expect(partSize(number, 0)).toBeLessThanOrEqual(64 * mebibyte);
});

test.each([0, 1, 19 * gibibyte, 100 * gibibyte, 1024 * gibibyte])(
  'a stream twice as long as the %d bytes before it needs no growth',
  (last) => {
    expect(room(5000, last)).toBeGreaterThanOrEqual(2 * last);
    expect(partSize(5000, last)).toBe(partSize(1, last));
  },
);

test('F36 parts never shrink, and every one is within what S3 takes', () => {
  for (const last of [0, 500 * gibibyte])
    for (let number = 2; number <= 10_000; number++) {
      expect(partSize(number, last)).toBeGreaterThanOrEqual(partSize(number - 1, last));
      expect(partSize(number, last)).toBeLessThanOrEqual(5 * gibibyte);
    }
});

test('what travels at once stays bounded', () => {
  for (const size of [8, 9, 16, 24, 64, 512]) {
    const flying = partsInFlight(size * mebibyte);
    expect(flying).toBeGreaterThanOrEqual(1);
    expect(flying === 1 || flying * size <= 24).toBe(true);
  }
});

async function* pieces(total: number, piece: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < total; at += piece) yield Buffer.alloc(Math.min(piece, total - at), at % 251);
}

test.each([1, 7, 10, 64])(
  'a stream in chunks of %d is cut exactly, and only its last part is called last',
  async (piece) => {
    for (const total of [0, 1, 9, 10, 11, 20, 29, 30, 31, 250]) {
      const cut = [];
      for await (const part of parts(pieces(total, piece), () => 10)) cut.push(part);
      expect(cut.map(({ last }) => last)).toEqual(cut.map((_, index) => index === cut.length - 1));
      expect(cut.slice(0, -1).every(({ body }) => body.length === 10)).toBe(true);
      const wanted = [];
      for await (const chunk of pieces(total, piece)) wanted.push(chunk);
      expect(Buffer.concat(cut.map(({ body }) => body)).equals(Buffer.concat(wanted))).toBe(true);
      expect(cut.length).toBe(Math.max(1, Math.ceil(total / 10)));
    }
  },
);
