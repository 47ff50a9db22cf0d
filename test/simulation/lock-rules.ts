// The rules of the lock in words of the simulation's own: the controller's reading of a Lease is what is being judged.
import { clusterLabel } from '../../controller/labels.ts';
import { type Job, jobEnd, type Lease, type Pod, podEnded } from '../../controller/objects.ts';
import { annotations, leaseName } from '../../crds/rules/names.ts';
import type { Api } from './api.ts';

/** Whether a Job, or a pod of it, may still work. */
export function mayWork(api: Api, jobUid: string): boolean {
  const jobs: Iterable<Job> = api.all('jobs').values();
  for (const job of jobs) if (job.metadata.uid === jobUid && jobEnd(job) === undefined) return true;
  const pods: Pod[] = api.podsOfJob(jobUid);
  return pods.some((pod) => !podEnded(pod));
}

/** Whether any Job of a lock, or a pod of one, works, whoever holds it. */
export function isBusy(api: Api, { metadata }: Lease): boolean {
  const isUnder = (one: Job | Pod): boolean =>
    one.metadata.namespace === metadata.namespace &&
    leaseName(one.metadata.labels?.[clusterLabel] ?? '') === metadata.name;
  const jobs = [...api.all('jobs').values()].filter(isUnder);
  const pods = [...api.all('pods').values()].filter(isUnder);
  return (
    jobs.some((job) => job.spec.suspend === false && jobEnd(job) === undefined) || pods.some((pod) => !podEnded(pod))
  );
}

/**
 * Why nobody may take a lock from its holder; undefined when it may be taken.
 * @param latest the latest that it can be for who takes it, in ms
 */
export function whyKept(api: Api, { metadata, spec = {} }: Lease, latest: number): string | undefined {
  const { holderIdentity: holder = '', renewTime, acquireTime, leaseDurationSeconds } = spec;
  if (holder === '') return undefined;
  // Others who take it may leave what was written beside the holder.
  if (metadata.annotations?.[annotations.jobUid] === holder)
    return mayWork(api, holder) ? `Job ${holder}, which may still work` : undefined;
  if (leaseDurationSeconds === undefined) return `"${holder}", which gave no duration`;
  const until = Date.parse(renewTime ?? acquireTime ?? '') + leaseDurationSeconds * 1000;
  return until <= latest ? undefined : `"${holder}", which holds it until ${new Date(until).toISOString()}`;
}
