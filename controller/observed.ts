// What a decision is made from, and what it answers: plain values, so that a test of a decision is a literal object.
import type { DatabaseBackupStatus } from '../crds/databasebackup.gen.ts';
import type { NewCondition } from '../crds/rules/conditions.ts';
import type { Effective } from '../crds/rules/effective.ts';
import type { Reason } from '../crds/rules/reasons.ts';
import type { Schedule } from '../crds/rules/schedule.ts';
import type { Finding } from '../crds/rules/validate.ts';
import type { Backup, Job, KubeEvent, Lease, Pod } from './objects.ts';
import type { FinishedRun } from './tally.ts';

/** The state of whoever holds the lock of a backup's cluster. */
export interface LockView {
  /** As last seen; undefined when it does not exist. */
  lease: Lease | undefined;
  /** Whether the Job that holds it still may work: it, or a pod of it, is unfinished. False for a free lock. */
  holderIsAlive: boolean;
}

export interface Observed {
  backup: Backup;
  /** Jobs of this very object, oldest first. */
  jobs: Job[];
  /** Pods of the claimed Job. */
  pods: Pod[];
  /** How long a pod has to come to work before it is asked, and told, why it does not. */
  graceMilliseconds: number;
  /** Events of the claimed Job and its pods, looked for only when nothing comes to work. */
  events: KubeEvent[];
  /** A live look found no Job with the claimed uid. */
  claimedIsGone: boolean;
  lock: LockView;
  /** Names of other backups that write to the same place in storage. */
  samePlace: string[];
  /** Jobs of the same lock that work, or a pod of them, whatever its Lease says: that is anybody's to delete. */
  atWork: { name: string; uid: string }[];
  /** Uids of the Jobs that wait for the same lock, in their order: restores first, then the oldest. */
  line: string[];
  /** Unfinished Jobs of dbbackup that have been started, overall and in this namespace. */
  running: { overall: number; namespace: number };
  /** What stood in the way of creating a Job in this very pass. */
  conflict?: {
    jobName: string;
    reason: 'NameConflict' | 'ServiceAccountNotAllowed' | 'JobRefused';
    message: string;
    /** It passes by itself in a moment. */
    transient: boolean;
  };
  /** Names of Jobs that this very pass deleted to make them anew, and was refused. */
  lost?: string[];
}

export interface Settings {
  executorImage: string;
  /** uid of the kube-system namespace. */
  clusterUid: string;
  startTimeoutSeconds: number;
  maxRunning: number;
  maxRunningPerNamespace: number;
}

export type Effect =
  | { kind: 'createJob'; job: object; name: string }
  /** `waits`: it is deleted because nobody has claimed it. */
  | { kind: 'deleteJob'; name: string; uid: string; why: string; waits?: true }
  /** `again`: its Job works, and somebody has taken the lock from it. */
  | { kind: 'takeLock'; leaseName: string; lease: Lease | undefined; job: Job; durationSeconds: number; again?: true }
  | { kind: 'releaseLock'; lease: Lease; jobName: string; jobUid: string }
  | { kind: 'startJob'; job: Job; leaseName: string; lastSize: number }
  | { kind: 'failStart'; job: Job; reason: string; message: string }
  | { kind: 'event'; type: 'Normal' | 'Warning'; reason: string; action: string; note: string };

/** The draft that the steps fill, in their order. */
export interface Draft {
  readonly observed: Observed;
  readonly settings: Settings;
  readonly now: Date;
  readonly effective: Effective;
  readonly findings: Finding[];
  /** Undefined where the spec has none, or is not valid. */
  readonly schedule: Schedule | undefined;
  status: DatabaseBackupStatus;
  conditions: NewCondition[];
  effects: Effect[];
  /** Times in ms at which something changes by itself. */
  wake: number[];
  /** The next status claims a run: it is part of a launch. */
  claims: boolean;
  /** Only the caps keep a Job from its launch. */
  full: boolean;
  /** Why the claimed run's pod does not come to work, as long as it does not. */
  trouble: { reason: Reason; message: string } | undefined;
  /** Counted once the status with it stands. */
  finished: FinishedRun | undefined;
}

export interface Decision {
  status: DatabaseBackupStatus;
  effects: Effect[];
  /** When to look again, in ms; undefined when only a change can matter. */
  wakeAt: number | undefined;
  claims: boolean;
  full: boolean;
  finished: FinishedRun | undefined;
}

/** At most so many characters, and none of them half: the API server would store another in its place, which looks like a change for ever. */
export function shortened(text: string, most: number): string {
  return text.slice(0, most).toWellFormed();
}

/** Times in status have seconds, as Kubernetes writes them. */
export function rfc3339(time: Date | number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
