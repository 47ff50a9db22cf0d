// Which snapshots are kept and why. Pure: the executor's prune and the plugin's explanations give the same answer.

export interface RetentionPolicy {
  keepLast?: number;
  /** A whole number and h, d or w. */
  keepWithin?: string;
}

export interface RetainedSnapshot {
  id: string;
  /** The window's or trigger's time; orders snapshots and gives their age. */
  time: Date;
}

export interface Verdict {
  id: string;
  /** Why it is kept; empty when it is to be deleted. */
  keep: string[];
}

const unitMilliseconds = { h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** Milliseconds of a duration such as 336h, 14d or 2w. Throws for anything else. */
export function durationMilliseconds(text: string): number {
  const match = /^([1-9]\d{0,5})([hdw])$/.exec(text);
  const unit = match?.[2];
  if (match === null || (unit !== 'h' && unit !== 'd' && unit !== 'w'))
    throw new Error(`read duration "${text}": must be a whole number and h, d or w, for example 336h`);
  return Number(match[1]) * unitMilliseconds[unit];
}

/**
 * Judges committed snapshots of one owner. A snapshot is kept if any rule keeps it, and the newest always is.
 * @returns a verdict for each, newest first
 */
export function retain(policy: RetentionPolicy, snapshots: readonly RetainedSnapshot[], now: Date): Verdict[] {
  const ordered = [...snapshots].sort((a, b) => b.time.getTime() - a.time.getTime() || (a.id < b.id ? 1 : -1));
  const within = policy.keepWithin === undefined ? undefined : durationMilliseconds(policy.keepWithin);
  return ordered.map((snapshot, index) => {
    const keep: string[] = [];
    if (index === 0) keep.push('newest');
    if (policy.keepLast !== undefined && index < policy.keepLast) keep.push(`keepLast ${policy.keepLast}`);
    if (within !== undefined && now.getTime() - snapshot.time.getTime() <= within)
      keep.push(`keepWithin ${policy.keepWithin}`);
    return { id: snapshot.id, keep };
  });
}

/** Ids to delete now: the oldest first, at most as many as one run may delete. */
export function deletions(verdicts: readonly Verdict[], maxDeletesPerRun: number): string[] {
  return verdicts
    .filter((verdict) => verdict.keep.length === 0)
    .map((verdict) => verdict.id)
    .reverse()
    .slice(0, maxDeletesPerRun);
}
