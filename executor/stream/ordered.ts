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
