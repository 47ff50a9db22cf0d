// A keyed work queue: a key is worked on by one worker at a time, is in line at most once, and comes back after failures ever later. What
// has changed goes before what has only become due: of a thousand backups with one window the first starts before the last is looked at.
import { Timers } from './timers.ts';
import { ApiError } from './transport.ts';

/** Waits after failures double from the first to the most, which also bounds what a server may ask for. */
const backoffMilliseconds = { first: 100, most: 300_000 };

/** One look in so many is at what has been due the longest, however much changes. */
const dueEvery = 4;

export type Work = (key: string) => Promise<number | undefined>;

/** For who counts what the queue does. */
export interface QueueEvents {
  /** A key has come into line. */
  added?: () => void;
  /** A key will come back after a failure. */
  retried?: () => void;
  /** A key has left the line for a worker. */
  waited?: (milliseconds: number) => void;
}

export class Queue {
  private readonly work: Work;
  private readonly failed: (key: string, error: unknown, waitMilliseconds: number) => void;
  private readonly events: QueueEvents;
  private readonly now: () => number;
  /** Keys in line, with the time they came: those that were told of, and those whose time has come. */
  private readonly told = new Map<string, number>();
  private readonly due = new Map<string, number>();
  private picked = 0;
  private readonly running = new Set<string>();
  /** Keys that came in while they were worked on. */
  private readonly again = new Set<string>();
  /** Failures in a row. A key that fails has a time to come back, so none stays here for good. */
  private readonly failures = new Map<string, number>();
  private readonly timers: Timers;
  private workers = 0;
  private readonly idle: (() => void)[] = [];

  /**
   * @param work does one key; resolves to the time in ms at which to look again, or undefined; a rejection is retried
   */
  constructor(
    work: Work,
    failed: (key: string, error: unknown, waitMilliseconds: number) => void,
    events: QueueEvents = {},
    now: () => number = () => Date.now(),
  ) {
    this.work = work;
    this.failed = failed;
    this.events = events;
    this.now = now;
    this.timers = new Timers((key) => this.enter(key, this.due), now);
  }

  /** Keys in line. Those for later and those in work are not. */
  get depth(): number {
    return this.told.size + this.due.size;
  }

  /** Begins, or begins again after stop(): then every key has to be added. */
  start(workers: number): void {
    this.workers = workers;
    this.pump();
  }

  /** Forgets all that waits and resolves when the keys in work are done. */
  async stop(): Promise<void> {
    this.workers = 0;
    this.timers.clear();
    this.told.clear();
    this.due.clear();
    this.again.clear();
    this.failures.clear();
    if (this.running.size > 0)
      await new Promise<void>((resolve) => {
        this.idle.push(resolve);
      });
  }

  add(key: string): void {
    this.enter(key, this.told);
  }

  /** Adds a key at a time, or sooner if it is in line for sooner. */
  addAt(key: string, at: number): void {
    this.timers.set(key, at);
  }

  private enter(key: string, line: Map<string, number>): void {
    if (this.running.has(key)) this.again.add(key);
    else if (!this.told.has(key) && !line.has(key)) {
      const since = this.due.get(key);
      this.due.delete(key);
      line.set(key, since ?? this.now());
      if (since === undefined) this.events.added?.();
    }
    this.pump();
  }

  private next(): [string, number] | undefined {
    this.picked += 1;
    const lines = this.picked % dueEvery === 0 ? [this.due, this.told] : [this.told, this.due];
    for (const line of lines) for (const first of line) return first;
    return undefined;
  }

  private pump(): void {
    while (this.running.size < this.workers) {
      const first = this.next();
      if (first === undefined) return;
      const [key, since] = first;
      this.told.delete(key);
      this.due.delete(key);
      this.running.add(key);
      this.events.waited?.(Math.max(0, this.now() - since));
      void this.run(key);
    }
  }

  private async run(key: string): Promise<void> {
    // What the key waits for is decided anew by this look.
    this.timers.delete(key);
    try {
      const at = await this.work(key);
      this.failures.delete(key);
      if (at !== undefined && this.workers > 0) this.addAt(key, at);
    } catch (error) {
      this.retry(key, error);
    }
    this.running.delete(key);
    if (this.running.size === 0) for (const resolve of this.idle.splice(0)) resolve();
    if (this.again.delete(key)) this.add(key);
    else this.pump();
  }

  private retry(key: string, error: unknown): void {
    const count = (this.failures.get(key) ?? 0) + 1;
    const { first, most } = backoffMilliseconds;
    const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
    const wait = Math.min(most, Math.max(asked, first * 2 ** Math.min(count - 1, 16)));
    this.failed(key, error, wait);
    // Whoever starts the queue again adds every key anyway.
    if (this.workers === 0) return;
    this.failures.set(key, count);
    this.addAt(key, this.now() + wait);
    this.events.retried?.();
  }
}
