// Where a manual trigger stands, read from one look at the DatabaseBackup. Pure.
import type { DatabaseBackup, RunStatus } from '../crds/databasebackup.gen.ts';
import { findCondition } from '../crds/rules/conditions.ts';
import { annotations } from '../crds/rules/names.ts';
import { explain, isReason } from '../crds/rules/reasons.ts';
import { oneLine } from './output/printable.ts';

export type End =
  | { kind: 'stored'; id: string; key: string; storedSize: number | undefined }
  | { kind: 'failed'; message: string };

export type Standing =
  /** Nobody has taken it up; `why` is what the controller says of it. */
  | { kind: 'waiting'; why: string }
  | { kind: 'running'; jobUid: string; jobName: string }
  | { kind: 'ended'; end: End }
  /** Another run has taken its place in status: its Job knows how it ended. */
  | { kind: 'past'; jobUid: string }
  /** The annotation holds another value and status never named ours. */
  | { kind: 'lost' };

/** @param knownJob the Job's uid, once a look has shown it */
export function standing(backup: DatabaseBackup, token: string, knownJob: string | undefined): Standing {
  const { status, metadata } = backup;
  const handled = status?.lastHandledTrigger;
  const jobUid = handled?.token === token ? handled.jobUID : knownJob;
  if (jobUid === undefined)
    return metadata.annotations?.[annotations.trigger] === token
      ? { kind: 'waiting', why: waitingFor(backup) }
      : { kind: 'lost' };
  const run = status?.run;
  if (run?.jobUID !== jobUid) return { kind: 'past', jobUid };
  if (run.outcome === undefined) return { kind: 'running', jobUid, jobName: run.jobName };
  return { kind: 'ended', end: endOf(backup, run) };
}

function waitingFor({ status }: DatabaseBackup): string {
  const ready = findCondition(status?.conditions, 'Ready');
  if (ready?.status === 'False') return `the controller refuses the spec (${ready.reason}): ${oneLine(ready.message)}`;
  const locked = findCondition(status?.conditions, 'Locked');
  if (locked?.status === 'True') return `queued: ${oneLine(locked.message)}`;
  const run = status?.run;
  if (run !== undefined && run.outcome === undefined) return `queued behind the run ${oneLine(run.jobName)}`;
  return 'waiting for the controller';
}

function endOf({ status }: DatabaseBackup, run: RunStatus): End {
  if (run.outcome !== 'Succeeded') return failure(run.reason ?? run.outcome ?? 'Unknown', run.message ?? '');
  const { id, key, storedSize } = status?.lastSnapshot ?? {};
  if (id === undefined || key === undefined) return failure('Unknown', 'status names no snapshot');
  return { kind: 'stored', id, key, storedSize };
}

/** Reason, sentence and fix, of which the controller's message may already hold the last two. */
export function failure(reason: string, detail: string): Extract<End, { kind: 'failed' }> {
  const text = oneLine(detail);
  const known = isReason(reason) ? reason : undefined;
  const sentence = text.includes(' Fix: ') || known === undefined ? text : explain(known, text.replace(/\.$/, ''));
  return { kind: 'failed', message: `backup failed (${oneLine(reason)}): ${sentence}` };
}
