// Which snapshots are kept and why. Pure: the executor's prune, the webhook's warning and the plugin's explanations give the same answer.
import { type Period, periodsOf } from './periods.ts';

export interface RetentionPolicy {
  keepLast?: number;
  /** A whole number and h, d or w. */
  keepWithin?: string;
  keepHourly?: number;
  keepDaily?: number;
  keepWeekly?: number;
  keepMonthly?: number;
  keepYearly?: number;
  /** Ids that are kept for ever. */
  pin?: readonly string[];
  /** IANA name; hours, days, weeks, months and years are those of this zone. */
  timeZone?: string;
}

export interface RetainedSnapshot {
  id: string;
  /** The window's or trigger's time; orders snapshots and gives their age. */
  time: Date;
  /** Of the database; empty or absent where there is none. */
  identity?: string;
  /** Since when its database had this identity, as far as the run knew that took it. */
  identitySince?: Date;
}

export interface Verdict {
  id: string;
  /** Why it is kept; empty when it is to be deleted. */
  keep: string[];
}

/** The fields that keep the newest snapshot of each period, in the order of a reason's list. */
export const periodRules = {
  keepHourly: 'hour',
  keepDaily: 'day',
  keepWeekly: 'week',
  keepMonthly: 'month',
  keepYearly: 'year',
} as const satisfies Record<string, Period>;

export type PeriodRule = keyof typeof periodRules;

/** A policy needs one of these; a pin alone lets everything else go. */
export const keepRules = ['keepLast', 'keepWithin', ...(Object.keys(periodRules) as PeriodRule[])] as const;

const dayMilliseconds = 86_400_000;
const unitMilliseconds = { h: 3_600_000, d: dayMilliseconds, w: 7 * dayMilliseconds } as const;
/** A database that was made anew by accident must not rotate out the real one's last snapshot at once. */
const supersededMilliseconds = 30 * dayMilliseconds;

/** Milliseconds of a duration such as 336h, 14d or 2w. Throws for anything else. */
export function durationMilliseconds(text: string): number {
  const match = /^([1-9]\d{0,5})([hdw])$/.exec(text);
  const unit = match?.[2];
  if (match === null || (unit !== 'h' && unit !== 'd' && unit !== 'w'))
    throw new Error(`read duration "${text}": must be a whole number and h, d or w, for example 336h`);
  return Number(match[1]) * unitMilliseconds[unit];
}

/** Newest first, as rules walk. Ids order what has one time, so that every run gives the same answer. */
function newestFirst(snapshots: readonly RetainedSnapshot[]): RetainedSnapshot[] {
  return [...snapshots].sort((a, b) => b.time.getTime() - a.time.getTime() || (a.id < b.id ? 1 : -1));
}

/** Adds a reason to the newest snapshot of each of the n newest periods that have one. */
function keepPeriods(
  policy: RetentionPolicy,
  ordered: readonly RetainedSnapshot[],
  verdicts: readonly Verdict[],
): void {
  const wanted = Object.entries(periodRules).filter(([rule]) => policy[rule as PeriodRule] !== undefined);
  if (wanted.length === 0) return;
  const names = ordered.map(({ time }) => periodsOf(time.getTime(), policy.timeZone ?? 'Etc/UTC'));
  for (const [rule, period] of wanted) {
    const count = policy[rule as PeriodRule] ?? 0;
    const seen = new Set<string>();
    for (const [index, { [period]: name }] of names.entries()) {
      if (seen.has(name)) continue;
      if (seen.size >= count) break;
      seen.add(name);
      verdicts[index]?.keep.push(`${rule} ${count}: ${name}`);
    }
  }
}

/**
 * Of each identity that the database had before, the newest snapshot stays for 30 days after the identity changed. When that was, the
 * runs of the next identity have written down, so that it does not move when their first snapshot goes.
 */
function keepSuperseded(ordered: readonly RetainedSnapshot[], verdicts: readonly Verdict[], now: Date): void {
  const seen = new Set<string>();
  let since: number | undefined;
  let current = '';
  for (const [index, { time, identity = '', identitySince }] of ordered.entries()) {
    if (identity === '') continue;
    if (since !== undefined && identity !== current && !seen.has(identity)) {
      const until = since + supersededMilliseconds;
      if (now.getTime() <= until)
        verdicts[index]?.keep.push(`last of another database, until ${new Date(until).toISOString().slice(0, 10)}`);
    }
    seen.add(identity);
    current = identity;
    since = Math.min(time.getTime(), identitySince?.getTime() ?? Number.POSITIVE_INFINITY);
  }
}

/**
 * Judges committed snapshots of one owner. A snapshot is kept if any rule keeps it, and the newest always is.
 * @returns a verdict for each, newest first
 */
export function retain(policy: RetentionPolicy, snapshots: readonly RetainedSnapshot[], now: Date): Verdict[] {
  const ordered = newestFirst(snapshots);
  const within = policy.keepWithin === undefined ? undefined : durationMilliseconds(policy.keepWithin);
  const pinned = new Set(policy.pin);
  const verdicts = ordered.map(({ id, time }, index): Verdict => {
    const keep: string[] = [];
    if (index === 0) keep.push('newest');
    if (pinned.has(id)) keep.push('pinned');
    if (policy.keepLast !== undefined && index < policy.keepLast) keep.push(`keepLast ${policy.keepLast}`);
    if (within !== undefined && now.getTime() - time.getTime() <= within) keep.push(`keepWithin ${policy.keepWithin}`);
    return { id, keep };
  });
  keepPeriods(policy, ordered, verdicts);
  keepSuperseded(ordered, verdicts, now);
  return verdicts;
}

/** Ids to delete now: the oldest first, at most as many as one run may delete. */
export function deletions(verdicts: readonly Verdict[], maxDeletesPerRun: number): string[] {
  return verdicts
    .filter((verdict) => verdict.keep.length === 0)
    .map((verdict) => verdict.id)
    .reverse()
    .slice(0, maxDeletesPerRun);
}
