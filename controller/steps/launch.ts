// Step: the launch, one write a look: take the lock, claim, start. And the lock given back.
import { containers } from '../../crds/rules/contract.ts';
import { leaseName } from '../../crds/rules/names.ts';
import { jobDeadlineSeconds } from '../job.ts';
import { type Holder, holderOf, isFree } from '../lock.ts';
import { isStarted, type Job, jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import { purposeOf } from '../purpose.ts';
import { openGate } from './gate.ts';
import { countForClaim } from './time.ts';
import { pendingToken, waiting } from './waiting.ts';

/** Beyond the Job's own deadline, for pods that take their time to end. */
const lockSlackSeconds = 600;
/** Foreign holders are not watched unless they carry our label: look at them this often. */
const lockLookMilliseconds = 15_000;
/** Room under the caps is told of by the Jobs that end; this is for what is told to nobody. */
const capLookMilliseconds = 60_000;
/** Waiting for the lock is a visible condition after this. */
const lockedAfterMilliseconds = 60_000;

/** The lock of this backup's own ended Job is given back. */
export function release(draft: Draft): void {
  const holder = holderOf(draft.observed.lock);
  const { lease } = draft.observed.lock;
  if (lease === undefined || holder.kind !== 'job' || holder.alive) return;
  draft.effects.push({ kind: 'releaseLock', lease, jobName: holder.name, jobUid: holder.uid });
  // A Lease that has lost our label, or never had it, is not watched: nobody else would tell that it is free.
  if (waiting(draft).length > 0) draft.wake.push(draft.now.getTime());
}

/** One step of the launch. Each is decided from what is to be seen, so each may be repeated. */
export function launch(draft: Draft): void {
  const { status, observed, effective, now } = draft;
  // Changes to the Jobs come first; what they lead to is seen in the next look.
  if (draft.effects.some(({ kind }) => kind !== 'event')) return;
  // An outcome that this look found must be stored before another run takes its place.
  if (status.run?.outcome !== observed.backup.status?.run?.outcome) return;
  const claimed = status.run?.outcome === undefined ? status.run : undefined;
  const holder = holderOf(observed.lock);
  const job =
    claimed === undefined ? next(draft, holder) : observed.jobs.find(({ metadata }) => metadata.uid === claimed.jobUID);
  if (job === undefined || jobEnd(job) !== undefined || isStarted(job)) return;
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

/** The waiting Job that is launched. One that was made later may stand before the one that has the lock: of one second the name decides. */
function next(draft: Draft, holder: Holder): Job | undefined {
  const jobs = waiting(draft);
  return jobs.find(({ metadata }) => holder.kind === 'job' && metadata.uid === holder.uid) ?? jobs[0];
}

function mayTake(draft: Draft, job: Job, holder: Holder): boolean {
  const { observed, settings, now } = draft;
  if (!isFree(holder, now.getTime())) {
    locked(draft, holder, job);
    return false;
  }
  if (observed.line[0] !== undefined && observed.line[0] !== job.metadata.uid) return false;
  const { overall, namespace } = observed.running;
  draft.full = overall >= settings.maxRunning || namespace >= settings.maxRunningPerNamespace;
  if (draft.full) draft.wake.push(now.getTime() + capLookMilliseconds);
  return !draft.full;
}

function locked(draft: Draft, holder: Holder, job: Job): void {
  const { now } = draft;
  const runsOut = holder.kind === 'foreign' ? holder.until : undefined;
  draft.wake.push(Math.min(now.getTime() + lockLookMilliseconds, runsOut ?? Infinity));
  if (now.getTime() - Date.parse(job.metadata.creationTimestamp) < lockedAfterMilliseconds) return;
  const name = leaseName(draft.effective.cluster);
  const message = `Waiting for the lock, Lease ${name}, held by ${inWords(holder)}.`;
  draft.conditions.push({ type: 'Locked', status: 'True', reason: 'LockHeld', message });
  const known = draft.observed.backup.status?.conditions?.some(({ type }) => type === 'Locked');
  if (known !== true)
    draft.effects.push({ kind: 'event', type: 'Normal', reason: 'LockWaiting', action: 'Lock', note: message });
}

function inWords(holder: Holder): string {
  if (holder.kind === 'free') return 'nobody';
  const who = holder.kind === 'foreign' ? `"${holder.identity}"` : `Job ${holder.name}`;
  return `${who}${holder.since === '' ? '' : ` since ${holder.since}`}`;
}

/** The claim: from here on the window, the token or the gate is spent, whatever happens to the Job. */
function claim(draft: Draft, job: Job): void {
  const { status, observed, now } = draft;
  const purpose = purposeOf(job);
  const token = pendingToken(draft);
  const gate = openGate(draft)?.token;
  const { name: jobName, uid: jobUID } = job.metadata;
  status.run = {
    trigger: purpose.kind === 'Unreadable' ? 'Manual' : purpose.kind,
    ...(purpose.kind === 'Schedule' ? { slot: purpose.slot } : {}),
    ...(token === undefined ? {} : { token }),
    ...(gate === undefined ? {} : { gate }),
    jobName,
    jobUID,
    image: dumpImage(job) ?? observed.backup.spec.database?.image ?? '',
    claimedAt: rfc3339(now),
  };
  if (purpose.kind === 'Schedule') {
    countForClaim(draft, purpose.slot);
    status.lastAttemptScheduledTime = purpose.slot;
  }
  if (token !== undefined) status.lastHandledTrigger = { token, jobUID };
  if (gate !== undefined) status.gate = { ...status.gate, lastRun: { token: gate, jobUID } };
  status.phase = 'Pending';
  draft.claims = true;
}

function dumpImage(job: Job): string | undefined {
  return job.spec.template?.spec?.containers?.find(({ name }) => name === containers.dump)?.image;
}
