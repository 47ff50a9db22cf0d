// F36: a dump larger than what parts of one size could hold, through the real upload, into a store that keeps nothing.
import { expect, test } from 'vitest';
import { type Destination, PartsUpload } from '../../executor/storage/upload.ts';

const gibibyte = 2 ** 30;

/** Takes every part, and remembers how many and how large. */
class Nowhere implements Destination {
  parts = 0;
  bytes = 0;
  largest = 0;
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

test('F36 60 GiB of which nobody told the size are stored whole, with the memory that a small dump takes', async () => {
  const chunk = Buffer.alloc(2 ** 20, 'x');
  const size = 60 * gibibyte;
  async function* source(): AsyncGenerator<Buffer, void, void> {
    for (let sent = 0; sent < size; sent += chunk.length) yield chunk;
  }
  const store = new Nowhere();
  const before = process.memoryUsage().rss;
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss - before);
  }, 20);
  const options = { signal: new AbortController().signal, expectedBytes: 0 };
  const stored = await new PartsUpload('orders/large', store, options).run(source());
  clearInterval(watch);
  expect([stored, store.bytes, store.completed]).toEqual([size, size, true]);
  expect(store.parts).toBeLessThanOrEqual(10_000);
  expect(store.largest).toBeLessThanOrEqual(64 * 2 ** 20);
  expect(most / 2 ** 20).toBeLessThan(320);
}, 600_000);
