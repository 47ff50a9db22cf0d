// The time that decisions are made by: our own clock, as long as it is near that of the API server, else the API server's. Windows,
// claims and the lock's times are compared with what other controllers and the API server wrote, so a clock of our own that is wrong
// would run windows early, twice or never.

export interface ClockSource {
  /** The clock of this machine, ms. */
  wall: () => number;
  /** Milliseconds that only ever go forward, whatever is done to the clock. */
  steady: () => number;
}

const machine: ClockSource = { wall: () => Date.now(), steady: () => performance.now() };

export class Clock {
  private readonly most: number;
  private readonly source: ClockSource;
  /** The API server's time less the steady one; undefined until it has answered. */
  private base: number | undefined;

  /** @param mostMilliseconds how far our clock may be off before it is not followed any more; 0: it is always followed */
  constructor(mostMilliseconds: number, source: ClockSource = machine) {
    this.most = mostMilliseconds;
    this.source = source;
  }

  /** A request was begun at a steady time, and its answer carries the API server's time in whole seconds. */
  heard(date: string | undefined, askedAt: number): void {
    const theirs = Date.parse(date ?? '');
    if (Number.isNaN(theirs)) return;
    // They read their clock somewhere between our two readings, and cut it to the second.
    this.base = theirs + 500 - (askedAt + this.source.steady()) / 2;
  }

  /** How far our clock is ahead of the API server's, ms; 0 while nothing is known. */
  get ahead(): number {
    return this.base === undefined ? 0 : this.source.wall() - (this.source.steady() + this.base);
  }

  get isWrong(): boolean {
    return this.most > 0 && Math.abs(this.ahead) > this.most;
  }

  now(): number {
    return this.isWrong ? this.source.wall() - this.ahead : this.source.wall();
  }
}
