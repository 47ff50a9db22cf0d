// How fast the controller may call the API server: a token bucket for reads and one for writes, and who goes first when they are empty.

/** What a call is for. What lets a backup start goes before what only tells of it. */
const launchLanes = ['start', 'claim', 'lock', 'create'] as const;
const lanes = [...launchLanes, 'status', 'other'] as const;
/** The leader's lane has no line: see take(). */
export type Lane = 'leader' | (typeof lanes)[number];

/** Launches are finite but may be many: one call in so many goes to whoever waits longest, so that each lane comes to its turn. */
const oldestEvery = 10;
/** No server makes the whole client stand still for longer. */
const longestPauseMilliseconds = 60_000;

interface Waiter {
  order: number;
  go: () => void;
}

/** Tokens come at a rate up to a burst. Nobody is turned away: each worker and each reflector has one or two calls at a time, that is the bound. */
export class Bucket {
  private readonly perMillisecond: number;
  private readonly burst: number;
  private readonly now: () => number;
  private readonly waiting = new Map<Lane, Set<Waiter>>(lanes.map((lane) => [lane, new Set()]));
  private tokens: number;
  /** Until when tokens are counted, and from when on they come again. */
  private counted: number;
  private pausedUntil = 0;
  private order = 0;
  private granted = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param now ms of a clock that is never set */
  constructor(perSecond: number, burst: number, now: () => number = () => performance.now()) {
    this.perMillisecond = perSecond / 1000;
    this.burst = burst;
    this.tokens = burst;
    this.now = now;
    this.counted = now();
  }

  /** Resolves when the call may be made. Rejects when the signal aborts before. */
  async take(lane: Lane, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const tokens = this.count();
    // The lease is two calls in two seconds, and lost when they wait: they go at once, on credit, and through a pause that others earned.
    if (lane === 'leader' || (tokens >= 1 && this.line().length === 0)) {
      this.tokens -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const line = this.waiting.get(lane);
      const aborted = (): void => {
        line?.delete(waiter);
        reject(signal?.reason);
      };
      const go = (): void => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const waiter = { order: this.order++, go };
      signal?.addEventListener('abort', aborted, { once: true });
      line?.add(waiter);
      this.arm();
    });
  }

  /** Whether a call of a launch waits for its turn. */
  get launchesWait(): boolean {
    return launchLanes.some((lane) => (this.waiting.get(lane)?.size ?? 0) > 0);
  }

  /** Lets nobody but the leader through for a while; what the server is asked after that comes at the rate, not in a burst. */
  pause(milliseconds: number): void {
    const tokens = this.count();
    if (!(milliseconds > 0)) return;
    const until = this.now() + Math.min(milliseconds, longestPauseMilliseconds);
    this.pausedUntil = Math.max(this.pausedUntil, until);
    this.tokens = Math.min(tokens, 0);
    this.arm();
  }

  /** Adds the tokens that have come since the last count. */
  private count(): number {
    const now = this.now();
    const from = Math.max(this.counted, this.pausedUntil);
    if (now > from) this.tokens = Math.min(this.burst, this.tokens + (now - from) * this.perMillisecond);
    this.counted = now;
    return this.tokens;
  }

  /** The first of each lane that anyone waits in, in the order of the lanes. */
  private line(): { lane: Set<Waiter>; first: Waiter }[] {
    return [...this.waiting.values()].flatMap((lane) => {
      const [first] = lane;
      return first === undefined ? [] : [{ lane, first }];
    });
  }

  private serve(): void {
    for (let line = this.line(); line.length > 0 && this.count() >= 1; line = this.line()) {
      this.granted += 1;
      if (this.granted % oldestEvery === 0) line.sort((a, b) => a.first.order - b.first.order);
      const [next] = line;
      if (next === undefined) return;
      next.lane.delete(next.first);
      this.tokens -= 1;
      next.first.go();
    }
    this.arm();
  }

  private arm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.line().length === 0) return;
    const pause = Math.max(0, this.pausedUntil - this.now());
    const missing = Math.max(0, 1 - this.tokens) / this.perMillisecond;
    this.timer = setTimeout(() => this.serve(), Math.ceil(pause + missing));
  }
}

/** API servers count reads and writes apart, and so do we. Watches are free: they are few and each lasts for minutes. */
export class Limiter {
  readonly reads: Bucket;
  readonly writes: Bucket;

  constructor(perSecond: number, burst: number) {
    this.reads = new Bucket(perSecond, burst);
    this.writes = new Bucket(perSecond, burst);
  }

  bucketOf(method: string): Bucket {
    return method === 'GET' ? this.reads : this.writes;
  }
}
