// What describe looks up beside the DatabaseBackup: its Jobs, the lock, the log of what failed. Each may be missing or forbidden.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { effective } from '../crds/rules/effective.ts';
import { leaseName } from '../crds/rules/names.ts';
import { reasonOfExitCode } from '../crds/rules/reasons.ts';
import { ApiError } from './errors.ts';
import type { Kube } from './kube.ts';
import { containersOf, type Job, jobState, type Lease, type Pod } from './objects.ts';

/** A look that the server may have refused: then its own words. */
export type Look<T> = { value: T } | { refused: string };

export interface FailedLog {
  pod: string;
  container: string;
  text: Look<string>;
}

export interface Evidence {
  jobs: Look<Job[]>;
  lease: Look<Lease | undefined>;
  /** Only when the last run failed and its pod is still there. */
  log: FailedLog | undefined;
}

const logLines = 10;

async function look<T>(call: Promise<T>): Promise<Look<T>> {
  try {
    return { value: await call };
  } catch (error) {
    if (error instanceof ApiError) return { refused: error.message };
    throw error;
  }
}

const newestFirst = (a: Job | Pod, b: Job | Pod): number =>
  (a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? 1 : -1;

export async function gather(kube: Kube, backup: DatabaseBackup): Promise<Evidence> {
  const { namespace = '', name } = backup.metadata;
  const [found, lease] = await Promise.all([
    look(kube.jobsOf(namespace, name)),
    look(kube.getLease(namespace, leaseName(effective(backup).cluster))),
  ]);
  const jobs = 'value' in found ? { value: [...found.value].sort(newestFirst) } : found;
  const log = await failedLog(kube, backup, 'value' in jobs ? jobs.value : []);
  return { jobs, lease, log };
}

/** The uid of the last run's Job, when it failed. */
function failedUid({ status }: DatabaseBackup, jobs: readonly Job[]): string | undefined {
  if (status?.run !== undefined) return status.run.outcome === 'Failed' ? status.run.jobUID : undefined;
  const [newest] = jobs;
  return newest !== undefined && jobState(newest) === 'Failed' ? newest.metadata.uid : undefined;
}

async function failedLog(kube: Kube, backup: DatabaseBackup, jobs: readonly Job[]): Promise<FailedLog | undefined> {
  const { namespace = '' } = backup.metadata;
  const uid = failedUid(backup, jobs);
  if (uid === undefined) return undefined;
  const pods = await look(kube.podsOf(namespace, uid));
  if ('refused' in pods) return undefined;
  const [pod] = pods.value.sort(newestFirst);
  const container = pod === undefined ? undefined : failedContainer(pod, backup.status?.run?.reason);
  if (pod === undefined || container === undefined) return undefined;
  const text = await look(kube.logTail(namespace, pod.metadata.name, container, logLines));
  return { pod: pod.metadata.name, container, text };
}

/** When one container breaks, others follow: the one whose exit code stands for the run's reason is the cause, else the first. */
export function failedContainer(pod: Pod, reason: string | undefined): string | undefined {
  const failed = containersOf(pod).filter(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  const cause = failed.find(({ state }) => reasonOfExitCode(state?.terminated?.exitCode ?? 0) === reason);
  return (cause ?? failed[0])?.name;
}
