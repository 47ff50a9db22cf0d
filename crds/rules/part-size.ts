// The parts of a multipart upload: how large they are and how many travel at once. A store takes only so many of them, and each is held in
// memory until it is stored, so that it can be sent again. The executor cuts by it, the controller gives its container the memory.

const mebibyte = 1_048_576;
const smallestPart = 8 * mebibyte;
/** Of all parts in memory, those that travel and the one that fills. It is exceeded only where the store's limits leave no other way. */
const memoryForParts = 160 * mebibyte;
const mostInFlight = 3;
/** The largest of which two travel while a third fills. */
const easyPart = Math.floor(memoryForParts / 3 / mebibyte) * mebibyte;

/** What a store takes of one upload. */
export interface Limits {
  parts: number;
  /** Bytes. */
  largestPart: number;
  /** Share of the parts that have the first size where nothing is expected. */
  first: number;
  /** How much larger than before a dump may at least be and still be cut evenly. */
  margin: number;
}

export const s3Limits: Limits = { parts: 10_000, largestPart: 5 * 1024 * mebibyte, first: 0.25, margin: 1.25 };
/** Some stores that speak S3, Cloudflare's R2 for one, take parts of one size only: as many snapshots as can be are cut so. */
export const s3CompatibleLimits: Limits = { ...s3Limits, first: 0.5, margin: 2 };
export const azureLimits: Limits = { ...s3Limits, parts: 50_000, largestPart: 4000 * mebibyte };
/** A session takes any number of them, one after the other: so many that an answer each is not what takes the time. */
export const gcsLimits: Limits = { ...s3Limits, largestPart: 64 * mebibyte };

/** Shares of the parts that a store takes: each size between the first and easyPart, all before the end, each size at the end. */
const shares = { rise: 0.025, easy: 0.8, end: 0.02 };
/** How much larger than before a dump may be and still be cut evenly where memory has room for it. */
const roomyMargin = 2.5;

/** Bytes of each part of an upload of about so many. */
function evenPart(expectedBytes: number, { parts, margin }: Limits, smallest: number): number {
  const holding = (bytes: number): number => Math.ceil(bytes / (shares.easy * parts) / mebibyte) * mebibyte;
  const roomy = Math.min(easyPart, holding(roomyMargin * expectedBytes));
  return Math.max(smallest, roomy, holding(margin * expectedBytes));
}

/** Steps of so many parts that begin after `from`; 0 before the first. */
const stepsAfter = (from: number, each: number, number: number): number =>
  number <= from ? 0 : Math.ceil((number - from) / each);

/**
 * All parts have one size while the dump is at most margin times as large as expected. Beyond, and where nothing is expected, they grow so
 * that most parts stay within memory and the last ones reach S3's largest object, of 5 TiB.
 * @param number of the part, from 1
 * @param smallest bytes of the first part where little is expected; tests make it small
 */
export function partSize(number: number, expectedBytes: number, limits = s3Limits, smallest = smallestPart): number {
  const { parts, largestPart } = limits;
  const even = evenPart(expectedBytes, limits, smallest);
  const beforeEnd = shares.easy * parts;
  if (number <= Math.min(beforeEnd, (roomyMargin * expectedBytes) / even)) return Math.min(largestPart, even);
  const rises = stepsAfter(limits.first * parts, shares.rise * parts, number);
  const easy = Math.max(even, Math.min(easyPart, smallest * 2 ** rises));
  return Math.min(largestPart, easy * 2 ** stepsAfter(beforeEnd, shares.end * parts, number));
}

/** Parts on their way while the next one fills: as many as memory has room for, and at least one. */
export function partsInFlight(size: number): number {
  return Math.max(1, Math.min(mostInFlight, Math.floor(memoryForParts / size) - 1));
}

/** Bytes that the parts of an upload of about so many take at once. One that turns out much larger takes more. */
export function partsMemory(expectedBytes: number, limits: Limits): number {
  const size = partSize(1, expectedBytes, limits);
  return Math.max(memoryForParts, (partsInFlight(size) + 1) * size);
}
