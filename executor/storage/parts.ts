// How a stream is cut into the parts of an upload, and how it is given up.

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
