// Step: the claimed run. Sees it start, sees it end, and writes down how, once.

import type { Inventory } from '../../crds/rules/contract.ts';
import { annotations, labels } from '../../crds/rules/names.ts';
import { explain } from '../../crds/rules/reasons.ts';
import { longestBackoffSeconds, startLimitSeconds } from '../job.ts';
import { endedAt, isStarted, type Job, jobEnd, type Pod, podEnded } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import {
  endOf,
  newest,
  type Outcome,
  outcomeOf,
  outcomeWithoutJob,
  startFailedAnnotation,
  startTrouble,
  timeOf,
} from '../outcome.ts';
import { gateEnded } from './gate.ts';

export function run(draft: Draft): void {
  const { observed, status, now } = draft;
  const claimed = status.run;
  if (claimed === undefined || claimed.outcome !== undefined) return;
  const job = observed.jobs.find(({ metadata }) => metadata.uid === claimed.jobUID);
  if (job === undefined) {
    if (!observed.claimedIsGone) return;
    const outcome = outcomeWithoutJob(observed.pods);
    if (outcome === undefined) draft.wake.push(now.getTime() + unwatchedLookMilliseconds);
    else record(draft, outcome);
    return;
  }
  const outcome = outcomeOf(job, observed.pods);
  if (outcome !== undefined) {
    record(draft, outcome, job);
    return;
  }
  const working = observed.pods.some(hasBegun);
  if (observed.pods.some((pod) => hasBegun(pod) && !podEnded(pod))) delete claimed.podGoneAt;
  else if (working ? isWithoutPod(draft) : status.phase === 'Running') claimed.podGoneAt = rfc3339(now);
  status.phase = working ? 'Running' : 'Pending';
  // Without our label nobody tells of its end.
  if (job.metadata.labels?.[labels.managedBy] === undefined) draft.wake.push(now.getTime() + unwatchedLookMilliseconds);
  watchStart(draft, job);
}

const hasBegun = ({ status }: Pod): boolean => status?.phase !== undefined && status.phase !== 'Pending';

/**
 * All that is left are pods that failed, a while ago or nobody knows when. Another may have worked meanwhile and have been drained away, and a
 * node that was lost tells late: the wait for the next one is counted from when this is first seen.
 */
function isWithoutPod({ observed: { pods, graceMilliseconds }, status, now }: Draft): boolean {
  if (status.run?.podGoneAt !== undefined || !pods.every((pod) => pod.status?.phase === 'Failed')) return false;
  return Math.max(...pods.map((pod) => endOf(pod) ?? 0)) + graceMilliseconds <= now.getTime();
}

/** What is not watched, as a Job whose labels somebody took, is looked at this often. */
const unwatchedLookMilliseconds = 30_000;

const troubleLookMilliseconds = 30_000;

/** A Job whose pod does not come to work is said to be in trouble, and within the start timeout ended, with the reason that is to be seen. */
function watchStart(draft: Draft, job: Job): void {
  const { observed, now } = draft;
  if (!isStarted(job) || job.metadata.annotations?.[startFailedAnnotation] !== undefined) return;
  const { since, another } = waitOf(draft, job);
  // Another pod is late on purpose: only what has been refused since is trouble.
  const events = another ? observed.events.filter((event) => Date.parse(timeOf(event)) >= since) : observed.events;
  const trouble = startTrouble(observed.pods, events);
  if (trouble === undefined) return;
  const limit = since + startSeconds(draft, another) * 1000;
  const look = since + observed.graceMilliseconds;
  const next = now.getTime() + troubleLookMilliseconds;
  if (now.getTime() >= limit) {
    draft.effects.push({ kind: 'failStart', job, ...trouble });
    draft.wake.push(next);
  } else draft.wake.push(Math.min(now.getTime() < look ? Math.min(look, next) : next, limit));
  if (now.getTime() >= look && (!another || newest(events) !== undefined)) draft.trouble = trouble;
}

/** How long the run may wait. A pod that is yet to be made has no deadline of its own that could come first. */
function startSeconds({ observed: { pods, backup }, settings }: Draft, another: boolean): number {
  if (another) return settings.startTimeoutSeconds + longestBackoffSeconds;
  return pods.length === 0 ? settings.startTimeoutSeconds : startLimitSeconds(backup, settings);
}

/** Since when the run waits for a pod that works, in ms, and whether it is another, that is still to be made after one that has gone. */
function waitOf({ observed, status }: Draft, job: Job): { since: number; another: boolean } {
  const { claimedAt = '', podGoneAt = '' } = status.run ?? {};
  // The annotation is anybody's to change who may edit the Job.
  const started = Date.parse(job.metadata.annotations?.[annotations.started] ?? '') || Date.parse(claimedAt);
  const gone = Date.parse(podGoneAt) || 0;
  // A further pod, after one that failed, has the whole time for itself.
  const pods = observed.pods.map((pod) => endOf(pod) ?? Date.parse(pod.metadata.creationTimestamp));
  const another = observed.pods.every(podEnded) && (observed.pods.length > 0 || gone > 0);
  return { since: Math.max(started, gone, ...pods), another };
}

/** Writes the outcome into status. It comes with the status it was read from, so that it is counted exactly once. */
function record(draft: Draft, outcome: Outcome, job?: Job): void {
  const { status, now, observed } = draft;
  const claimed = status.run;
  if (claimed === undefined) return;
  const { success, inventory, reason, message } = outcome;
  // It waits for no pod any more, also when nobody has seen the last one work.
  const { podGoneAt: _, ...ended } = claimed;
  status.run = {
    ...ended,
    outcome: outcome.outcome,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(success === undefined ? {} : { dumpStartedAt: success.dumpStartedAt }),
    finishedAt: (job && endedAt(job)) ?? rfc3339(now),
  };
  if (success !== undefined) {
    const image = claimed.image ?? observed.backup.spec.database?.image ?? '';
    const { id, key, size, storedSize, sha256, dumpStartedAt, durationSeconds, engineVersion, identity, encrypted } =
      success;
    status.lastSnapshot = {
      id,
      key,
      size,
      storedSize,
      sha256,
      dumpStartedAt,
      durationSeconds,
      engineVersion,
      image,
      identity,
      encrypted,
    };
  }
  if (outcome.outcome === 'Succeeded') {
    // Without a result nobody knows when the dump started, only that it was not before the claim.
    status.lastSuccessfulBackup = success?.dumpStartedAt ?? claimed.claimedAt;
    status.consecutiveFailures = 0;
    delete status.failureReason;
    delete status.failureMessage;
    status.phase = 'Succeeded';
  } else {
    status.phase = 'Failed';
    // Who cancels a run knows of it: whether backups work is as it was.
    if (outcome.outcome === 'Failed') {
      status.failureReason = reason ?? 'Unknown';
      status.failureMessage = message ?? explain('Unknown', '');
      status.consecutiveFailures = (status.consecutiveFailures ?? 0) + 1;
    }
  }
  if (inventory !== undefined) {
    // What a run could not list is as it was before.
    const { snapshots, count, foreign } = inventory;
    if (snapshots !== undefined) status.snapshots = snapshots.slice(0, 25);
    if (count !== undefined) status.snapshotCount = count;
    if (foreign !== undefined) status.foreignSnapshots = foreign;
    setRetained(draft, inventory);
  }
  const said = `${reason ?? 'Unknown'}: ${message ?? ''}`;
  gateEnded(draft, outcome.outcome === 'Succeeded', claimed.jobUID, said);
  draft.finished = {
    result: outcome.outcome,
    ...(reason === undefined ? {} : { reason }),
    ...(success === undefined ? {} : { durationSeconds: success.durationSeconds }),
    ...(inventory?.deleted === undefined ? {} : { deleted: inventory.deleted }),
  };
  announce(draft, outcome, claimed.jobName);
}

function setRetained(draft: Draft, { pruneError, locked = 0 }: Inventory): void {
  draft.conditions = draft.conditions.filter(({ type }) => type !== 'Retained');
  const waiting = locked === 0 ? '' : ` The bucket still locks ${locked} that no rule keeps; a later run deletes them.`;
  const message = `The last run pruned as spec.retention says.${waiting}`;
  draft.conditions.push(
    pruneError === ''
      ? { type: 'Retained', status: 'True', reason: 'Pruned', message }
      : { type: 'Retained', status: 'False', reason: 'PruneFailed', message: pruneError },
  );
}

function announce(draft: Draft, outcome: Outcome, jobName: string): void {
  const good = outcome.outcome === 'Succeeded';
  draft.effects.push({
    kind: 'event',
    type: good ? 'Normal' : 'Warning',
    reason: good ? 'BackupSucceeded' : outcome.outcome === 'Canceled' ? 'BackupCanceled' : 'BackupFailed',
    action: 'Backup',
    note: good
      ? `snapshot ${outcome.success?.id ?? '(its result is lost)'} is committed (Job ${jobName})`
      : `${outcome.reason}: ${outcome.message} (Job ${jobName})`,
  });
}

/** Ended Jobs beyond the history limits go, oldest first. Never that of status.run: its outcome may not be in status yet. */
export function history(draft: Draft): void {
  const { observed, effective } = draft;
  prune(draft, 'Complete', effective.successfulJobsHistoryLimit);
  prune(draft, 'Failed', effective.failedJobsHistoryLimit);
  // A canceled Job stays suspended for ever; once its outcome is stored nothing needs it.
  const stored = observed.backup.status?.run;
  const canceled = observed.jobs.find(({ metadata }) => metadata.uid === stored?.jobUID);
  if (canceled !== undefined && stored?.outcome === 'Canceled' && jobEnd(canceled) === undefined)
    remove(draft, canceled, 'it was canceled');
}

function prune(draft: Draft, end: 'Complete' | 'Failed', keep: number): void {
  const jobs = draft.observed.jobs.filter((job) => jobEnd(job) === end);
  const claimed = [draft.status.run?.jobUID, draft.observed.backup.status?.run?.jobUID];
  for (const job of jobs.slice(0, Math.max(0, jobs.length - keep)))
    if (!claimed.includes(job.metadata.uid) && !isOfLaterClaim(draft, job)) remove(draft, job, 'history limit');
}

/**
 * A Job that was started after the claim that is stored has one of its own, which the cache does not show yet. The claim of this very look is none
 * to go by: the server refuses it then, and the Job would be gone before that.
 */
function isOfLaterClaim({ observed }: Draft, job: Job): boolean {
  const started = job.metadata.annotations?.[annotations.started];
  const { claimedAt = '' } = observed.backup.status?.run ?? {};
  return started !== undefined && !(Date.parse(started) < Date.parse(claimedAt));
}

function remove(draft: Draft, job: Job, why: string): void {
  if (job.metadata.deletionTimestamp !== undefined) return;
  draft.effects.push({ kind: 'deleteJob', name: job.metadata.name, uid: job.metadata.uid, why });
}
