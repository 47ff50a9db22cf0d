// The lock of a database cluster, a Lease read as a decision: who holds it, and may another take it. Pure.
import { holdingJob } from '../crds/rules/holder.ts';
import { annotations, leaseName } from '../crds/rules/names.ts';
import { clusterLabel, managedByLabels } from './labels.ts';
import type { Job, Lease } from './objects.ts';
import type { LockView } from './observed.ts';

export type Holder =
  | { kind: 'free' }
  /** A Job of dbbackup; alive says whether it, or a pod of it, still may work. */
  | { kind: 'job'; uid: string; name: string; since: string; alive: boolean }
  /** Somebody else; until is when their claim runs out, undefined for never. */
  | { kind: 'foreign'; identity: string; since: string; until: number | undefined };

export function holderOf({ lease, holderIsAlive }: LockView): Holder {
  const identity = lease?.spec?.holderIdentity ?? '';
  if (lease === undefined || identity === '') return { kind: 'free' };
  const job = holdingJob(lease);
  if (job !== undefined) return { kind: 'job', ...job, since: lease.spec?.acquireTime ?? '', alive: holderIsAlive };
  const since = lease.spec?.renewTime ?? lease.spec?.acquireTime ?? '';
  const seconds = lease.spec?.leaseDurationSeconds;
  const from = Date.parse(since);
  // A holder that gives no duration, or no time, is never superseded.
  const until = seconds === undefined || Number.isNaN(from) ? undefined : from + seconds * 1000;
  return { kind: 'foreign', identity, since, until };
}

/** Whether a Job may take the lock now. */
export function isFree(holder: Holder, now: number): boolean {
  if (holder.kind === 'free') return true;
  if (holder.kind === 'job') return !holder.alive;
  return holder.until !== undefined && holder.until <= now;
}

/** The Lease that says that a Job holds the lock. Its duration is set once and never renewed. */
export function takenLease(
  cluster: string,
  lease: Lease | undefined,
  job: Job,
  durationSeconds: number,
  microTime: string,
): Lease | (Omit<Lease, 'metadata'> & { metadata: object }) {
  const metadata =
    lease === undefined ? { name: leaseName(cluster), namespace: job.metadata.namespace } : lease.metadata;
  const { labels: leaseLabels = {}, annotations: leaseAnnotations = {} } = lease?.metadata ?? {};
  return {
    metadata: {
      ...metadata,
      labels: { ...leaseLabels, ...managedByLabels, [clusterLabel]: cluster },
      annotations: {
        ...leaseAnnotations,
        [annotations.job]: job.metadata.name,
        [annotations.jobUid]: job.metadata.uid,
      },
    },
    spec: {
      holderIdentity: job.metadata.uid,
      acquireTime: microTime,
      renewTime: microTime,
      leaseDurationSeconds: durationSeconds,
      leaseTransitions: (lease?.spec?.leaseTransitions ?? -1) + 1,
    },
  };
}

/** The same Lease without a holder. The Lease itself is never deleted, so that its count of holders lasts. */
export function releasedLease(lease: Lease): Lease {
  const { [annotations.job]: _, [annotations.jobUid]: __, ...rest } = lease.metadata.annotations ?? {};
  const { leaseTransitions } = lease.spec ?? {};
  return {
    ...lease,
    metadata: { ...lease.metadata, annotations: rest },
    spec: { holderIdentity: '', ...(leaseTransitions === undefined ? {} : { leaseTransitions }) },
  };
}
