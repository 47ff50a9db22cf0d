// What a decision is made from, a piece at a time: each with good values, each with overrides.

import { decide } from '../../controller/decide.ts';
import { clusterLabel, managedByLabels } from '../../controller/labels.ts';
import {
  type Backup,
  type ContainerStatus,
  isStarted,
  type Job,
  jobEnd,
  type Lease,
  type Meta,
  type Pod,
} from '../../controller/objects.ts';
import type { Decision, Effect, Observed, Settings } from '../../controller/observed.ts';
import { encodeResult, type Success } from '../../crds/rules/contract.ts';
import { annotations, labels, specHash } from '../../crds/rules/names.ts';
import { smallest } from '../crds/backup.ts';

export const created = '2025-03-26T12:00:00Z';
/** The first window after creation of a backup at one o'clock every day. */
export const window = '2025-03-27T01:00:00Z';
export const jobName = 'orders-20250327010000';

export const settings: Settings = {
  executorImage: 'dbbackup-executor:test',
  clusterUid: 'c0ffee',
  startTimeoutSeconds: 600,
  maxRunning: 20,
  maxRunningPerNamespace: 5,
};

function meta(name: string, uid: string, more: Partial<Meta> = {}): Meta {
  return { name, namespace: 'shop', uid, resourceVersion: '1', creationTimestamp: created, ...more };
}

interface BackupChange {
  spec?: Partial<Backup['spec']>;
  status?: Backup['status'];
  metadata?: Partial<Meta>;
}

/** A backup that has been looked at once, and has nothing to do. */
export function backup({ spec, status, metadata }: BackupChange = {}): Backup {
  return {
    ...smallest,
    metadata: meta('orders', 'backup-1', { generation: 1, ...metadata }),
    spec: { ...smallest.spec, ...spec },
    status: {
      observedGeneration: 1,
      scheduleBaseline: created,
      observedSchedule: `${spec?.suspend === true ? 'suspended ' : ''}${spec?.timeZone ?? 'Etc/UTC'} ${spec?.schedule ?? smallest.spec.schedule}`,
      ...status,
    },
  };
}

interface JobChange {
  name?: string;
  uid?: string;
  created?: string;
  slot?: string | undefined;
  token?: string;
  gate?: string;
  /** That the dump runs in; the digest is of the spec with it. */
  image?: string;
  started?: string;
  annotations?: Record<string, string>;
  spec?: Job['spec'];
  ended?: 'Complete' | 'Failed' | 'FailureTarget';
  reason?: string;
  deleting?: boolean;
  /** The spec that it was made from. */
  madeFrom?: Backup;
}

/** A Job that waits; of the first window unless a token, or a gate's, is given. */
export function job(change: JobChange = {}): Job {
  const { token, gate, image, started, ended, reason } = change;
  const slot = 'slot' in change ? change.slot : token === undefined && gate === undefined ? window : undefined;
  return {
    metadata: meta(change.name ?? jobName, change.uid ?? 'job-1', {
      creationTimestamp: change.created ?? window,
      labels: { ...managedByLabels, [labels.backup]: 'orders', [clusterLabel]: 'orders-db' },
      ownerReferences: [ownedBy('backup-1')],
      annotations: {
        [annotations.specHash]: digestOf(change.madeFrom ?? backup(), image),
        ...(slot === undefined ? {} : { [annotations.slot]: slot }),
        ...(token === undefined ? {} : { [annotations.token]: token }),
        ...(gate === undefined ? {} : { [annotations.gate]: gate }),
        ...(started === undefined ? {} : { [annotations.started]: started }),
        ...change.annotations,
      },
      ...(change.deleting === true ? { deletionTimestamp: window } : {}),
    }),
    spec: change.spec ?? {
      suspend: started === undefined,
      ...(image === undefined ? {} : { template: dumpIn(image) }),
    },
    ...(ended === undefined
      ? {}
      : { status: { conditions: [{ type: ended, status: 'True', ...(reason === undefined ? {} : { reason }) }] } }),
  };
}

/** As the controller's Jobs have it. */
export const ownedBy = (uid: string, name = 'orders') => ({
  apiVersion: 'dbbackup.io/v1alpha1',
  kind: 'DatabaseBackup',
  name,
  uid,
  controller: true,
});

function digestOf({ spec }: Backup, image = spec.database.image): string {
  return specHash({ ...spec, database: { ...spec.database, image } });
}

const dumpIn = (image: string): NonNullable<Job['spec']['template']> => ({
  spec: { containers: [{ name: 'dump', image }] },
});

/** The claim of a Job. */
export function claimOf(of: Job, change: Partial<NonNullable<NonNullable<Backup['status']>['run']>> = {}) {
  return {
    trigger: 'Schedule' as const,
    slot: window,
    jobName: of.metadata.name,
    jobUID: of.metadata.uid,
    claimedAt: window,
    ...change,
  };
}

export function lease(holder: Job | undefined, change: Partial<Lease['spec']> = {}): Lease {
  return {
    metadata: meta('dbbackup-orders-db', 'lease-1', {
      ...(holder === undefined
        ? {}
        : { annotations: { [annotations.job]: holder.metadata.name, [annotations.jobUid]: holder.metadata.uid } }),
    }),
    spec: {
      holderIdentity: holder?.metadata.uid ?? '',
      acquireTime: window,
      renewTime: window,
      leaseDurationSeconds: 44_000,
      leaseTransitions: 3,
      ...change,
    },
  };
}

/** A result as the executor leaves it. */
export const committed: Success = {
  outcome: 'Succeeded',
  id: '20250327T010000Z-1a2b3c4d',
  key: 'shop/orders-db/20250327T010000Z-1a2b3c4d.snap',
  size: 100,
  storedSize: 60,
  sha256: 'a'.repeat(64),
  dumpStartedAt: '2025-03-27T01:00:20Z',
  durationSeconds: 9,
  engineVersion: '16.4',
  identity: '',
  encrypted: true,
};

/** The pod of a run that committed. */
export const committedPod = (): Pod =>
  pod({
    phase: 'Succeeded',
    containerStatuses: [
      container('executor', { terminated: { exitCode: 0, message: encodeResult({ run: committed }) } }),
    ],
  });

export function container(name: string, state: ContainerStatus['state']): ContainerStatus {
  return { name, ...(state === undefined ? {} : { state }) };
}

/** A pod of a Job; without statuses it has just been made. */
export function pod(status: Pod['status'] = {}, change: Partial<Meta> = {}): Pod {
  return { metadata: meta('orders-pod', 'pod-1', { creationTimestamp: window, ...change }), status };
}

/** A Job that works holds the lock, unless a test says otherwise. */
function lockOf(jobs: readonly Job[] = []): Observed['lock'] {
  const holder = jobs.find((one) => isStarted(one) && jobEnd(one) === undefined);
  return holder === undefined
    ? { lease: undefined, holderIsAlive: false }
    : { lease: lease(holder), holderIsAlive: true };
}

export function observed(change: Partial<Observed> = {}): Observed {
  return {
    backup: backup(),
    jobs: [],
    pods: [],
    graceMilliseconds: 30_000,
    events: [],
    samePlace: [],
    claimedIsGone: false,
    lock: lockOf(change.jobs),
    atWork: [],
    line: (change.jobs ?? [])
      .filter(({ spec, status }) => spec.suspend === true && status === undefined)
      .map(({ metadata }) => metadata.uid),
    running: { overall: 0, namespace: 0 },
    ...change,
  };
}

export function look(change: Partial<Observed>, now: string, more: Partial<Settings> = {}): Decision {
  return decide(observed(change), { ...settings, ...more }, new Date(now));
}

function inWords(effect: Effect): string {
  switch (effect.kind) {
    case 'createJob':
      return `create ${effect.name}`;
    case 'deleteJob':
      return `delete ${effect.name} ${effect.uid}: ${effect.why}`;
    case 'takeLock':
      return `take ${effect.leaseName} for ${effect.job.metadata.name}`;
    case 'releaseLock':
      return `release ${effect.lease.metadata.name} of ${effect.jobName}`;
    case 'startJob':
      return `start ${effect.job.metadata.name}`;
    case 'failStart':
      return `fail ${effect.job.metadata.name}: ${effect.reason}`;
    case 'event':
      return `event ${effect.reason}`;
  }
}

/** Effects in a few words each. */
export const told = ({ effects }: Decision): string[] => effects.map(inWords);

/** What is done; what is told of it is left out. */
export const done = (decision: Decision): string[] => told(decision).filter((effect) => !effect.startsWith('event'));

/** The backup with the status that a decision writes, as the next look finds it. */
export const stored = (before: Backup, { status }: Decision): Backup => ({
  ...before,
  status: structuredClone(status),
});

export const conditionOf = (decision: Decision, type: string) =>
  decision.status.conditions?.find((condition) => condition.type === type);
