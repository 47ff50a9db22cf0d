// The parts of a multipart upload: how a stream is cut, how large they are and how many travel at once. S3 takes at most 10,000 of
// them, and each is held in memory until it is stored, so that it can be sent again.

const mebibyte = 1_048_576;
const smallestPart = 8 * mebibyte;
/** Parts of the first size; twice the expected size fits in them. */
const firstParts = 5000;
/** From there on the size doubles each so many parts: 10,000 parts of at least 8 MiB hold 8 TiB. */
const partsPerDoubling = 500;
const largestPart = 5 * 1024 * mebibyte;

/**
 * @param number of the part, from 1
 * @param smallest bytes of the first part where little is expected; tests make it small
 */
export function partSize(number: number, expectedBytes: number, smallest = smallestPart): number {
  const wanted = Math.ceil((2 * expectedBytes) / firstParts / mebibyte) * mebibyte;
  const doublings = number <= firstParts ? 0 : 1 + Math.floor((number - firstParts - 1) / partsPerDoubling);
  return Math.min(largestPart, Math.max(smallest, wanted) * 2 ** doublings);
}

/** Parts on their way while the next one fills: about 24 MiB of them, and at least one. */
export function partsInFlight(size: number): number {
  return Math.max(1, Math.floor((3 * smallestPart) / size));
}

/**
 * Cuts a stream into parts. The last one may be short, and empty when all is.
 * @param allocate where a part's memory comes from: whoever gets parts back can give it again
 */
export async function* parts(
  source: AsyncIterable<Buffer>,
  sizeOf: (number: number) => number,
  allocate: (size: number) => Buffer = Buffer.allocUnsafeSlow,
): AsyncGenerator<{ number: number; body: Buffer; last: boolean }, void, void> {
  let number = 1;
  let body = allocate(sizeOf(number));
  let filled = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (rest.length > 0) {
      // Handed on only when more has come: so the last part is known as such.
      if (filled === body.length) {
        yield { number, body, last: false };
        number += 1;
        body = allocate(sizeOf(number));
        filled = 0;
      }
      const count = rest.copy(body, filled);
      filled += count;
      rest = rest.subarray(count);
    }
  }
  yield { number, body: body.subarray(0, filled), last: true };
}

/**
 * The source, until the signal is aborted: then its reason is thrown at once, also while the source says nothing. The source itself is
 * left to whoever aborts.
 */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, void> {
  const items = source[Symbol.asyncIterator]();
  let giveUp = (_reason: unknown): void => {};
  const abort = () => giveUp(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      // A promise of its own for each item: Promise.race with one that lives long would keep every item's memory.
      const item = await new Promise<IteratorResult<T>>((done, fail) => {
        giveUp = fail;
        items.next().then(done, fail);
      });
      if (item.done === true) return;
      yield item.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited: a source in the middle of its next item answers only after that.
    items.return?.().catch(() => {});
  }
}
