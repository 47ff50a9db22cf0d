// Step: the launch, one write a look: take the lock, claim, start. And the lock given back.
import { containers } from '../../crds/rules/contract.ts';
import { leaseName } from '../../crds/rules/names.ts';
import { jobDeadlineSeconds, startLimitSeconds } from '../job.ts';
import { clusterLabel } from '../labels.ts';
import { type Holder, holderOf, isFree } from '../lock.ts';
import { isStarted, type Job, jobEnd } from '../objects.ts';
import { type Draft, type Effect, rfc3339 } from '../observed.ts';
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
  if (job === undefined || jobEnd(job) !== undefined) return;
  if (isStarted(job)) {
    takeAgain(draft, job, holder);
    return;
  }
  const other = observed.atWork.find(({ uid }) => uid !== job.metadata.uid);
  const holdsIt = holder.kind === 'job' && holder.uid === job.metadata.uid;
  if (other !== undefined) locked(draft, { kind: 'job', ...other, since: '', alive: true }, job);
  else if (!holdsIt) {
    if (observed.conflict?.jobName !== job.metadata.name && mayTake(draft, job, holder))
      draft.effects.push(taking(draft, job));
  } else if (claimed === undefined) claim(draft, job);
  // It was refused in this very pass.
  else if (observed.conflict?.jobName !== job.metadata.name) {
    const lastSize = status.lastSnapshot?.storedSize ?? 0;
    draft.effects.push({ kind: 'startJob', job, leaseName: leaseName(effective.cluster), lastSize });
    draft.wake.push(now.getTime() + startLimitSeconds(observed.backup, draft.settings) * 1000);
  }
}

function taking({ observed, effective, settings }: Draft, job: Job): Extract<Effect, { kind: 'takeLock' }> {
  const durationSeconds = jobDeadlineSeconds(observed.backup, settings) + lockSlackSeconds;
  return {
    kind: 'takeLock',
    leaseName: leaseName(effective.cluster),
    lease: observed.lock.lease,
    job,
    durationSeconds,
  };
}

/** The Lease of a Job that works was deleted, or emptied: others are to see that the lock is held. */
function takeAgain(draft: Draft, job: Job, holder: Holder): void {
  const isOurs = job.metadata.labels?.[clusterLabel] === draft.effective.cluster;
  const isRefused = draft.observed.conflict?.jobName === job.metadata.name;
  if (holder.kind === 'free' && job.spec.suspend !== true && isOurs && !isRefused)
    draft.effects.push({ ...taking(draft, job), again: true });
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
  if (observed.line[0] !== undefined && observed.line[0] !== job.metadata.uid) {
    heldUp(draft, job, 'WaitingForTurn', 'Waiting for its turn: another Job waits longer for the same lock.');
    return false;
  }
  const { overall, namespace } = observed.running;
  const here = namespace >= settings.maxRunningPerNamespace;
  draft.full = overall >= settings.maxRunning || here;
  if (!draft.full) return true;
  draft.wake.push(now.getTime() + capLookMilliseconds);
  const cap = here
    ? `${settings.maxRunningPerNamespace} Jobs in this namespace (--max-running-per-namespace)`
    : `${settings.maxRunning} Jobs (--max-running)`;
  heldUp(draft, job, 'WaitingForRoom', `Waiting for room: the controller runs at most ${cap} at once.`);
  return false;
}

function locked(draft: Draft, holder: Holder, job: Job): void {
  const { now } = draft;
  const runsOut = holder.kind === 'foreign' ? holder.until : undefined;
  draft.wake.push(Math.min(now.getTime() + lockLookMilliseconds, runsOut ?? Infinity));
  const name = leaseName(draft.effective.cluster);
  heldUp(draft, job, 'LockHeld', `Waiting for the lock, Lease ${name}, held by ${inWords(holder)}.`);
}

/** What a Job waits for is a visible condition once it has waited for a minute. */
function heldUp(draft: Draft, job: Job, reason: string, message: string): void {
  const visible = Date.parse(job.metadata.creationTimestamp) + lockedAfterMilliseconds;
  if (draft.now.getTime() < visible) {
    draft.wake.push(visible);
    return;
  }
  draft.conditions.push({ type: 'Locked', status: 'True', reason, message });
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
