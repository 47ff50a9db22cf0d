// Step: the gate, "back up before this change". A new token is pending until a run that was claimed for it commits, or it fails for good.
import type { GateStatus } from '../../crds/databasebackup.gen.ts';
import { type Draft, rfc3339, shortened } from '../observed.ts';

/** In satisfiedBy: the token was there when the object was first seen, and nothing ran for it. */
export const baselineGate = 'Baseline';

/** Sees a new token, and one that is gone. What ran last stays known, so that names of Jobs do not come again. */
export function gate(draft: Draft): void {
  const { observed, status, now } = draft;
  const wanted = observed.backup.spec.gate?.token;
  const before = status.gate;
  const firstLook = (observed.backup.status?.observedGeneration ?? -1) === -1;
  if (wanted === before?.token) return;
  const lastRun = before?.lastRun === undefined ? {} : { lastRun: before.lastRun };
  if (wanted === undefined) status.gate = lastRun;
  else {
    const satisfied = firstLook ? { satisfiedBy: baselineGate } : {};
    status.gate = { token: wanted, observedAt: rfc3339(now), ...lastRun, ...satisfied };
    if (!firstLook) tell(draft, 'Normal', 'GatePending', `a backup is wanted before the change to "${wanted}"`);
  }
  // A run that was claimed for an earlier token, even for the same one before a change and back, does not count for this one.
  if (status.run !== undefined && status.run.outcome === undefined) delete status.run.gate;
}

/** A gate that waits too long fails for good. */
export function gateTimeout(draft: Draft): void {
  const { effective, status, now } = draft;
  if (pendingGate(draft) === undefined || status.gate?.observedAt === undefined) return;
  const { gateTimeoutSeconds: seconds } = effective;
  const limit = Date.parse(status.gate.observedAt) + seconds * 1000;
  if (now.getTime() < limit) draft.wake.push(limit);
  else fail(draft, `no backup was committed within ${seconds} s`);
}

/** How the run that was claimed for the gate ended. */
export function gateEnded(draft: Draft, succeeded: boolean, jobUID: string, message: string): void {
  const { status } = draft;
  if (openGate(draft) === undefined || status.run?.gate !== status.gate?.token) return;
  if (!succeeded) {
    if (pendingGate(draft) !== undefined) fail(draft, message);
    return;
  }
  const { failedAt: _, failure: __, ...rest } = status.gate ?? {};
  status.gate = { ...rest, satisfiedBy: jobUID };
  tell(draft, 'Normal', 'GateSatisfied', `the backup before the change to "${status.gate.token}" is committed`);
}

function fail(draft: Draft, failure: string): void {
  const { status, now } = draft;
  status.gate = { ...status.gate, failedAt: rfc3339(now), failure: shortened(failure, 800) };
  tell(draft, 'Warning', 'GateFailed', `the gate "${status.gate.token}" failed for good: ${failure}`);
}

function tell(draft: Draft, type: 'Normal' | 'Warning', reason: string, note: string): void {
  draft.effects.push({ kind: 'event', type, reason, action: 'Gate', note });
}

/** The gate while no run has satisfied it, whether it is pending or failed: a run that is claimed now counts for it. */
export function openGate(draft: Draft): (GateStatus & { token: string }) | undefined {
  const { gate: seen } = draft.status;
  return seen?.token === undefined || seen.satisfiedBy !== undefined ? undefined : { ...seen, token: seen.token };
}

/** The gate's token while a change waits for a backup. */
export function pendingGate(draft: Draft): string | undefined {
  const open = openGate(draft);
  return open?.failedAt === undefined ? open?.token : undefined;
}

/** While the change waits the server is still the old one: what dumped it last fits it, and rolls back to it. */
export function runImage(draft: Draft): string {
  const own = draft.observed.backup.spec.database?.image ?? '';
  return pendingGate(draft) === undefined ? own : (draft.status.lastSnapshot?.image ?? own);
}
