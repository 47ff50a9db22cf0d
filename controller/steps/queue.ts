// Step: the Jobs that wait. A trigger asks for one, what is spent or outdated goes, the oldest is launched when the lock is free.

import { longestToken } from '../../crds/rules/admission/object-rules.ts';
import { annotations, leaseName, specHash, triggerJobName, windowJobName } from '../../crds/rules/names.ts';
import { buildJob, jobDeadlineSeconds } from '../job.ts';
import { type Holder, holderOf, isFree } from '../lock.ts';
import { type Job, jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import { slotOf } from './time.ts';

/** Beyond the Job's own deadline, for pods that take their time to end. */
const lockSlackSeconds = 600;
/** Foreign holders are not watched unless they carry our label: look at them this often. */
const lockLookMilliseconds = 15_000;

/** Unstarted, unfinished Jobs of this backup that no claim names. */
function waiting(draft: Draft): Job[] {
  const claimed = draft.status.run;
  return draft.observed.jobs.filter(
    (job) =>
      jobEnd(job) === undefined &&
      job.metadata.annotations?.[annotations.started] === undefined &&
      job.metadata.deletionTimestamp === undefined &&
      !(claimed?.jobUID === job.metadata.uid && claimed.outcome === undefined),
  );
}

/** The trigger annotation's value when it asks for a backup that has not been claimed. */
export function pendingToken(draft: Draft): string | undefined {
  const token = draft.observed.backup.metadata.annotations?.[annotations.trigger];
  // Longer ones the webhook refuses; while it is away they are passed over, so that status stays small.
  if (token !== undefined && token.length > longestToken) return undefined;
  return token === undefined || token === '' || token === draft.status.lastHandledTrigger?.token ? undefined : token;
}

/** Waiting Jobs that must not run any more are deleted; those of another spec are made again under the same name. */
export function outdated(draft: Draft): void {
  const { observed, status, effective } = draft;
  const hash = specHash(observed.backup.spec);
  for (const job of waiting(draft)) {
    const slot = slotOf(job);
    const token = job.metadata.annotations?.[annotations.token];
    const spent =
      slot === undefined
        ? token === undefined || token === status.lastHandledTrigger?.token || token !== pendingToken(draft)
        : status.lastAttemptScheduledTime !== undefined &&
          Date.parse(slot) <= Date.parse(status.lastAttemptScheduledTime);
    const stopped = slot !== undefined && (effective.suspend || observed.backup.spec.schedule === undefined);
    const { name, uid } = job.metadata;
    if (spent || stopped || draft.findings.length > 0) {
      const why = spent
        ? 'what it is for has been handled'
        : stopped
          ? 'the schedule is stopped'
          : 'the spec is not valid';
      draft.effects.push({ kind: 'deleteJob', name, uid, why });
    } else if (job.metadata.annotations?.[annotations.specHash] !== hash) {
      draft.effects.push({ kind: 'deleteJob', name, uid, why: 'the spec has changed' });
      draft.effects.push({ kind: 'createJob', name, job: rebuilt(draft, job) });
    }
  }
}

function rebuilt(draft: Draft, job: Job): object {
  const { backup } = draft.observed;
  const slot = slotOf(job);
  const trigger =
    slot === undefined
      ? ({
          kind: 'Manual',
          token: job.metadata.annotations?.[annotations.token] ?? '',
          time: rfc3339(draft.now),
        } as const)
      : ({ kind: 'Schedule', slot } as const);
  const name = slot === undefined ? job.metadata.name : windowJobName(backup.metadata.name, new Date(slot));
  return buildJob({ backup, settings: draft.settings, name, trigger });
}

/** A pending trigger is served by a Job that waits already; without one it gets its own. */
export function trigger(draft: Draft): void {
  const token = pendingToken(draft);
  if (token === undefined || draft.findings.length > 0) return;
  if (waiting(draft).length > 0 || draft.effects.some(({ kind }) => kind === 'createJob')) return;
  const { backup } = draft.observed;
  const { name: backupName, uid } = backup.metadata;
  const name = triggerJobName(backupName, uid, token, draft.status.lastHandledTrigger?.jobUID ?? '');
  if (draft.observed.conflict?.jobName === name) return;
  const job = buildJob({
    backup,
    settings: draft.settings,
    name,
    trigger: { kind: 'Manual', token, time: rfc3339(draft.now) },
  });
  draft.effects.push({ kind: 'createJob', job, name });
}

/** The lock of this backup's own ended Job is given back. */
export function release(draft: Draft): void {
  const holder = holderOf(draft.observed.lock);
  const { lease } = draft.observed.lock;
  if (lease === undefined || holder.kind !== 'job' || holder.alive) return;
  draft.effects.push({ kind: 'releaseLock', lease, jobName: holder.name, jobUid: holder.uid });
}

/** One step of the launch: take the lock, claim, start. Each is decided from what is to be seen, so each may be repeated. */
export function launch(draft: Draft): void {
  const { status, observed, effective, now } = draft;
  // Changes to the Jobs come first; what they lead to is seen in the next look.
  if (draft.effects.some(({ kind }) => kind !== 'event')) return;
  // An outcome that this look found must be stored before another run takes its place.
  if (status.run?.outcome !== observed.backup.status?.run?.outcome) return;
  const claimed = status.run?.outcome === undefined ? status.run : undefined;
  const job =
    claimed === undefined ? waiting(draft)[0] : observed.jobs.find(({ metadata }) => metadata.uid === claimed.jobUID);
  if (job === undefined || jobEnd(job) !== undefined || job.metadata.annotations?.[annotations.started] !== undefined)
    return;
  const holder = holderOf(observed.lock);
  const holdsIt = holder.kind === 'job' && holder.uid === job.metadata.uid;
  if (!holdsIt) {
    if (!mayTake(draft, job, holder)) return;
    const durationSeconds = jobDeadlineSeconds(observed.backup) + lockSlackSeconds;
    const name = leaseName(effective.cluster);
    draft.effects.push({ kind: 'takeLock', leaseName: name, lease: observed.lock.lease, job, durationSeconds });
  } else if (claimed === undefined) claim(draft, job);
  else {
    const lastSize = status.lastSnapshot?.storedSize ?? 0;
    draft.effects.push({ kind: 'startJob', job, leaseName: leaseName(effective.cluster), lastSize });
    draft.wake.push(now.getTime() + draft.settings.startTimeoutSeconds * 1000);
  }
}

function mayTake(draft: Draft, job: Job, holder: Holder): boolean {
  const { observed, settings, now } = draft;
  if (!isFree(holder, now.getTime())) {
    locked(draft, holder, job);
    return false;
  }
  if (observed.line[0] !== undefined && observed.line[0] !== job.metadata.uid) return false;
  const full =
    observed.running.overall >= settings.maxRunning || observed.running.namespace >= settings.maxRunningPerNamespace;
  if (full) draft.wake.push(now.getTime() + lockLookMilliseconds);
  return !full;
}

/** Waiting for the lock is a visible condition after a minute. */
function locked(draft: Draft, holder: Holder, job: Job): void {
  const { now } = draft;
  draft.wake.push(now.getTime() + lockLookMilliseconds);
  if (now.getTime() - Date.parse(job.metadata.creationTimestamp) < 60_000) return;
  const name = leaseName(draft.effective.cluster);
  const by =
    holder.kind === 'foreign'
      ? `"${holder.identity}" since ${holder.since}`
      : `Job ${holder.kind === 'job' ? holder.name : ''}`;
  draft.conditions.push({
    type: 'Locked',
    status: 'True',
    reason: 'LockHeld',
    message: `Waiting for the lock, Lease ${name}, held by ${by}.`,
  });
}

/** The claim: from here on the window or the token is spent, whatever happens to the Job. */
function claim(draft: Draft, job: Job): void {
  const { status, now } = draft;
  const slot = slotOf(job);
  const token = pendingToken(draft);
  const { name: jobName, uid: jobUID } = job.metadata;
  status.run = {
    trigger: slot === undefined ? 'Manual' : 'Schedule',
    ...(slot === undefined ? {} : { slot }),
    ...(token === undefined ? {} : { token }),
    jobName,
    jobUID,
    claimedAt: rfc3339(now),
  };
  if (slot !== undefined) status.lastAttemptScheduledTime = slot;
  if (token !== undefined) status.lastHandledTrigger = { token, jobUID };
  status.phase = 'Pending';
}
