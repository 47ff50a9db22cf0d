// How large the parts of a multipart upload are and how many travel at once. S3 takes at most 10,000 parts, and a part is held in
// memory until it is stored, so that it can be sent again.

const mebibyte = 1_048_576;
const smallestPart = 8 * mebibyte;
/** Parts of the first size; twice the expected size fits in them. */
const firstParts = 5000;
/** From there on the size doubles each so many parts: 10,000 parts of at least 8 MiB hold 8 TiB. */
const partsPerDoubling = 500;
const largestPart = 5 * 1024 * mebibyte;

/** @param number of the part, from 1 */
export function partSize(number: number, expectedBytes: number): number {
  const wanted = Math.ceil((2 * expectedBytes) / firstParts / mebibyte) * mebibyte;
  const doublings = number <= firstParts ? 0 : 1 + Math.floor((number - firstParts - 1) / partsPerDoubling);
  return Math.min(largestPart, Math.max(smallestPart, wanted) * 2 ** doublings);
}

/** Parts on their way while the next one fills: about 24 MiB of them, and at least one. */
export function partsInFlight(size: number): number {
  return Math.max(1, Math.floor((3 * smallestPart) / size));
}
