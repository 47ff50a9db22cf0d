// The only reader of the caches. Where a decision rests on something being gone, it looks at the API server itself.
import { effective } from '../crds/rules/effective.ts';
import { annotations, labels, leaseName } from '../crds/rules/names.ts';
import type { Kube } from './kube.ts';
import { clusterLabel } from './labels.ts';
import { type Backup, type Job, jobEnd, type Lease, type Pod, podEnded } from './objects.ts';
import type { LockView, Observed } from './observed.ts';

export interface Caches {
  backups: ReadonlyMap<string, Backup>;
  jobs: ReadonlyMap<string, Job>;
  pods: ReadonlyMap<string, Pod>;
  leases: ReadonlyMap<string, Lease>;
}

const byAge = (a: Job, b: Job): number =>
  a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) ||
  a.metadata.name.localeCompare(b.metadata.name);

const isStarted = (job: Job): boolean => job.metadata.annotations?.[annotations.started] !== undefined;

/** What is known of one backup; undefined when it is gone or going. */
export async function observe(caches: Caches, kube: Kube, key: string): Promise<Observed | undefined> {
  const backup = caches.backups.get(key);
  if (backup === undefined || backup.metadata.deletionTimestamp !== undefined) return undefined;
  const { namespace, uid } = backup.metadata;
  const inNamespace = [...caches.jobs.values()].filter((job) => job.metadata.namespace === namespace).sort(byAge);
  const jobs = inNamespace.filter((job) => controllerUid(job) === uid);
  const { cluster } = effective(backup);
  const claimed = await claimedJob(backup, jobs, kube);
  const running = [...caches.jobs.values()].filter((job) => isStarted(job) && jobEnd(job) === undefined);
  return {
    backup,
    jobs: claimed.jobs,
    pods: await podsOf(backup, claimed.jobs, caches, kube),
    claimedIsGone: claimed.gone,
    lock: await lockView(namespace, cluster, claimed.jobs, caches, kube),
    line: inNamespace
      .filter((job) => job.metadata.labels?.[clusterLabel] === cluster && !isStarted(job) && jobEnd(job) === undefined)
      .filter((job) => job.metadata.deletionTimestamp === undefined && hasOwner(job, caches))
      .map((job) => job.metadata.uid),
    running: {
      overall: running.length,
      namespace: running.filter((job) => job.metadata.namespace === namespace).length,
    },
  };
}

function controllerUid(job: Job): string | undefined {
  return job.metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid;
}

/** A Job whose backup is gone is about to be collected: it must not stand first in line. */
function hasOwner(job: Job, caches: Caches): boolean {
  const owner = caches.backups.get(`${job.metadata.namespace}/${job.metadata.labels?.[labels.backup] ?? ''}`);
  return owner !== undefined && owner.metadata.uid === controllerUid(job);
}

/** The claimed Job missing from the cache may only be late: the API server itself is asked before it counts as gone. */
async function claimedJob(backup: Backup, jobs: Job[], kube: Kube): Promise<{ jobs: Job[]; gone: boolean }> {
  const run = backup.status?.run;
  if (run === undefined || run.outcome !== undefined || jobs.some((job) => job.metadata.uid === run.jobUID))
    return { jobs, gone: false };
  const live = await kube.getJob(backup.metadata.namespace, run.jobName);
  return live?.metadata.uid === run.jobUID ? { jobs: [...jobs, live].sort(byAge), gone: false } : { jobs, gone: true };
}

/** Pods of the claimed Job. Once the Job has ended they are read live, so that no result is missed for a late cache. */
async function podsOf(backup: Backup, jobs: Job[], caches: Caches, kube: Kube): Promise<Pod[]> {
  const run = backup.status?.run;
  const job = jobs.find(({ metadata }) => metadata.uid === run?.jobUID);
  if (run === undefined || run.outcome !== undefined || job === undefined) return [];
  if (jobEnd(job) !== undefined) return await kube.podsOfJob(backup.metadata.namespace, run.jobUID);
  return [...caches.pods.values()].filter(
    (pod) => pod.metadata.namespace === backup.metadata.namespace && jobUidOf(pod) === run.jobUID,
  );
}

function jobUidOf(pod: Pod): string | undefined {
  return pod.metadata.labels?.['batch.kubernetes.io/controller-uid'];
}

/** The lock. A Lease that is not in the cache may be a foreign one without our label, so it is read live when a Job waits for it. */
async function lockView(
  namespace: string,
  cluster: string,
  jobs: readonly Job[],
  caches: Caches,
  kube: Kube,
): Promise<LockView> {
  const name = leaseName(cluster);
  const waits = jobs.some((job) => !isStarted(job) && jobEnd(job) === undefined);
  const cached = caches.leases.get(`${namespace}/${name}`);
  const lease = cached ?? (waits ? await kube.getLease(namespace, name) : undefined);
  const holder = lease?.spec?.holderIdentity ?? '';
  const jobName = lease?.metadata.annotations?.[annotations.job];
  if (lease === undefined || holder === '' || jobName === undefined) return { lease, holderIsAlive: holder !== '' };
  return { lease, holderIsAlive: await isAlive(namespace, jobName, holder, caches, kube) };
}

/** Whether a Job, or a pod of it, is unfinished. Only what the API server itself says counts as dead. */
export async function isAlive(
  namespace: string,
  jobName: string,
  jobUid: string,
  caches: Pick<Caches, 'jobs'>,
  kube: Kube,
): Promise<boolean> {
  const cached = caches.jobs.get(`${namespace}/${jobName}`);
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
