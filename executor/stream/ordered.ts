// Work on the items of a stream that goes on side by side and comes out in order.

/**
 * @param atOnce items that are worked on or wait for the reader: bounds the memory
 * @param work its failure comes out in its place, and nothing after it
 */
export async function* inOrder<T, R>(
  source: AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, void> {
  const flying: Promise<R>[] = [];
  for await (const item of source) {
    const result = work(item);
    // One that fails behind another that fails has no reader: it is not unhandled for that.
    result.catch(() => {});
    flying.push(result);
    const first = flying.length < atOnce ? undefined : flying.shift();
    if (first !== undefined) yield await first;
  }
  for (const result of flying) yield await result;
}

/**
 * As a loop of work on each item, but the next one is asked for and worked on while the reader has the one before it. No item waits for
 * the one after it, which may be long in coming; a reader that stops does not wait for it either.
 */
export async function* ahead<T, R>(
  source: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, void> {
  const items = source[Symbol.asyncIterator]();
  const pull = async (): Promise<{ result: R } | undefined> => {
    const item = await items.next();
    return item.done === true ? undefined : { result: await work(item.value) };
  };
  let coming = pull();
  try {
    for (let item = await coming; item !== undefined; item = await coming) {
      coming = pull();
      // It is awaited later than it may fail.
      coming.catch(() => {});
      yield item.result;
    }
  } finally {
    // It ends once what was asked of it has come.
    items.return?.().catch(() => {});
  }
}
