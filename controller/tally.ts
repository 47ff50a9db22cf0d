// The runs that this process saw end, counted for each object: how they ended and how long they took.
import { isReason } from '../crds/rules/reasons.ts';

export interface FinishedRun {
  result: 'Succeeded' | 'Failed' | 'Canceled';
  /** Of the reasons table; absent for a success. */
  reason?: string;
  /** Absent when it is not known, as for a run whose Job is gone. */
  durationSeconds?: number;
}

/** Seconds. Most dumps take less than a minute, the largest take hours; each limit is one line more for every object. */
export const durationLimits = [10, 60, 300, 900, 3600, 7200, 14_400, 28_800] as const;

interface Counts {
  /** As it is written in each of its series. */
  labels: string;
  /** Runs by `result="..",reason=".."`. */
  runs: Map<string, number>;
  /** Durations up to each limit, not those up to the one before. */
  durations: number[];
  sum: number;
  count: number;
}

export class Tally {
  private readonly counts = new Map<string, Counts>();

  /** Counts a run. An object whose labels are others by now starts anew, as its series do. */
  add(key: string, labels: string, { result, reason, durationSeconds }: FinishedRun): void {
    const known = this.counts.get(key);
    const of = known?.labels === labels ? known : empty(labels);
    this.counts.set(key, of);
    // Any other word would be a series of its own, for ever.
    const why = result === 'Succeeded' ? '' : isReason(reason ?? '') ? reason : 'Unknown';
    const how = `result="${result}",reason="${why}"`;
    of.runs.set(how, (of.runs.get(how) ?? 0) + 1);
    if (durationSeconds === undefined || !(durationSeconds >= 0)) return;
    const bucket = durationLimits.findIndex((limit) => durationSeconds <= limit);
    if (bucket >= 0) of.durations[bucket] = (of.durations[bucket] ?? 0) + 1;
    of.sum += durationSeconds;
    of.count += 1;
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
      for (const [how, count] of runs) yield `${name}{${labels},${how}} ${count}\n`;
  }

  *durations(name: string): Generator<string> {
    for (const { labels, durations, sum, count } of this.counts.values()) {
      if (count === 0) continue;
      let below = 0;
      let lines = '';
      for (const [at, limit] of durationLimits.entries()) {
        below += durations[at] ?? 0;
        lines += `${name}_bucket{${labels},le="${limit}"} ${below}\n`;
      }
      yield `${lines}${name}_bucket{${labels},le="+Inf"} ${count}\n${name}_sum{${labels}} ${sum}\n${name}_count{${labels}} ${count}\n`;
    }
  }
}

function empty(labels: string): Counts {
  return { labels, runs: new Map(), durations: durationLimits.map(() => 0), sum: 0, count: 0 };
}
