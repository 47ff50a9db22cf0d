// Virtual time: what is to happen, in the order of its time, and of two things at one time in the order they were planned.

interface Entry {
  at: number;
  order: number;
  happen: () => void;
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Agenda {
  /** True time in ms. */
  now: number;
  private readonly heap: Entry[] = [];
  private order = 0;

  constructor(now: number) {
    this.now = now;
  }

  /** Plans something. What lies in the past happens next. */
  at(time: number, happen: () => void): void {
    const entry = { at: Math.max(time, this.now), order: this.order++, happen };
    let index = this.heap.length;
    this.heap.push(entry);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.heap[above];
      if (parent === undefined || !before(entry, parent)) break;
      this.heap[index] = parent;
      index = above;
    }
    this.heap[index] = entry;
  }

  in(milliseconds: number, happen: () => void): void {
    this.at(this.now + milliseconds, happen);
  }

  /** Time of what comes next. */
  get next(): number {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Goes on to what comes next and lets it happen. */
  step(): void {
    const [first] = this.heap;
    const last = this.heap.pop();
    if (first === undefined || last === undefined) return;
    if (first !== last) this.sink(last);
    this.now = first.at;
    first.happen();
  }

  private sink(entry: Entry): void {
    const { heap } = this;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      let child = heap[below];
      const right = heap[below + 1];
      if (child !== undefined && right !== undefined && before(right, child)) {
        child = right;
        below += 1;
      }
      if (child === undefined || !before(child, entry)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = entry;
  }
}
