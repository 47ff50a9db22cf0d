// The one status write of a reconcile: made from a before/after pair, and not at all when nothing changed.
import type { Backup } from './objects.ts';
import type { Decision } from './observed.ts';

/** The object to write, or undefined when it would change nothing. It carries the resourceVersion that was decided from. */
export function statusWrite(before: Backup, decision: Decision): Backup | undefined {
  if (sameJson(before.status ?? {}, decision.status)) return undefined;
  return { ...before, status: decision.status };
}

/** A launch that has just begun is claimed in a look or two: what only tells of the window after it is written with the claim. */
export function canWait(before: Backup, { effects, status }: Decision): boolean {
  const begins = effects.some(({ kind }) => kind === 'createJob' || kind === 'takeLock');
  if (!begins || effects.some(({ kind }) => kind === 'event')) return false;
  const { nextScheduledBackup: _, ...rest } = status;
  const { nextScheduledBackup: __, ...known } = before.status ?? {};
  return sameJson(rest, known);
}

/** How a run ended, what was missed and what became of a gate: nothing else would tell of it. */
export function mustStand(before: Backup, { finished, status }: Decision): boolean {
  const { missedWindows = 0, gate } = before.status ?? {};
  return finished !== undefined || status.missedWindows !== missedWindows || !sameJson(status.gate, gate);
}

/** The decision without what it says of the backup's health, unless a run has ended: it does not know what stands in the way. */
export function withoutNews(before: Backup, decision: Decision): Decision {
  const known = before.status?.conditions?.find(({ type }) => type === 'BackupHealthy');
  if (decision.finished !== undefined || known === undefined) return decision;
  const conditions = decision.status.conditions?.map((one) => (one.type === known.type ? known : one));
  return { ...decision, status: { ...decision.status, ...(conditions && { conditions }) } };
}

/** Whether two values travel as the same JSON: a field that is undefined is none, and the order of fields says nothing. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameJson(item, b[index]))
    );
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const key in one) if (!sameJson(one[key], other[key])) return false;
  for (const key in other) if (one[key] === undefined && other[key] !== undefined) return false;
  return true;
}

/** A copy of JSON, to be changed. structuredClone would do, and takes several times as long. */
export function copyOfJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copyOfJson) as T;
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const key in value) copy[key] = copyOfJson(value[key]);
  return copy as T;
}
