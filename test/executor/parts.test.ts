// The parts of a multipart upload: never more than S3 takes, never more than memory holds.
import { expect, test } from 'vitest';
import {
  azureLimits,
  gcsLimits,
  type Limits,
  partSize,
  partsInFlight,
  partsMemory,
  s3CompatibleLimits,
  s3Limits,
} from '../../crds/rules/part-size.ts';
import { parts } from '../../executor/storage/parts.ts';

const mebibyte = 1_048_576;
const gibibyte = 1024 * mebibyte;

/** Of all parts in memory; the rest of the container's 512 MiB is for everything else. */
const budget = 160 * mebibyte;
const tebibyte = 1024 * gibibyte;

interface Filled {
  /** Bytes that all parts hold. */
  room: number;
  /** Bytes that are stored by parts of which memory holds as many as travel and fill. */
  within: number;
}

function fill(expectedBytes: number, limits: Limits): Filled {
  const filled: Filled = { room: 0, within: 0 };
  for (let number = 1; number <= limits.parts; number++) {
    const size = partSize(number, expectedBytes, limits);
    filled.room += size;
    if ((partsInFlight(size) + 1) * size <= budget) filled.within = filled.room;
  }
  return filled;
}

test.each([
  ['of S3, the first one', 0, s3Limits, 290],
  ['of S3, after 1 GiB', 1, s3Limits, 290],
  ['of S3, after 100 GiB', 100, s3Limits, 250],
  ['of S3, after 200 GiB', 200, s3Limits, 400],
  ['of S3, after 400 GiB', 400, s3Limits, 500],
  ['of S3, after 500 GiB', 500, s3Limits, 625],
  ['of what speaks S3, the first one', 0, s3CompatibleLimits, 160],
  ['of what speaks S3, after 300 GiB', 300, s3CompatibleLimits, 600],
  ['of Azure, the first one', 0, azureLimits, 1400],
  ['of Azure, after 2,500 GiB', 2500, azureLimits, 3125],
])('F36 a snapshot %s, is stored within memory', (_what, last, limits, gibibytes) => {
  expect(fill(last * gibibyte, limits).within).toBeGreaterThanOrEqual(gibibytes * gibibyte);
});

test.each([0, 1, 20, 26, 27, 28, 60, 100, 165, 200, 400, 500, 1024, 4096])(
  'F36 10,000 parts hold 5 TiB, the largest object of S3, whatever was stored before: %d GiB',
  (last) => {
    for (const limits of [s3Limits, s3CompatibleLimits])
      expect(fill(last * gibibyte, limits).room).toBeGreaterThanOrEqual(5 * tebibyte);
  },
);

test('F36 50,000 blocks of Azure hold 20 TiB', () => {
  expect(fill(0, azureLimits).room).toBeGreaterThanOrEqual(20 * tebibyte);
});

test('F36 60 GiB, which lib-storage could not hold, fit without a part of more than 64 MiB', () => {
  let number = 1;
  for (let left = 60 * gibibyte; left > 0; number++) left -= partSize(number, 0);
  expect(number).toBeLessThan(10_000);
  expect(partSize(number, 0)).toBeLessThanOrEqual(64 * mebibyte);
});

test.each([
  [1, 2.5],
  [19, 2.5],
  [150, 2.5],
  [400, 1.25],
  [1024, 1.25],
])('what is stored after %d GiB is cut evenly as long as it is not %f times as large', (last, times) => {
  const size = partSize(1, last * gibibyte);
  const number = Math.floor((times * last * gibibyte) / size);
  expect(number).toBeLessThanOrEqual(8000);
  expect(partSize(number, last * gibibyte)).toBe(size);
});

test.each([0, 1, 10, 19, 100, 165, 200, 300, 500, 1024])(
  'what speaks S3 is sent parts of one size, as some such stores demand, after %d GiB until it is 39 GiB or twice as large',
  (last) => {
    const size = partSize(1, last * gibibyte, s3CompatibleLimits);
    const number = Math.floor(Math.max(39, 2 * last) * (gibibyte / size));
    expect(number).toBeLessThanOrEqual(8000);
    expect(partSize(number, last * gibibyte, s3CompatibleLimits)).toBe(size);
  },
);

test.each([0, 10, 100, 500, 5 * 1024])(
  'a session of Google takes parts of whole 256 KiB, of 64 MiB at the most, however many, after %d GiB',
  (last) => {
    for (const number of [1, 5_000, 10_000, 10_000_000]) {
      const size = partSize(number, last * gibibyte, gcsLimits);
      expect([size % 262_144, size <= 64 * mebibyte]).toEqual([0, true]);
    }
    expect(partSize(10_000_000, last * gibibyte, gcsLimits)).toBe(64 * mebibyte);
  },
);

test('F36 parts never shrink, and every one is within what the store takes', () => {
  for (const limits of [s3Limits, s3CompatibleLimits, gcsLimits, azureLimits])
    for (const last of [0, 10 * gibibyte, 500 * gibibyte])
      for (let number = 2; number <= limits.parts; number++) {
        const size = partSize(number, last, limits);
        if (size < partSize(number - 1, last, limits) || size > limits.largestPart)
          expect.fail(`part ${number} after ${last} bytes has ${size}`);
      }
});

test('what travels at once stays bounded', () => {
  for (const size of [8, 9, 16, 24, 53, 64, 80, 512]) {
    const flying = partsInFlight(size * mebibyte);
    expect(flying).toBeGreaterThanOrEqual(1);
    expect(flying).toBeLessThanOrEqual(3);
    expect(flying === 1 || (flying + 1) * size <= 160).toBe(true);
  }
});

test.each([
  ['S3', 0, 160, s3Limits],
  ['S3', 500, 160, s3Limits],
  ['S3', 1024, 328, s3Limits],
  ['S3', 4096, 1312, s3Limits],
  ['what speaks S3', 1024, 526, s3CompatibleLimits],
  ['Azure', 2400, 160, azureLimits],
  ['Google', 50_000, 160, gcsLimits],
])('parts of %s after a snapshot of %d GiB take %d MiB of memory', (_store, last, mebibytes, limits) => {
  expect(partsMemory(last * gibibyte, limits) / mebibyte).toBe(mebibytes);
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
