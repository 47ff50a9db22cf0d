// What a Job is for, as its annotations say.
import { annotations } from '../crds/rules/names.ts';

export type Purpose =
  | { kind: 'Schedule'; slot: string }
  | { kind: 'Manual'; token: string }
  | { kind: 'Gate'; token: string }
  /** Somebody wrote something else there. */
  | { kind: 'Unreadable' };

export function purposeOf(job: { metadata: { annotations?: Record<string, string> } }): Purpose {
  const {
    [annotations.slot]: slot,
    [annotations.token]: token,
    [annotations.gate]: gate,
  } = job.metadata.annotations ?? {};
  if (slot !== undefined && !Number.isNaN(Date.parse(slot))) return { kind: 'Schedule', slot };
  if (token !== undefined) return { kind: 'Manual', token };
  return gate === undefined ? { kind: 'Unreadable' } : { kind: 'Gate', token: gate };
}

/** The window that a Job is for; undefined for one that is for something else. */
export function slotOf(job: { metadata: { annotations?: Record<string, string> } }): string | undefined {
  const purpose = purposeOf(job);
  return purpose.kind === 'Schedule' ? purpose.slot : undefined;
}
