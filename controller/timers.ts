// Keys and the times they come due, in one heap with one timer. Also notices a clock that jumps and a machine that slept.

/**
 * Whatever comes first is armed for at most this: setTimeout counts on a clock of its own, which neither jumps with the wall clock nor runs
 * while the machine sleeps, and beyond 2^31-1 ms it fires at once.
 */
const lookMilliseconds = 30_000;
/** A clock that is set back by less is only late by as much; slewing moves it by 15 ms between two looks. */
const backMilliseconds = 1_000;

interface Entry {
  key: string;
  at: number;
  /** Of two that are due at once the one that came first goes first. */
  order: number;
  index: number;
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Timers {
  private readonly due: (key: string) => void;
  private readonly now: () => number;
  private readonly steady: () => number;
  private readonly heap: Entry[] = [];
  private readonly entries = new Map<string, Entry>();
  private order = 0;
  private timer: { at: number; handle: NodeJS.Timeout } | undefined;
  /** Both clocks at the last look. */
  private looked = { now: 0, steady: 0 };

  /**
   * @param due is told of each key whose time has come
   * @param now wall time in ms
   * @param steady ms of a clock that is never set
   */
  constructor(
    due: (key: string) => void,
    now: () => number = () => Date.now(),
    steady: () => number = () => performance.now(),
  ) {
    this.due = due;
    this.now = now;
    this.steady = steady;
  }

  get size(): number {
    return this.heap.length;
  }

  /** Sets the time of a key in ms, or leaves it where it is due sooner. What is no time would hold up all others: it is the next look. */
  set(key: string, time: number): void {
    const at = Number.isNaN(time) ? this.now() + lookMilliseconds : time;
    if (this.heap.length === 0) this.looked = { now: this.now(), steady: this.steady() };
    const known = this.entries.get(key);
    if (known === undefined) {
      const entry = { key, at, order: this.order++, index: this.heap.length };
      this.entries.set(key, entry);
      this.heap.push(entry);
      this.rise(entry);
    } else if (at < known.at) {
      known.at = at;
      this.rise(known);
    }
    this.arm();
  }

  delete(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.remove(entry);
    this.arm();
  }

  clear(): void {
    this.heap.length = 0;
    this.entries.clear();
    this.arm();
  }

  private look(): void {
    const [now, steady] = [this.now(), this.steady()];
    // A wait that was reckoned before the clock was set back may be an hour too long now: everyone looks again and reckons anew.
    const setBack = now < this.looked.now + (steady - this.looked.steady) - backMilliseconds;
    this.looked = { now, steady };
    const keys: string[] = [];
    for (let first = this.heap[0]; first !== undefined && (setBack || first.at <= now); first = this.heap[0]) {
      this.remove(first);
      keys.push(first.key);
    }
    this.arm();
    for (const key of keys) this.due(key);
  }

  /** Has the one timer fire for the first of the heap, and not later than the next look. */
  private arm(): void {
    const [first] = this.heap;
    if (first === undefined) {
      clearTimeout(this.timer?.handle);
      this.timer = undefined;
      return;
    }
    // It fires for nothing where the first was put off or taken away, and is armed anew then: cheaper than to move it each time.
    if (this.timer !== undefined && this.timer.at <= first.at) return;
    clearTimeout(this.timer?.handle);
    const wait = Math.min(Math.max(0, Math.ceil(first.at - this.now())), lookMilliseconds);
    const handle = setTimeout(() => {
      this.timer = undefined;
      this.look();
    }, wait);
    this.timer = { at: first.at, handle };
  }

  private remove(entry: Entry): void {
    this.entries.delete(entry.key);
    const last = this.heap.pop();
    if (last === undefined || last === entry) return;
    this.put(last, entry.index);
    this.rise(last);
    this.sink(last);
  }

  private put(entry: Entry, index: number): void {
    this.heap[index] = entry;
    entry.index = index;
  }

  private rise(entry: Entry): void {
    while (entry.index > 0) {
      const above = this.heap[(entry.index - 1) >> 1];
      if (above === undefined || !before(entry, above)) return;
      const { index } = above;
      this.put(above, entry.index);
      this.put(entry, index);
    }
  }

  private sink(entry: Entry): void {
    for (;;) {
      const [left, right] = [this.heap[2 * entry.index + 1], this.heap[2 * entry.index + 2]];
      const below = left !== undefined && right !== undefined && before(right, left) ? right : left;
      if (below === undefined || !before(below, entry)) return;
      const { index } = below;
      this.put(below, entry.index);
      this.put(entry, index);
    }
  }
}
