// The parts of Kubernetes' own objects that the plugin reads.
import type { ObjectMeta } from '../crds/databasebackup.gen.ts';

export interface Job {
  metadata: ObjectMeta;
  spec?: { suspend?: boolean };
  status?: {
    startTime?: string;
    completionTime?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[];
  };
}

export interface ContainerStatus {
  name: string;
  state?: { terminated?: { exitCode: number; message?: string }; running?: object };
}

export interface Pod {
  metadata: ObjectMeta;
  status?: { phase?: string; initContainerStatuses?: ContainerStatus[]; containerStatuses?: ContainerStatus[] };
}

export interface Lease {
  metadata: ObjectMeta;
  spec?: {
    holderIdentity?: string;
    acquireTime?: string;
    renewTime?: string;
    leaseDurationSeconds?: number;
  };
}

export type JobState = 'Queued' | 'Running' | 'Succeeded' | 'Failed';

export function jobState(job: Job): JobState {
  const holds = (type: string): boolean =>
    job.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true;
  if (holds('Complete')) return 'Succeeded';
  if (holds('Failed')) return 'Failed';
  return job.spec?.suspend === true ? 'Queued' : 'Running';
}

/** When the Job ended, well or not. */
export function jobFinished(job: Job): string | undefined {
  const failed = job.status?.conditions?.find(
    (condition) => condition.type === 'Failed' && condition.status === 'True',
  );
  return job.status?.completionTime ?? failed?.lastTransitionTime;
}

export function containersOf(pod: Pod): ContainerStatus[] {
  return [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
}
