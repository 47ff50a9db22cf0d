// The work queue on virtual time: what controller/queue.ts and timers.ts do, with their waits, and a clock that may jump.
import { ApiError } from '../../controller/transport.ts';
import type { Agenda } from './agenda.ts';

const backoff = { first: 100, most: 300_000 };
/** A jump of the clock is noticed within this. */
const lookMilliseconds = 30_000;

interface Process {
  /** Its own wall clock. */
  clock: () => number;
  /** What is to happen in it waits while it stands still. */
  deliver: (happen: () => void) => void;
}

export class Line {
  private readonly agenda: Agenda;
  private readonly work: (key: string) => Promise<number | undefined>;
  private readonly failed: (error: unknown) => void;
  private readonly process: Process;
  private readonly ready = new Set<string>();
  private readonly running = new Set<string>();
  private readonly again = new Set<string>();
  private readonly failures = new Map<string, number>();
  private readonly timers = new Map<string, number>();
  private workers = 0;
  private epoch = 0;

  constructor(
    agenda: Agenda,
    work: (key: string) => Promise<number | undefined>,
    failed: (error: unknown) => void,
    process: Process,
  ) {
    this.agenda = agenda;
    this.work = work;
    this.failed = failed;
    this.process = process;
  }

  get idle(): boolean {
    return this.ready.size === 0 && this.running.size === 0;
  }

  start(workers: number): void {
    this.workers = workers;
    this.pump();
  }

  /** The process is gone with all that it knew. */
  die(): void {
    this.epoch += 1;
    this.workers = 0;
    for (const part of [this.ready, this.running, this.again, this.failures, this.timers]) part.clear();
  }

  add(key: string): void {
    if (this.running.has(key)) this.again.add(key);
    else this.ready.add(key);
    this.pump();
  }

  clockJumped(back: boolean, wait: number): void {
    const { epoch } = this;
    this.plan(Math.min(wait, lookMilliseconds), () => {
      if (epoch !== this.epoch) return;
      for (const [key, at] of [...this.timers]) if (back || at <= this.process.clock()) this.fire(key);
    });
  }

  private addAt(key: string, at: number): void {
    const known = this.timers.get(key);
    if (known !== undefined && known <= at) return;
    this.timers.set(key, at);
    this.arm(key, at);
  }

  private arm(key: string, at: number): void {
    const { epoch } = this;
    this.plan(Math.max(0, Math.ceil(at - this.process.clock())), () => {
      if (epoch !== this.epoch || this.timers.get(key) !== at) return;
      if (at <= this.process.clock()) this.fire(key);
      else this.arm(key, at);
    });
  }

  private plan(wait: number, happen: () => void): void {
    this.agenda.in(wait, () => this.process.deliver(happen));
  }

  private fire(key: string): void {
    this.timers.delete(key);
    this.add(key);
  }

  private pump(): void {
    while (this.running.size < this.workers) {
      const [key] = this.ready;
      if (key === undefined) return;
      this.ready.delete(key);
      this.running.add(key);
      void this.run(key, this.epoch);
    }
  }

  private async run(key: string, epoch: number): Promise<void> {
    this.timers.delete(key);
    let at: number | undefined;
    try {
      at = await this.work(key);
      if (epoch !== this.epoch) return;
      this.failures.delete(key);
      if (at !== undefined) this.addAt(key, at);
    } catch (error) {
      if (epoch !== this.epoch) return;
      this.failed(error);
      const count = (this.failures.get(key) ?? 0) + 1;
      const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
      const wait = Math.min(backoff.most, Math.max(asked, backoff.first * 2 ** Math.min(count - 1, 16)));
      this.failures.set(key, count);
      this.addAt(key, this.process.clock() + wait);
    }
    this.running.delete(key);
    if (this.again.delete(key)) this.ready.add(key);
    this.pump();
  }
}
