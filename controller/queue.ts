// A keyed work queue: a key is worked on by one worker at a time, is in line at most once, and comes back after failures ever later.

/** Waits after failures double from the first to the most. */
const backoffMilliseconds = { first: 100, most: 60_000 };
/** setTimeout fires at once beyond 2^31-1 ms; a look a day is soon enough. */
const longestTimer = 86_400_000;

export type Work = (key: string) => Promise<number | undefined>;

export class Queue {
  private readonly work: Work;
  private readonly failed: (key: string, error: unknown, waitMilliseconds: number) => void;
  private readonly now: () => number;
  private readonly ready = new Set<string>();
  private readonly running = new Set<string>();
  /** Keys that came in while they were worked on. */
  private readonly again = new Set<string>();
  private readonly failures = new Map<string, number>();
  private readonly timers = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  private workers = 0;
  private readonly idle: (() => void)[] = [];

  /**
   * @param work does one key; resolves to the time in ms at which to look again, or undefined; a rejection is retried
   */
  constructor(
    work: Work,
    failed: (key: string, error: unknown, waitMilliseconds: number) => void,
    now: () => number = () => Date.now(),
  ) {
    this.work = work;
    this.failed = failed;
    this.now = now;
  }

  start(workers: number): void {
    this.workers = workers;
    this.pump();
  }

  /** Takes no more keys and resolves when those in work are done. */
  async stop(): Promise<void> {
    this.workers = 0;
    for (const { timer } of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    if (this.running.size > 0)
      await new Promise<void>((resolve) => {
        this.idle.push(resolve);
      });
  }

  add(key: string): void {
    if (this.running.has(key)) this.again.add(key);
    else this.ready.add(key);
    this.pump();
  }

  /** Adds a key at a time, or sooner if it is in line for sooner. */
  addAt(key: string, at: number): void {
    const known = this.timers.get(key);
    if (known !== undefined && known.at <= at) return;
    if (known !== undefined) clearTimeout(known.timer);
    const wait = Math.min(Math.max(0, at - this.now()), longestTimer);
    const timer = setTimeout(() => {
      this.timers.delete(key);
      this.add(key);
    }, wait);
    this.timers.set(key, { at, timer });
  }

  private pump(): void {
    while (this.running.size < this.workers) {
      const [key] = this.ready;
      if (key === undefined) return;
      this.ready.delete(key);
      this.running.add(key);
      void this.run(key);
    }
  }

  private async run(key: string): Promise<void> {
    // What the key waits for is decided anew by this look.
    clearTimeout(this.timers.get(key)?.timer);
    this.timers.delete(key);
    try {
      const at = await this.work(key);
      this.failures.delete(key);
      if (at !== undefined && this.workers > 0) this.addAt(key, at);
    } catch (error) {
      const count = (this.failures.get(key) ?? 0) + 1;
      this.failures.set(key, count);
      const wait = Math.min(backoffMilliseconds.most, backoffMilliseconds.first * 2 ** Math.min(count - 1, 16));
      this.failed(key, error, wait);
      if (this.workers > 0) this.addAt(key, this.now() + wait);
    }
    this.running.delete(key);
    if (this.again.delete(key)) this.ready.add(key);
    if (this.running.size === 0) for (const resolve of this.idle.splice(0)) resolve();
    this.pump();
  }
}
