// The runs that this process saw end, counted for each object: how they ended, how long they took and what retention deleted.
import { isReason } from '../crds/rules/reasons.ts';

export interface FinishedRun {
  result: 'Succeeded' | 'Failed' | 'Canceled';
  /** Of the reasons table; absent for a success. */
  reason?: string;
  /** Absent when it is not known, as for a run whose Job is gone. */
  durationSeconds?: number;
  /** Snapshots that retention deleted; absent when it is not known. */
  deleted?: number;
}

/** Seconds. Most dumps take less than a minute, the largest take hours; each limit is one line more for every object. */
export const durationLimits = [10, 60, 300, 900, 3600, 7200, 14_400, 28_800] as const;

/**
 * How long a new count is told as 0, in ms: for one scrape at least, of which most Prometheus servers make one a minute or more. What a
 * series begins with is no increase to them, so that the first failure of a kind would never be seen.
 */
export const newFor = 90_000;

interface Count {
  value: number;
  /** Steady time of its first run, in ms. */
  since: number;
}

interface Durations {
  /** Up to each limit, not up to the one before. */
  upTo: number[];
  sum: number;
  count: number;
  since: number;
}

interface Counts {
  /** As it is written in each of its series. */
  labels: string;
  /** Runs by `result="..",reason=".."`. */
  runs: Map<string, Count>;
  deleted?: Count;
  durations?: Durations;
}

export class Tally {
  private readonly counts = new Map<string, Counts>();
  private readonly now: () => number;

  /** @param now steady time in ms: one that is set back would have counts fall */
  constructor(now: () => number) {
    this.now = now;
  }

  /** Counts a run. An object whose labels are others by now starts anew, as its series do. */
  add(key: string, labels: string, { result, reason, durationSeconds, deleted }: FinishedRun): void {
    const known = this.counts.get(key);
    const of: Counts = known?.labels === labels ? known : { labels, runs: new Map() };
    this.counts.set(key, of);
    // Any other word would be a series of its own, for ever.
    const why = result === 'Succeeded' ? '' : isReason(reason ?? '') ? reason : 'Unknown';
    const how = `result="${result}",reason="${why}"`;
    of.runs.set(how, this.more(of.runs.get(how), 1));
    if (isAmount(deleted)) of.deleted = this.more(of.deleted, deleted);
    if (isAmount(durationSeconds)) of.durations = this.longer(of.durations, durationSeconds);
  }

  forget(key: string): void {
    this.counts.delete(key);
  }

  /** Forgets all but these. */
  keep(keys: ReadonlyMap<string, unknown>): void {
    for (const key of this.counts.keys()) if (!keys.has(key)) this.counts.delete(key);
  }

  *runs(name: string): Generator<string> {
    for (const { labels, runs } of this.counts.values())
      for (const [how, count] of runs) yield `${name}{${labels},${how}} ${this.told(count)}\n`;
  }

  *deleted(name: string): Generator<string> {
    for (const { labels, deleted } of this.counts.values())
      if (deleted !== undefined) yield `${name}{${labels}} ${this.told(deleted)}\n`;
  }

  *durations(name: string): Generator<string> {
    for (const { labels, durations } of this.counts.values()) {
      if (durations === undefined) continue;
      const { upTo, sum, count } = this.isNew(durations) ? none : durations;
      let below = 0;
      let lines = '';
      for (const [at, limit] of durationLimits.entries()) {
        below += upTo[at] ?? 0;
        lines += `${name}_bucket{${labels},le="${limit}"} ${below}\n`;
      }
      yield `${lines}${name}_bucket{${labels},le="+Inf"} ${count}\n${name}_sum{${labels}} ${sum}\n${name}_count{${labels}} ${count}\n`;
    }
  }

  private more(known: Count | undefined, by: number): Count {
    return { value: (known?.value ?? 0) + by, since: known?.since ?? this.now() };
  }

  private longer(known: Durations | undefined, seconds: number): Durations {
    const { upTo, sum, count, since } = known ?? { ...none, since: this.now() };
    const bucket = durationLimits.findIndex((limit) => seconds <= limit);
    const next = upTo.map((runs, at) => runs + Number(at === bucket));
    return { upTo: next, sum: sum + seconds, count: count + 1, since };
  }

  private isNew({ since }: { since: number }): boolean {
    return this.now() - since < newFor;
  }

  private told(count: Count): number {
    return this.isNew(count) ? 0 : count.value;
  }
}

const none = { upTo: durationLimits.map(() => 0), sum: 0, count: 0 };

const isAmount = (value: number | undefined): value is number => value !== undefined && value >= 0;
