// The only reader of the caches. Where a decision rests on something being gone, it looks at the API server itself.
import { effective } from '../crds/rules/effective.ts';
import { holdingJob } from '../crds/rules/holder.ts';
import { annotations, labels, leaseName } from '../crds/rules/names.ts';
import { storageOf } from '../crds/rules/place.ts';
import { type Caches, controllerUid, isOwnedByUs } from './caches.ts';
import type { Kube } from './kube.ts';
import { type Backup, isStarted, type Job, jobEnd, type KubeEvent, type Pod, podEnded } from './objects.ts';
import type { LockView, Observed } from './observed.ts';
import { isIdle } from './outcome.ts';
import type { Seats } from './seats.ts';

/** Events are looked for, and trouble is told, once a pod has had this long to come to work. */
const graceMilliseconds = 30_000;
/** Launches that wait for the client's limits are not to wait for what only tells of others. */
const graceWhileLaunchesWait = 300_000;

const byAge = (a: Job, b: Job): number =>
  a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) ||
  a.metadata.name.localeCompare(b.metadata.name);

/** A restore goes before backups: what it fills is what they would dump. */
const isRestore = (job: Job): boolean => job.metadata.labels?.[labels.trigger] === 'Restore' && isOwnedByUs(job);
const byTurn = (a: Job, b: Job): number => Number(isRestore(b)) - Number(isRestore(a)) || byAge(a, b);

/**
 * What is known of one backup; undefined when it is gone or going.
 * @param launchesWait launches of others are held up, by the client's limits or by an API server that is slow
 */
export async function observe(
  caches: Caches,
  seats: Seats,
  kube: Kube,
  key: string,
  now: Date,
  launchesWait: boolean,
): Promise<Observed | undefined> {
  const backup = caches.backups.get(key);
  if (backup === undefined || backup.metadata.deletionTimestamp !== undefined) return undefined;
  const { namespace, name, uid } = backup.metadata;
  const { cluster } = effective(backup);
  const own = caches
    .jobsNamed(namespace, name)
    .filter((job) => controllerUid(job) === uid)
    .sort(byAge);
  const claimed = await claimedJob(backup, own, kube);
  const pods = await podsOf(backup, claimed.jobs, caches, kube);
  const lock = await lockView(backup, cluster, claimed.jobs, caches, kube);
  // What was told already stays told.
  const grace = launchesWait && !isUnhealthy(backup) ? graceWhileLaunchesWait : graceMilliseconds;
  const events = await eventsOf(backup, claimed.jobs, pods, kube, now.getTime() - grace);
  return {
    backup,
    jobs: claimed.jobs,
    pods,
    graceMilliseconds: grace,
    events,
    claimedIsGone: claimed.gone,
    lock,
    atWork: caches.atWork(namespace, cluster),
    samePlace: samePlace(backup, caches.backupsOn(namespace, cluster)),
    line: caches
      .waitingFor(namespace, cluster)
      .filter((job) => job.metadata.deletionTimestamp === undefined && hasOwner(job, caches))
      .sort(byTurn)
      .map((job) => job.metadata.uid),
    running: seats.taken(namespace),
  };
}

/** What is known, with the backup's Jobs that the cache does not show yet, by what the API server itself says. */
export async function withAllJobs(observed: Observed, kube: Kube): Promise<Observed> {
  const { backup, jobs } = observed;
  const { namespace, name, uid } = backup.metadata;
  const known = new Set(jobs.map((job) => job.metadata.uid));
  const live = await kube.jobsNamed(namespace, name);
  const late = live.filter((job) => controllerUid(job) === uid && !known.has(job.metadata.uid));
  return late.length === 0 ? observed : { ...observed, jobs: [...jobs, ...late].sort(byAge) };
}

/** A Job whose backup is gone, or going, is not served any more: it must not stand first in line. */
function hasOwner(job: Job, caches: Caches): boolean {
  if (isRestore(job)) return true;
  const owner = caches.backups.get(`${job.metadata.namespace}/${job.metadata.labels?.[labels.backup] ?? ''}`);
  return owner?.metadata.uid === controllerUid(job) && owner?.metadata.deletionTimestamp === undefined;
}

/** Names of other backups of the same lock that write to the same place. */
function samePlace(backup: Backup, others: readonly Backup[]): string[] {
  if (others.length < 2) return [];
  const place = storageOf(backup);
  return others
    .filter((other) => other.metadata.uid !== backup.metadata.uid && place !== undefined && storageOf(other) === place)
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** The claimed Job missing from the cache may only be late: the API server itself is asked before it counts as gone. */
async function claimedJob(backup: Backup, jobs: Job[], kube: Kube): Promise<{ jobs: Job[]; gone: boolean }> {
  const run = backup.status?.run;
  if (run === undefined || run.outcome !== undefined || jobs.some((job) => job.metadata.uid === run.jobUID))
    return { jobs, gone: false };
  const live = await kube.getJob(backup.metadata.namespace, run.jobName);
  return live?.metadata.uid === run.jobUID ? { jobs: [...jobs, live].sort(byAge), gone: false } : { jobs, gone: true };
}

/** The claimed Job of a run that goes on. */
function openJob(backup: Backup, jobs: readonly Job[]): Job | undefined {
  const run = backup.status?.run;
  return run === undefined || run.outcome !== undefined
    ? undefined
    : jobs.find(({ metadata }) => metadata.uid === run.jobUID);
}

/**
 * Pods of the claimed run. Once its Job has ended, or is gone, they are read live, so that no result is missed for a late cache; and one
 * that has gone meanwhile is as it was last seen.
 */
async function podsOf(backup: Backup, jobs: readonly Job[], caches: Caches, kube: Kube): Promise<Pod[]> {
  const run = backup.status?.run;
  if (run === undefined || run.outcome !== undefined) return [];
  const cached = caches.podsOf(run.jobUID);
  const job = openJob(backup, jobs);
  if (job !== undefined && jobEnd(job) === undefined) return cached;
  const live = await kube.podsOfJob(backup.metadata.namespace, run.jobUID);
  const isLive = new Set(live.map(({ metadata }) => metadata.uid));
  return [...live, ...cached.filter((pod) => podEnded(pod) && !isLive.has(pod.metadata.uid))];
}

const isUnhealthy = ({ status }: Backup): boolean =>
  status?.conditions?.find(({ type }) => type === 'BackupHealthy')?.status === 'False';

/** Looked for only once the claimed Job has had its time to come to work and has not. */
async function eventsOf(
  backup: Backup,
  jobs: readonly Job[],
  pods: readonly Pod[],
  kube: Kube,
  startedBefore: number,
): Promise<KubeEvent[]> {
  const job = openJob(backup, jobs);
  const started = Date.parse(job?.metadata.annotations?.[annotations.started] ?? '');
  if (job === undefined || jobEnd(job) !== undefined || !(started <= startedBefore)) return [];
  const open = pods.filter((pod) => !podEnded(pod));
  if (!open.every(isIdle) || pods.some(({ status }) => status?.phase === 'Succeeded')) return [];
  const { namespace } = backup.metadata;
  const about = open.length === 0 ? [job] : open;
  return (await Promise.all(about.map(({ metadata }) => kube.eventsAbout(namespace, metadata.uid)))).flat();
}

/** The lock. A Lease that is not in the cache may be a foreign one without our label, so it is read live when a Job waits for it or works under it. */
async function lockView(
  backup: Backup,
  cluster: string,
  jobs: readonly Job[],
  caches: Caches,
  kube: Kube,
): Promise<LockView> {
  const { namespace } = backup.metadata;
  const name = leaseName(cluster);
  const run = openJob(backup, jobs);
  const matters = jobs.some((job) => jobEnd(job) === undefined && (job === run || !isStarted(job)));
  const cached = caches.leases.get(`${namespace}/${name}`);
  const lease = cached ?? (matters ? await kube.getLease(namespace, name) : undefined);
  const job = lease && holdingJob(lease);
  if (job === undefined) return { lease, holderIsAlive: (lease?.spec?.holderIdentity ?? '') !== '' };
  return { lease, holderIsAlive: await isAlive(namespace, job.name, job.uid, caches.jobs, kube) };
}

/** Whether a Job, or a pod of it, is unfinished. Only what the API server itself says counts as dead. */
export async function isAlive(
  namespace: string,
  jobName: string,
  jobUid: string,
  cachedJobs: ReadonlyMap<string, Job>,
  kube: Kube,
): Promise<boolean> {
  const cached = cachedJobs.get(`${namespace}/${jobName}`);
  if (
    cached?.metadata.uid === jobUid &&
    jobEnd(cached) === undefined &&
    cached.metadata.deletionTimestamp === undefined
  )
    return true;
  const live = await kube.getJob(namespace, jobName);
  if (live?.metadata.uid === jobUid && jobEnd(live) === undefined) return true;
  return !(await kube.podsOfJob(namespace, jobUid)).every(podEnded);
}
