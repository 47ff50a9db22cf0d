// Step: what people and GitOps tools read. Ready says that the spec is accepted, BackupHealthy that backups work.
import { sentence } from '../../crds/rules/validate.ts';
import type { Draft } from '../observed.ts';

export function conditions(draft: Draft): void {
  const wanted = draft.conditions.filter(
    ({ type }) => type !== 'Ready' && type !== 'Stalled' && type !== 'BackupHealthy',
  );
  const errors = draft.findings;
  if (errors.length > 0) {
    const message = errors.map(sentence).join('; ').slice(0, 1024);
    wanted.unshift(
      { type: 'Ready', status: 'False', reason: 'InvalidSpec', message },
      { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message },
    );
  } else wanted.unshift({ type: 'Ready', status: 'True', reason: 'Accepted', message: 'The spec is accepted.' });
  wanted.push(healthy(draft));
  draft.conditions = wanted;
}

function healthy(draft: Draft): Draft['conditions'][number] {
  const { status, observed } = draft;
  const type = 'BackupHealthy';
  // A Job of an earlier object that is being removed is in the way for a moment only.
  if (observed.conflict !== undefined && !observed.conflict.transient)
    return { type, status: 'False', reason: observed.conflict.reason, message: observed.conflict.message };
  if (status.failureReason !== undefined)
    return {
      type,
      status: 'False',
      reason: status.failureReason,
      message: (status.failureMessage ?? '').slice(0, 1024),
    };
  if (status.lastSuccessfulBackup === undefined)
    return { type, status: 'Unknown', reason: 'NeverSucceeded', message: 'No backup has succeeded yet.' };
  return {
    type,
    status: 'True',
    reason: 'LastRunSucceeded',
    message: `The last run committed ${status.lastSnapshot?.id ?? 'a snapshot'}.`,
  };
}
