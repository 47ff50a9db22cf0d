// Step: what people and GitOps tools read. Ready says that the spec is accepted and no gate is open, BackupHealthy that backups work.
import type { NewCondition } from '../../crds/rules/conditions.ts';
import { annotations } from '../../crds/rules/names.ts';
import { explain } from '../../crds/rules/reasons.ts';
import { sentence } from '../../crds/rules/validate.ts';
import { type Draft, shortened } from '../observed.ts';
import { openGate } from './gate.ts';
import { overdueSince } from './time.ts';
import { hasBadToken } from './waiting.ts';

const longestMessage = 1024;
const ready = (status: 'True' | 'False', reason: string, message: string): NewCondition => ({
  type: 'Ready',
  status,
  reason,
  message: shortened(message, longestMessage),
});
/** Present only while True. */
const also = (type: 'Stalled' | 'Reconciling', { reason, message }: NewCondition): NewCondition => ({
  type,
  status: 'True',
  reason,
  message,
});

export function conditions(draft: Draft): void {
  draft.conditions = [...acceptance(draft), healthy(draft), ...draft.conditions, ...shared(draft)];
  announce(draft);
}

/** What keeps a run from starting is told when it is first seen; runs that end tell by themselves. */
function announce(draft: Draft): void {
  const { observed, trouble } = draft;
  const found = observed.conflict?.transient === false ? observed.conflict : trouble;
  if (found === undefined) return;
  const before = observed.backup.status?.conditions?.find(({ type }) => type === 'BackupHealthy');
  if (before?.reason === found.reason) return;
  draft.effects.push({ kind: 'event', type: 'Warning', reason: found.reason, action: 'Start', note: found.message });
}

function acceptance(draft: Draft): NewCondition[] {
  if (draft.findings.length > 0) {
    const invalid = ready('False', 'InvalidSpec', draft.findings.map(sentence).join('; '));
    return [invalid, also('Stalled', invalid)];
  }
  const gate = openGate(draft);
  if (gate === undefined) {
    const stopped = draft.effective.suspend ? ' The schedule is suspended.' : '';
    const unheard = hasBadToken(draft)
      ? ` The annotation ${annotations.trigger} asks for nothing: its value is not a plain text of at most 253 characters. Fix: use a short token, for example a date.`
      : '';
    return [ready('True', 'Accepted', `The spec is accepted.${stopped}${unheard}`)];
  }
  if (gate.failedAt === undefined) {
    const pending = ready(
      'False',
      'GatePending',
      `Waiting for a backup before the change to "${gate.token}": ${progress(draft)}.`,
    );
    return [pending, also('Reconciling', pending)];
  }
  const why = `the backup before the change to "${gate.token}" failed: ${gate.failure ?? ''}`;
  if (draft.observed.backup.spec.gate?.onFailure === 'Allow')
    return [ready('True', 'GateOverridden', `onFailure is Allow, and ${why}`)];
  const failed = ready('False', 'GateFailed', `${why}. Fix: take a backup that succeeds, or change the token`);
  return [failed, also('Stalled', failed)];
}

function progress({ status, observed }: Draft): string {
  if (status.run?.outcome === undefined && status.run?.gate !== undefined) return `Job ${status.run.jobName} runs`;
  return observed.jobs.some(({ spec }) => spec.suspend === true)
    ? 'its Job waits for its turn'
    : 'its Job is being made';
}

function healthy(draft: Draft): NewCondition {
  const { status, observed, trouble } = draft;
  const say = (value: NewCondition['status'], reason: string, message: string): NewCondition => ({
    type: 'BackupHealthy',
    status: value,
    reason,
    message: shortened(message, longestMessage),
  });
  // A Job of an earlier object that is being removed is in the way for a moment only.
  if (observed.conflict !== undefined && !observed.conflict.transient)
    return say('False', observed.conflict.reason, observed.conflict.message);
  if (trouble !== undefined) return say('False', trouble.reason, explain(trouble.reason, trouble.message));
  if (status.failureReason !== undefined) return say('False', status.failureReason, status.failureMessage ?? '');
  const overdue = overdueSince(draft);
  if (overdue !== undefined)
    return say(
      'False',
      'Overdue',
      `The window of ${overdue} did not run. Fix: see Locked and the events for what held it up.`,
    );
  if (status.gate?.failure !== undefined && openGate(draft) !== undefined)
    return say('False', 'GateFailed', status.gate.failure);
  if (status.lastSuccessfulBackup === undefined)
    return say('Unknown', 'NeverSucceeded', 'No backup has succeeded yet.');
  return say('True', 'LastRunSucceeded', `The last run committed ${status.lastSnapshot?.id ?? 'a snapshot'}.`);
}

/** Others write to the same place: each leaves what it does not own alone, but a person should know. */
function shared({ observed, status }: Draft): NewCondition[] {
  const say = (reason: string, message: string): NewCondition[] => [
    { type: 'PlaceShared', status: 'True', reason, message: shortened(message, longestMessage) },
  ];
  const [first, ...rest] = observed.samePlace;
  if (first !== undefined) {
    const more = rest.length === 0 ? '' : ` and ${rest.length} more`;
    return say(
      'OtherBackup',
      `DatabaseBackup "${first}"${more} has the same storage, prefix and cluster. Fix: give one of them another pathPrefix.`,
    );
  }
  const { foreignSnapshots = 0 } = status;
  if (foreignSnapshots === 0) return [];
  return say(
    'OtherCluster',
    `${foreignSnapshots} snapshot(s) of another Kubernetes cluster are in the same place; they are listed and never deleted from here.`,
  );
}
