// The parts of Kubernetes objects that the controller reads and writes, as they travel: JSON, times as text.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { annotations } from '../crds/rules/names.ts';

export type { DatabaseBackup } from '../crds/databasebackup.gen.ts';

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface Meta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
}

/** A DatabaseBackup as the API server returns it. */
export type Backup = Omit<DatabaseBackup, 'metadata'> & { metadata: Meta };

export interface Job {
  metadata: Meta;
  spec: {
    suspend?: boolean;
    activeDeadlineSeconds?: number;
    template?: { spec?: { containers?: { name: string; image?: string }[] } };
  };
  status?: {
    active?: number;
    startTime?: string;
    completionTime?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string }[];
  };
}

export interface ContainerStatus {
  name: string;
  state?: {
    waiting?: { reason?: string; message?: string };
    running?: { startedAt?: string };
    terminated?: { exitCode: number; reason?: string; message?: string; finishedAt?: string };
  };
}

export interface Pod {
  metadata: Meta;
  spec?: { nodeName?: string };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

/** An event of the core API about a Job or a pod: quota, admission and mount refusals show nowhere else. */
export interface KubeEvent {
  type?: string;
  reason?: string;
  message?: string;
  lastTimestamp?: string | null;
  eventTime?: string | null;
}

export interface Lease {
  metadata: Meta;
  spec?: {
    holderIdentity?: string;
    acquireTime?: string;
    renewTime?: string;
    leaseDurationSeconds?: number;
    leaseTransitions?: number;
  };
}

/** Whether a Job has been unsuspended once. */
export const isStarted = (job: Job): boolean => job.metadata.annotations?.[annotations.started] !== undefined;

/** Whether a Job has ended, and how. Undefined while it goes on. */
export function jobEnd(job: Job): 'Complete' | 'Failed' | undefined {
  const ended = job.status?.conditions?.find(
    (condition) => condition.status === 'True' && (condition.type === 'Complete' || condition.type === 'Failed'),
  );
  return ended === undefined ? undefined : ended.type === 'Complete' ? 'Complete' : 'Failed';
}

/** When a Job ended, RFC 3339: only one that is complete has a completionTime. */
export function endedAt({ status }: Job): string | undefined {
  const failed = status?.conditions?.find(({ type, status: value }) => type === 'Failed' && value === 'True');
  return status?.completionTime ?? failed?.lastTransitionTime;
}

export function podEnded(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
