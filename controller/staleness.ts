// How long to wait after a look that found the world changed meanwhile: a moment, and ever longer where it goes on like that. What has
// changed is told by a watch soon, which is what the next look is for; this is for what no watch tells.

/** From the first to the most they double: six looks in ten seconds, then one every ten. */
const waitMilliseconds = { first: 200, most: 10_000 };

export class Staleness {
  /** Looks in a row, by key. A backup is in here as long as its looks are stale: at most one entry for each there is. */
  private readonly inRow = new Map<string, number>();

  /** @returns ms until the next look at a key whose look was stale */
  again(key: string): number {
    const before = this.inRow.get(key) ?? 0;
    this.inRow.set(key, before + 1);
    const { first, most } = waitMilliseconds;
    return Math.min(most, first * 2 ** Math.min(before, 16));
  }

  /** A look came to its end, or there is nothing to look at. */
  settled(key: string): void {
    this.inRow.delete(key);
  }

  get size(): number {
    return this.inRow.size;
  }
}
