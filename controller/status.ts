// The one status write of a reconcile: made from a before/after pair, and not at all when nothing changed.
import { canonical } from '../crds/rules/names.ts';
import type { Backup } from './objects.ts';
import type { Decision } from './observed.ts';

/** The object to write, or undefined when it would change nothing. It carries the resourceVersion that was decided from. */
export function statusWrite(before: Backup, decision: Decision): Backup | undefined {
  if (canonical(before.status ?? {}) === canonical(decision.status)) return undefined;
  return { ...before, status: decision.status };
}
