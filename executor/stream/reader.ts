// Takes as many bytes as are wanted from a stream that comes in chunks of any size, and copies only what lies across two of them. A chunk
// of the source has to stay only until the next one is asked for; so has what is given here, until fill() or takeSome() is called again.

export class ByteReader {
  readonly #items: AsyncIterator<Buffer>;
  #chunks: Buffer[] = [];
  #held = 0;
  #ended = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#items = source[Symbol.asyncIterator]();
  }

  /** Bytes that are there without waiting. */
  get held(): number {
    return this.#held;
  }

  /** Waits until so many bytes are there; false when the stream ends before. */
  async fill(count: number): Promise<boolean> {
    while (this.#held < count && !this.#ended) {
      if (this.#held > 0) this.#chunks = [Buffer.concat(this.#chunks)];
      const next = await this.#items.next();
      if (next.done === true) this.#ended = true;
      else if (next.value.length > 0) {
        this.#chunks.push(next.value);
        this.#held += next.value.length;
      }
    }
    return this.#held >= count;
  }

  /** The next bytes, which are still the next ones then. At most `held`. */
  peek(count: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all.subarray(0, count);
  }

  /** The next bytes. At most `held`. */
  take(count: number): Buffer {
    const [first] = this.#chunks;
    if (first === undefined || first.length < count) return this.#takeAcross(count);
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
    this.#held -= count;
    return first.subarray(0, count);
  }

  #takeAcross(count: number): Buffer {
    const parts: Buffer[] = [];
    let left = count;
    while (left > 0) {
      const part = this.take(Math.min(left, this.#chunks[0]?.length ?? 0));
      if (part.length === 0) throw new Error(`take ${count} bytes: only ${count - left} are there`);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** What is there of the next bytes, at least one of them, at most `count`; undefined at the end of the stream. */
  async takeSome(count: number): Promise<Buffer | undefined> {
    if (!(await this.fill(1))) return undefined;
    return this.take(Math.min(count, this.#chunks[0]?.length ?? 0));
  }

  /** Ends the source when it is not wanted any more. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#items.return?.();
  }
}
