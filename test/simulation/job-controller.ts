// Kubernetes' own Job controller and garbage collector: pods for Jobs that are not suspended, their end, and what follows its owner.
import { type Job, jobEnd, type Pod, podEnded } from '../../controller/objects.ts';
import { keyOf } from '../../controller/watch.ts';
import { labels } from '../../crds/rules/names.ts';
import { permanentExitCodes } from '../../crds/rules/reasons.ts';
import type { Random } from '../crds/seeded.ts';
import type { Agenda } from './agenda.ts';
import type { Api, Change } from './api.ts';
import { jobUid, type Kubelet } from './kubelet.ts';

const second = 1000;
const permanent = new Set(permanentExitCodes());

/** The parts of a Job's spec that the controller of dbbackup never reads. */
interface Spec {
  suspend?: boolean;
  backoffLimit?: number;
  activeDeadlineSeconds?: number;
  template?: { metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }; spec?: object };
}

interface Memory {
  made: number;
  failed: number;
  /** Pods that were disrupted: they put the next one off as those that failed do. */
  disrupted: number;
  retryAt: number;
  /** Pods that are not reckoned yet. */
  open: Set<string>;
  verdict?: { type: 'Complete' | 'Failed'; reason: string };
  /** Says Failed before the last pod has gone, as clusters older than 1.31 did. */
  hasty: boolean;
}

export class JobController {
  /** Events about Jobs that get no pod, by uid. */
  readonly events = new Map<string, { type: string; reason: string; message: string }[]>();
  private readonly agenda: Agenda;
  private readonly api: Api;
  private readonly kubelet: Kubelet;
  private readonly random: Random;
  private readonly memories = new Map<string, Memory>();
  private readonly planned = new Set<string>();

  constructor(agenda: Agenda, api: Api, kubelet: Kubelet, random: Random) {
    this.agenda = agenda;
    this.api = api;
    this.kubelet = kubelet;
    this.random = random;
    api.followers.push((change) => this.follow(change));
  }

  private follow({ kind, before, after }: Change): void {
    if (kind === 'backups' && after === undefined) this.agenda.in(this.delay(60), () => this.collect());
    if (kind === 'jobs' && after === undefined)
      this.agenda.in(this.delay(20), () => this.collectPods(before?.metadata.uid ?? ''));
    if (kind === 'jobs' && after !== undefined) {
      this.plan(after as Job);
      if (before === undefined) this.agenda.in(this.delay(60), () => this.collect());
    }
    if (kind !== 'pods') return;
    const pod = (after ?? before) as Pod;
    for (const job of this.api.all('jobs').values()) if (job.metadata.uid === jobUid(pod)) this.plan(job);
  }

  private delay(seconds: number): number {
    return 200 + this.random.below(this.kubelet.calm ? second : seconds * second);
  }

  private plan(job: Job, wait = 50 + this.random.below(500)): void {
    const { uid, namespace, name } = job.metadata;
    if (this.planned.has(uid) || jobEnd(job) !== undefined) return;
    this.planned.add(uid);
    this.agenda.in(wait, () => {
      this.planned.delete(uid);
      const now = this.api.get('jobs', namespace, name);
      if (now?.metadata.uid === uid) this.sync(now);
    });
  }

  private sync(job: Job): void {
    if (jobEnd(job) !== undefined || job.metadata.deletionTimestamp !== undefined) return;
    const memory = this.memoryOf(job);
    const pods = this.api.podsOfJob(job.metadata.uid);
    this.reckon(memory, pods, (job.spec as Spec).backoffLimit ?? 6);
    if (job.spec.suspend === true) this.suspend(job, pods);
    else if (job.status?.startTime === undefined) this.begin(job);
    else this.goOn(job, memory, pods);
  }

  private memoryOf({ metadata: { uid } }: Job): Memory {
    const known = this.memories.get(uid);
    const memory = known ?? {
      made: 0,
      failed: 0,
      disrupted: 0,
      retryAt: 0,
      open: new Set(),
      hasty: this.random.chance(0.3),
    };
    this.memories.set(uid, memory);
    return memory;
  }

  private reckon(memory: Memory, pods: readonly Pod[], backoffLimit: number): void {
    for (const uid of memory.open) {
      const pod = pods.find(({ metadata }) => metadata.uid === uid);
      if (pod !== undefined && !podEnded(pod)) continue;
      memory.open.delete(uid);
      if (pod?.status?.phase === 'Succeeded') memory.verdict ??= { type: 'Complete', reason: '' };
      if (pod?.status?.phase === 'Succeeded') continue;
      // Disruptions are not counted: podFailurePolicy says Ignore.
      const ignored = pod?.status?.conditions?.some(({ type }) => type === 'DisruptionTarget') === true;
      if (ignored) memory.disrupted += 1;
      else memory.failed += 1;
      const wait = 10 * second * 2 ** (memory.failed + memory.disrupted - 1);
      memory.retryAt = this.agenda.now + Math.min(wait, 600 * second);
      if (ignored) continue;
      const codes = pod?.status?.containerStatuses?.map(({ state }) => state?.terminated?.exitCode ?? 0) ?? [];
      if (codes.some((code) => permanent.has(code))) memory.verdict ??= { type: 'Failed', reason: 'PodFailurePolicy' };
      if (memory.failed > backoffLimit) memory.verdict ??= { type: 'Failed', reason: 'BackoffLimitExceeded' };
    }
  }

  private suspend(job: Job, pods: readonly Pod[]): void {
    for (const pod of pods) if (!podEnded(pod)) this.kubelet.remove(pod);
    this.status(job, ({ startTime: _, ...status }) => ({
      ...status,
      conditions: [{ type: 'Suspended', status: 'True', reason: 'JobSuspended' }],
    }));
  }

  private begin(job: Job): void {
    this.status(job, (status) => ({ ...status, startTime: this.time(), conditions: [] }));
  }

  private goOn(job: Job, memory: Memory, pods: readonly Pod[]): void {
    const limit = Date.parse(job.status?.startTime ?? '') + (job.spec.activeDeadlineSeconds ?? 1e6) * second;
    if (this.agenda.now >= limit) memory.verdict ??= { type: 'Failed', reason: 'DeadlineExceeded' };
    const live = pods.filter((pod) => !podEnded(pod));
    const { verdict } = memory;
    if (verdict === undefined) {
      if (live.length === 0) this.more(job, memory);
      this.agenda.at(limit, () => this.plan(job, 0));
      return;
    }
    for (const pod of live) this.kubelet.remove(pod);
    if (live.length > 0 && !memory.hasty) {
      const conditions = [{ type: 'FailureTarget', status: 'True', reason: verdict.reason }];
      this.status(job, (status) => ({ ...status, conditions }));
    } else
      this.status(job, (status) => ({
        ...status,
        conditions: [{ type: verdict.type, status: 'True', reason: verdict.reason }],
        ...(verdict.type === 'Complete' ? { completionTime: this.time() } : {}),
      }));
  }

  private more(job: Job, memory: Memory): void {
    const wait = memory.retryAt - this.agenda.now;
    const backup = job.metadata.labels?.[labels.backup];
    if (wait > 0) this.plan(job, wait);
    else if (this.kubelet.refusesNext(backup)) {
      const message = 'exceeded quota: simulated';
      this.events.set(job.metadata.uid, [{ type: 'Warning', reason: 'FailedCreate', message }]);
      this.agenda.in(20 * second, () => this.plan(job));
    } else this.makePod(job, memory);
  }

  private makePod(job: Job, memory: Memory): void {
    const { name, uid, namespace } = job.metadata;
    const { metadata, spec } = (job.spec as Spec).template ?? {};
    const { activeDeadlineSeconds } = (spec ?? {}) as { activeDeadlineSeconds?: number };
    const ours = { 'batch.kubernetes.io/controller-uid': uid, 'batch.kubernetes.io/job-name': name };
    const given = {
      metadata: { name: `${name}-${memory.made++}`, labels: { ...metadata?.labels, ...ours } },
      spec: { nodeName: 'node', activeDeadlineSeconds },
      status: { phase: 'Pending' },
    };
    // A pod of an earlier Job of this name is still there.
    if (this.api.get('pods', namespace, given.metadata.name) !== undefined) this.plan(job, second);
    else if (!this.api.going.has(namespace))
      memory.open.add(this.api.create('pods', namespace, given, 'job-controller').metadata.uid);
  }

  private status(job: Job, next: (status: NonNullable<Job['status']>) => NonNullable<Job['status']>): void {
    this.api.change('jobs', job, 'job-controller', (old) => ({ ...old, status: next(old.status ?? {}) }));
  }

  private time(): string {
    return `${new Date(this.agenda.now).toISOString().slice(0, 19)}Z`;
  }

  /** Jobs whose backup is gone go, whenever they were made. */
  private collect(): void {
    for (const job of this.api.all('jobs').values()) {
      const owner = job.metadata.ownerReferences?.[0];
      if (owner === undefined) continue;
      const found = this.api.get('backups', job.metadata.namespace, owner.name);
      if (found?.metadata.uid !== owner.uid) this.api.remove('jobs', job, 'collector');
    }
  }

  private collectPods(uid: string): void {
    for (const pod of this.api.podsOfJob(uid))
      if (!podEnded(pod)) this.kubelet.remove(pod);
      else this.api.remove('pods', pod, 'collector');
  }

  /** A Job that is deleted in the foreground stays until its pods have gone. */
  removeSlowly(job: Job): void {
    const now = this.api.get('jobs', job.metadata.namespace, job.metadata.name);
    if (now === undefined || keyOf(now) !== keyOf(job) || now.metadata.uid !== job.metadata.uid) return;
    const deletionTimestamp = now.metadata.deletionTimestamp ?? this.time();
    this.api.change('jobs', now, 'user', (old) => ({ ...old, metadata: { ...old.metadata, deletionTimestamp } }));
    this.collectPods(now.metadata.uid);
    if (this.api.podsOfJob(now.metadata.uid).length === 0) this.api.remove('jobs', now, 'collector');
    else this.agenda.in(2 * second, () => this.removeSlowly(now));
  }
}
