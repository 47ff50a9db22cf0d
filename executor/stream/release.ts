// Memory of large chunks given back at once. Left to the collector of garbage they make it run all the time: on its heap they are nothing,
// beside it they are the whole dump, and each run looks through all of the heap.

/** Empties a chunk that nobody will read again. */
export function release(chunk: Buffer): void {
  const memory = chunk.buffer;
  // Smaller ones may lie in the pool that they share with others.
  if (memory instanceof ArrayBuffer && chunk.length >= Buffer.poolSize / 2 && !memory.detached) memory.transfer(0);
}

/** The same of a chunk that may be part of others' memory: it is left alone unless it fills it. */
export function releaseWhole(chunk: Buffer): void {
  if (chunk.length === chunk.buffer.byteLength) release(chunk);
}

/** A copy that is alone in its memory. */
export function own(chunk: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(copy);
  return copy;
}

/** The stream for a reader that keeps nothing of a chunk: each is empty as soon as the next one is asked for. */
export async function* lent(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of source) {
    yield chunk;
    release(chunk);
  }
}
