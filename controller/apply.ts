// The effects of a decision on the API server. Each may be repeated: what exists and is ours is success, what changed meanwhile is a
// conflict that the next look resolves.
import { annotations, serviceAccountLabel } from '../crds/rules/names.ts';
import { explain } from '../crds/rules/reasons.ts';
import type { Kube } from './kube.ts';
import { releasedLease, takenLease } from './lock.ts';
import { type Backup, type Job, jobEnd, type Lease } from './objects.ts';
import { isAlive } from './observe.ts';
import { type Effect, type Observed, rfc3339, shortened } from './observed.ts';
import { startFailedAnnotation, startTrouble } from './outcome.ts';
import type { Seats } from './seats.ts';
import { ApiError } from './transport.ts';

/** What stood in the way of creating a Job. */
export type Conflict = NonNullable<Observed['conflict']>;

/** The world is not what was decided from: nothing is wrong, look again. */
export class Stale extends Error {
  constructor(what: string) {
    super(`${what} has changed meanwhile`);
    this.name = 'Stale';
  }
}

export interface Applied {
  conflict?: Conflict;
  /** Names of Jobs that were deleted to be made anew, and are refused now. */
  lost: string[];
}

const longestAnnotation = 1000;
const microTime = (now: Date): string => now.toISOString().replace('Z', '000Z');

/** What effects are applied to and with. */
export interface Means {
  kube: Kube;
  seats: Seats;
  now: () => Date;
}

type TakeLock = Extract<Effect, { kind: 'takeLock' }>;

/** What one effect came to: whether its Job was there to be deleted, or what stood in its way. */
type Done = boolean | Conflict | undefined;

/** Events are not among these: they are told once the status stands. */
export async function apply(means: Means, backup: Backup, effects: readonly Effect[]): Promise<Applied> {
  const applied: Applied = { lost: [] };
  const deleted = new Set<string>();
  // A Job that is refused is in the way of itself only: what else is decided does not rest on it.
  for (const effect of effects) {
    const done = await applyOne(means, backup, effect);
    if (done === true && effect.kind === 'deleteJob') deleted.add(effect.name);
    if (typeof done !== 'object') continue;
    applied.conflict = done;
    if (!done.transient && deleted.has(done.jobName)) applied.lost.push(done.jobName);
  }
  return applied;
}

async function applyOne(means: Means, backup: Backup, effect: Effect): Promise<Done> {
  const { namespace } = backup.metadata;
  const { kube } = means;
  const now = means.now();
  switch (effect.kind) {
    case 'createJob':
      return await createJob(kube, backup, effect.name, effect.job);
    case 'deleteJob':
      if (effect.waits === true) await seeUnclaimed(kube, backup, effect);
      return await kube.deleteJob(namespace, effect.name, effect.uid);
    case 'takeLock':
      return await unlessRefused(effect.job, () =>
        effect.again === true ? takeLock(kube, effect, now) : takeSeatAndLock(means, effect),
      );
    case 'releaseLock':
      await releaseLock(kube, effect.lease, effect.jobName, effect.jobUid);
      return undefined;
    case 'startJob':
      return await unlessRefused(effect.job, () => startJob(kube, backup, effect, now));
    case 'failStart':
      await failStart(kube, namespace, effect);
      return undefined;
    case 'event':
      return undefined;
  }
}

/** A pod that works is not to be stopped because the cache does not show it, or somebody took its label. */
async function failStart(kube: Kube, namespace: string, effect: Extract<Effect, { kind: 'failStart' }>): Promise<void> {
  const { name, uid } = effect.job.metadata;
  if (startTrouble(await kube.podsOfJob(namespace, uid), []) === undefined) return;
  const annotation = shortened(`${effect.reason} ${effect.message}`, longestAnnotation);
  await kube.patchJob(namespace, name, {
    metadata: { uid, annotations: { [startFailedAnnotation]: annotation } },
    spec: { activeDeadlineSeconds: 1 },
  });
}

/** A cache may not show yet that another controller has claimed the Job: that run is not to be lost. */
async function seeUnclaimed(kube: Kube, backup: Backup, { uid, name }: { uid: string; name: string }): Promise<void> {
  const live = await kube.getBackup(backup.metadata.namespace, backup.metadata.name);
  const run = live?.status?.run;
  if (live?.metadata.uid === backup.metadata.uid && run?.jobUID === uid && run.outcome === undefined)
    throw new Stale(`claim of Job ${name}`);
}

/** A quota or another admission policy: it may change, and a person should see it. */
const isRefusal = (error: unknown): error is ApiError & { status: 403 | 422 } =>
  error instanceof ApiError && (error.status === 403 || error.status === 422);

const refusal = (jobName: string, { message }: ApiError): Conflict => ({
  jobName,
  reason: 'JobRefused',
  message: message.slice(0, 800),
  transient: false,
});

async function unlessRefused({ metadata }: Job, write: () => Promise<void>): Promise<Conflict | undefined> {
  try {
    await write();
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return refusal(metadata.name, error);
    throw error;
  }
}

async function createJob(kube: Kube, backup: Backup, name: string, job: object): Promise<Conflict | undefined> {
  const { namespace, uid } = backup.metadata;
  const refused = await refusedServiceAccount(kube, backup, name);
  if (refused !== undefined) return refused;
  try {
    await kube.createJob(namespace, job);
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return refusal(name, error);
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
  }
  const existing = await kube.getJob(namespace, name);
  const owner = existing?.metadata.ownerReferences?.find(({ controller }) => controller === true);
  // A 409 about nothing: what was in the way has just gone, or a quota was being counted. No event will tell of it.
  if (existing === undefined) throw new Stale(`Job ${name}`);
  const goes = existing.metadata.deletionTimestamp !== undefined;
  if (owner?.uid === uid && !goes) return await adopt(kube, existing, job as Pick<Job, 'metadata'>);
  const ofEarlier = owner?.kind === 'DatabaseBackup' && owner.name === backup.metadata.name;
  const message = ofEarlier
    ? `Job "${name}" of an earlier object or spec is still being removed.`
    : `Job "${name}" exists and is not ours: delete or rename it.`;
  return { jobName: name, reason: 'NameConflict', message, transient: ofEarlier };
}

/** A Job of ours that lost its labels is not among what is watched: it gets them back. */
async function adopt(kube: Kube, existing: Job, wanted: Pick<Job, 'metadata'>): Promise<undefined> {
  const { namespace, name, uid, labels: found = {} } = existing.metadata;
  const lost = Object.entries(wanted.metadata.labels ?? {}).filter(([key, value]) => found[key] !== value);
  if (lost.length === 0) return;
  await kube.patchJob(namespace, name, { metadata: { uid, labels: Object.fromEntries(lost) } });
}

/** Who may write a manifest could otherwise run a pod as any service account of the namespace. */
async function refusedServiceAccount(kube: Kube, backup: Backup, jobName: string): Promise<Conflict | undefined> {
  const name = backup.spec.serviceAccountName;
  if (name === undefined) return undefined;
  const account = await kube.getServiceAccount(backup.metadata.namespace, name);
  if (account?.metadata.labels?.[serviceAccountLabel.key] === serviceAccountLabel.value) return undefined;
  const message = explain(
    'ServiceAccountNotAllowed',
    `"${name}" ${account === undefined ? 'does not exist' : 'lacks the label'}`,
  );
  return { jobName, reason: 'ServiceAccountNotAllowed', message, transient: false };
}

/** A seat that was taken for the lock is given back when the lock was refused. When no answer came the lock may be ours, and its Job start. */
async function takeSeatAndLock({ kube, seats, now }: Means, effect: TakeLock): Promise<void> {
  const { uid } = effect.job.metadata;
  const before = seats.isReserved(uid);
  if (!seats.reserve(effect.job)) throw new Stale('the room under the caps');
  await takeLock(kube, effect, now()).catch((error: unknown) => {
    if (!before && error instanceof ApiError && error.status < 500) seats.free(uid);
    throw error;
  });
}

async function takeLock(kube: Kube, effect: TakeLock, now: Date): Promise<void> {
  const { job, lease, leaseName, durationSeconds } = effect;
  const cluster = leaseName.slice('dbbackup-'.length);
  const taken = takenLease(cluster, lease, job, durationSeconds, microTime(now));
  if (lease === undefined) await kube.createLease(job.metadata.namespace, taken);
  else await kube.putLease(taken as Lease);
}

/** The last look before giving back is live: the Job ended or gone, and no pod of it unfinished. */
export async function releaseLock(kube: Kube, lease: Lease, jobName: string, jobUid: string): Promise<void> {
  const { namespace } = lease.metadata;
  if (await isAlive(namespace, jobName, jobUid, new Map(), kube)) throw new Stale(`Job ${jobName}`);
  await kube.putLease(releasedLease(lease));
}

/** Lease and claim are read live; only when both name this Job is it let go, if it is still as it was seen. */
async function startJob(
  kube: Kube,
  backup: Backup,
  effect: Extract<Effect, { kind: 'startJob' }>,
  now: Date,
): Promise<void> {
  const { job, leaseName, lastSize } = effect;
  const { namespace, name, uid, resourceVersion } = job.metadata;
  const [lease, live] = await Promise.all([
    kube.getLease(namespace, leaseName),
    kube.getBackup(namespace, backup.metadata.name),
  ]);
  if (lease?.spec?.holderIdentity !== uid) throw new Stale(`Lease ${leaseName}`);
  const run = live?.status?.run;
  if (live?.metadata.uid !== backup.metadata.uid || run?.jobUID !== uid || run.outcome !== undefined)
    throw new Stale(`claim of ${backup.metadata.name}`);
  if (jobEnd(job) !== undefined) return;
  await kube.patchJob(namespace, name, {
    metadata: { uid, resourceVersion, annotations: { [annotations.started]: rfc3339(now) } },
    spec: {
      suspend: false,
      template: {
        metadata: {
          annotations: {
            [annotations.lockEpoch]: String(lease.spec.leaseTransitions ?? 0),
            [annotations.lastSize]: String(lastSize),
          },
        },
      },
    },
  });
}
