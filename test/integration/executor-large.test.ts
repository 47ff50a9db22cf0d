// F36: a dump larger than what parts of one size could hold, through the real upload, into a store that keeps nothing.
import { expect, test } from 'vitest';
import { type Destination, PartsUpload } from '../../executor/storage/upload.ts';

const gibibyte = 2 ** 30;

/** Takes every part, and remembers how many and how large. */
class Nowhere implements Destination {
  parts = 0;
  bytes = 0;
  largest = 0;
  /** Bytes of memory at the most. */
  resident = 0;
  completed = false;

  async whole(): Promise<void> {
    throw new Error('it is not small');
  }

  async begin(): Promise<void> {}

  async part(number: number, body: Buffer): Promise<void> {
    // S3 takes no other number.
    expect(number).toBeLessThanOrEqual(10_000);
    this.parts += 1;
    this.bytes += body.length;
    this.largest = Math.max(this.largest, body.length);
    // Others travel at the same time.
    await new Promise((done) => setImmediate(done));
    this.resident = Math.max(this.resident, process.memoryUsage.rss());
  }

  async complete(): Promise<void> {
    this.completed = true;
  }

  async isOurs(): Promise<boolean> {
    return false;
  }

  isTaken(): boolean {
    return false;
  }

  async discard(): Promise<void> {
    throw new Error('nothing is to be taken back');
  }
}

test.each([
  ['60 GiB of which nobody told the size', 60, 0],
  ['4 GiB in parts for the 500 GiB before them, the largest that fit,', 4, 500],
])(
  'F36 %s are stored whole, within the memory that there is for parts',
  async (_what, gibibytes, expected) => {
    const chunk = Buffer.alloc(2 ** 20, 'x');
    const size = gibibytes * gibibyte;
    async function* source(): AsyncGenerator<Buffer, void, void> {
      for (let sent = 0; sent < size; sent += chunk.length) yield chunk;
    }
    const store = new Nowhere();
    const before = process.memoryUsage.rss();
    const options = { signal: new AbortController().signal, expectedBytes: expected * gibibyte };
    const stored = await new PartsUpload('orders/large', store, options).run(source());
    expect([stored, store.bytes, store.completed]).toEqual([size, size, true]);
    expect(store.parts).toBeLessThanOrEqual(10_000);
    expect(store.largest).toBeLessThanOrEqual(80 * 2 ** 20);
    const more = (store.resident - before) / 2 ** 20;
    console.error(`${gibibytes} GiB: ${more.toFixed(0)} MiB of memory`);
    expect(more).toBeLessThan(224);
  },
  600_000,
);
