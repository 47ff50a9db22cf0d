// What must hold after every change, checked against the API server's own objects and the bucket.

import { clusterLabel } from '../../controller/labels.ts';
import { type Backup, type Job, jobEnd, type Lease, type Pod, podEnded } from '../../controller/objects.ts';
import type { Settings } from '../../controller/observed.ts';
import { purposeOf } from '../../controller/purpose.ts';
import { annotations } from '../../crds/rules/names.ts';
import type { Api, Change } from './api.ts';
import { type Bucket, jobUid } from './kubelet.ts';
import { Ledger } from './ledger.ts';
import { LiveReads } from './live-reads.ts';
import { whyKept } from './lock-rules.ts';

export type Invariant = 'I1' | 'I2' | 'I6' | 'I7' | 'truth' | 'claimed Job deleted' | 'baseline' | 'caps' | 'throws';

export class Broken extends Error {
  readonly invariant: Invariant;
  constructor(invariant: Invariant, what: string) {
    super(`${invariant}: ${what}`);
    this.name = 'Broken';
    this.invariant = invariant;
  }
}

export const isController = (by: string): boolean => /^c\d+$/.test(by);
const isStarted = (job: Job): boolean => job.metadata.annotations?.[annotations.started] !== undefined;

export class Invariants {
  /** The first that was broken. */
  broken: Broken | undefined;
  /** The caps must hold until this time, in ms: as long as one controller is alone and its cache has not been minutes late. */
  capsHoldUntil = Number.POSITIVE_INFINITY;
  /** Nobody else writes beside it. */
  oneController = true;
  /** All clocks are right all the time. */
  clocksAreRight = true;
  readonly ledger: Ledger;
  readonly reads: LiveReads;
  private readonly api: Api;
  private readonly settings: Settings;
  private readonly now: () => number;
  /** Uid of the Job that ran for a window of an object. */
  private readonly ran = new Map<string, string>();
  /** When a pod of a Job was last seen to work, by uid of the Job, in ms. */
  private readonly worked = new Map<string, number>();
  /** Highest reading of a controller's clock since it was last set. */
  private readonly clocks = new Map<string, number>();

  constructor(api: Api, settings: Settings, bucket: Bucket, now: () => number) {
    this.api = api;
    this.settings = settings;
    this.now = now;
    this.reads = new LiveReads(now);
    this.ledger = new Ledger(bucket, (invariant, what) => this.broke(invariant, what));
    api.followers.push((change) => this.follow(change));
  }

  broke(invariant: Invariant, what: string): void {
    this.broken ??= new Broken(invariant, what);
  }

  clockRead(name: string, reading: number): void {
    this.clocks.set(name, Math.max(this.clocks.get(name) ?? 0, reading));
  }

  /** A controller is about to let a Job go. Where another has its name by now the server refuses. */
  starts(by: string, namespace: string, name: string, uid: string | undefined, stoodStillSince: number): void {
    const job = this.api.get('jobs', namespace, name);
    if (job === undefined || (uid !== undefined && job.metadata.uid !== uid)) return;
    const missing = this.reads.missingFor(by, job, stoodStillSince);
    if (missing !== undefined)
      this.broke('I2', `${by} lets Job ${job.metadata.uid} go and has not just seen ${missing}`);
  }

  /** A controller is about to delete a Job: one that waits must be nobody's run, which is asked of the API server itself. */
  deletes(by: string, namespace: string, name: string, uid: string, stoodStillSince: number): void {
    const job = this.api.get('jobs', namespace, name);
    if (job?.metadata.uid !== uid || isStarted(job) || jobEnd(job) !== undefined) return;
    const wrong = this.reads.wrongToDelete(by, job, stoodStillSince);
    if (wrong !== undefined) this.broke('claimed Job deleted', `${by} deletes Job ${name} ${uid} and ${wrong}`);
  }

  finished(backup: Backup): void {
    this.ledger.toldFinished(backup.status?.run?.jobUID ?? '');
  }

  private follow({ kind, before, after, by }: Change): void {
    if (kind === 'backups') this.ledger.follow(before as Backup | undefined, after as Backup | undefined, by);
    else if (kind === 'jobs') this.jobChanged(before as Job | undefined, after as Job | undefined, by);
    else if (kind === 'leases' && isController(by)) this.leaseChanged(before as Lease | undefined, after as Lease, by);
    else if (kind === 'pods') {
      if (before === undefined) this.alone(after as Pod);
      if ((before as Pod | undefined)?.status?.phase === 'Running') this.worked.set(jobUid(before as Pod), this.now());
    }
  }

  /** A run may be given up for want of a pod only when none has worked for as long as one may take to come. */
  private givenUp({ metadata: { uid, name } }: Job, by: string): void {
    const pods = this.api.podsOfJob(uid);
    const goneFor = (this.now() - (this.worked.get(uid) ?? 0)) / 1000;
    if (pods.some(({ status }) => status?.phase === 'Running'))
      this.broke('truth', `${by} gives up Job ${name}, whose pod works`);
    else if (this.clocksAreRight && goneFor < this.settings.startTimeoutSeconds)
      this.broke('truth', `${by} gives up Job ${name}, whose pod worked ${goneFor} s ago`);
  }

  private jobChanged(before: Job | undefined, after: Job | undefined, by: string): void {
    if (before !== undefined && after === undefined && isController(by)) this.jobDeleted(before, by);
    if (by === 'user' && after?.spec.suspend === true && isStarted(after)) this.ledger.canceled.add(after.metadata.uid);
    if (before === undefined || after === undefined || !isController(by)) return;
    if (before.spec.suspend === true && after.spec.suspend === false) this.jobStarted(before, after, by);
    if (before.spec.activeDeadlineSeconds !== 1 && after.spec.activeDeadlineSeconds === 1) this.givenUp(after, by);
  }

  private jobStarted(before: Job, job: Job, by: string): void {
    const { uid, name, namespace } = job.metadata;
    if (isStarted(before)) this.broke('I1', `Job ${name} ${uid} was canceled, and is resumed by ${by}`);
    if (jobEnd(job) !== undefined) this.broke('I1', `Job ${name} ${uid} has ended, and is started by ${by}`);
    const owner = job.metadata.ownerReferences?.[0];
    const purpose = purposeOf(job);
    const what = purpose.kind === 'Schedule' ? `window ${purpose.slot}` : `Job ${uid}`;
    const key = `${owner?.uid} ${what}`;
    const other = this.ran.get(key);
    if (other !== undefined) this.broke('I1', `Jobs ${other} and ${uid} both ran for ${key}`);
    this.ran.set(key, uid);
    const backup = this.api.get('backups', namespace, owner?.name ?? '');
    const run = backup?.status?.run;
    if (backup?.metadata.uid === owner?.uid && (run?.jobUID !== uid || run?.outcome !== undefined))
      this.broke('I1', `Job ${uid} is started by ${by}, the claim names ${run?.jobUID} ${run?.outcome ?? ''}`);
    this.alone(job);
    this.ledger.started.set(uid, { backupUid: owner?.uid ?? '', name });
    this.withinCaps(namespace);
  }

  /** No other Job of the same lock is at work. */
  private alone(object: Job | Pod): void {
    const { namespace, labels } = object.metadata;
    const cluster = labels?.[clusterLabel];
    if (cluster === undefined) return;
    const working = new Set<string>();
    for (const pod of this.api.all('pods').values())
      if (this.isOn(pod, namespace, cluster) && !podEnded(pod)) working.add(jobUid(pod));
    for (const job of this.api.all('jobs').values())
      if (
        this.isOn(job, namespace, cluster) &&
        isStarted(job) &&
        job.spec.suspend !== true &&
        jobEnd(job) === undefined
      )
        working.add(job.metadata.uid);
    if (working.size > 1)
      this.broke('I2', `Jobs ${[...working].join(' and ')} work at once under the lock of ${cluster}`);
  }

  private isOn({ metadata }: Job | Pod, namespace: string, cluster: string): boolean {
    return metadata.namespace === namespace && metadata.labels?.[clusterLabel] === cluster;
  }

  private withinCaps(namespace: string): void {
    if (this.now() > this.capsHoldUntil) return;
    const { maxRunning, maxRunningPerNamespace } = this.settings;
    const running = [...this.api.all('jobs').values()].filter((job) => isStarted(job) && jobEnd(job) === undefined);
    const here = running.filter(({ metadata }) => metadata.namespace === namespace);
    if (running.length > maxRunning || here.length > maxRunningPerNamespace)
      this.broke('caps', `${running.length} Jobs run, ${here.length} of them in ${namespace}`);
  }

  /** A Job that was claimed is evidence until its outcome is stored. */
  private jobDeleted(job: Job, by: string): void {
    const { uid, namespace, name } = job.metadata;
    const owner = job.metadata.ownerReferences?.[0];
    const backup = this.api.get('backups', namespace, owner?.name ?? '');
    if (backup?.metadata.uid !== owner?.uid) return;
    const run = backup?.status?.run;
    // A second controller that is behind may take a Job for one that waits in vain: then the run fails, and nothing runs twice.
    if (!this.oneController && jobEnd(job) === undefined) return;
    const started = isStarted(job) && !this.ledger.recorded.has(uid);
    if (started || (run?.jobUID === uid && run.outcome === undefined))
      this.broke('claimed Job deleted', `Job ${name} ${uid} is deleted by ${by}, its outcome is not in status`);
  }

  private leaseChanged(before: Lease | undefined, after: Lease | undefined, by: string): void {
    if (before === undefined || before.spec?.holderIdentity === after?.spec?.holderIdentity) return;
    const why = whyKept(this.api, before, Math.max(this.now(), this.clocks.get(by) ?? 0));
    if (why !== undefined) this.broke('I2', `${by} takes ${before.metadata.name} from ${why}`);
  }
}
