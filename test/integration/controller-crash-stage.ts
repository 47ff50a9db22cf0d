// One backup, alone in its namespace, for the crash sweep: what a person and the kubelet do, and what is left in the end.
import { type Backup, type Job, jobEnd, type Lease, type Pod, podEnded } from '../../controller/objects.ts';
import type { Result } from '../../crds/rules/contract.ts';
import { annotations, group, plural, snapshotId, version } from '../../crds/rules/names.ts';
import { waitFor } from '../wait.ts';
import type { History } from './controller-history.ts';
import {
  backupObject,
  createDueBackup,
  createNamespace,
  endedStatus,
  setPodStatus,
  successResult,
  type World,
} from './controller-world.ts';

const name = 'orders';
const leaseName = 'dbbackup-orders-db';

export class Stage {
  readonly world: World;
  readonly history: History;
  readonly namespace: string;

  constructor(world: World, history: History, namespace: string) {
    this.world = world;
    this.history = history;
    this.namespace = namespace;
  }

  private get path(): string {
    return `/apis/${group}/${version}/namespaces/${this.namespace}/${plural}/${name}`;
  }

  private get key(): string {
    return `${this.namespace}/${name}`;
  }

  get backup(): Backup | undefined {
    return this.history.backups.items.get(this.key);
  }

  get lease(): Lease | undefined {
    return this.history.leases.items.get(`${this.namespace}/${leaseName}`);
  }

  get jobs(): Job[] {
    const all = [...this.history.jobs.items.values()].filter(({ metadata }) => metadata.namespace === this.namespace);
    return all.sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
  }

  private get pods(): Pod[] {
    return [...this.history.pods.items.values()].filter(({ metadata }) => metadata.namespace === this.namespace);
  }

  until<T>(what: string, ask: () => T | undefined | false): Promise<T> {
    return this.history.until(this.namespace, what, ask);
  }

  async open(): Promise<void> {
    await createNamespace(this.world, this.namespace);
  }

  async create(spec: object = {}): Promise<void> {
    const path = this.path.slice(0, -name.length - 1);
    await this.world.transport.call({ method: 'POST', path, body: backupObject(this.namespace, name, spec) });
  }

  async due(spec: object = {}): Promise<void> {
    await createDueBackup(this.world, this.namespace, name, spec);
  }

  /** A run of the past, in another image. */
  async dumpedBefore(image: string): Promise<void> {
    const { run } = successResult(this.snapshot());
    if (run.outcome !== 'Succeeded') throw new Error('a success is no success');
    const { outcome: _, ...facts } = run;
    await this.patch({ status: { lastSnapshot: { ...facts, image } } }, '/status');
  }

  async patch(body: object, below = ''): Promise<void> {
    await this.world.transport.call({ method: 'PATCH', path: `${this.path}${below}`, body });
  }

  /** As `kubectl dbbackup trigger` asks for a backup. */
  trigger(token: string): Promise<void> {
    return this.patch({ metadata: { annotations: { [annotations.trigger]: token } } });
  }

  async observed(): Promise<void> {
    await this.until('it is observed', () => this.backup?.status?.conditions?.some(({ type }) => type === 'Ready'));
  }

  async allowNoPods(): Promise<void> {
    const path = `/api/v1/namespaces/${this.namespace}/resourcequotas`;
    const body = { metadata: { name: 'none' }, spec: { hard: { pods: '0' } } };
    await this.world.transport.call({ method: 'POST', path, body });
    // A pod that is made before that changes the whole story.
    await waitFor('the quota is in force', async () => {
      const one = { method: 'GET', path: `${path}/none` } as const;
      return (await this.world.transport.call<{ status?: { hard?: object } }>(one)).status?.hard !== undefined;
    });
  }

  /** Somebody else takes the lock, through the plain API. */
  async lock(durationSeconds?: number, labels: Record<string, string> = {}): Promise<void> {
    const time = new Date().toISOString().replace('Z', '000Z');
    const duration = durationSeconds === undefined ? {} : { leaseDurationSeconds: durationSeconds };
    const spec = { holderIdentity: 'migration', acquireTime: time, renewTime: time, ...duration };
    await this.world.kube.createLease(this.namespace, { metadata: { name: leaseName, labels }, spec });
  }

  async unlock(): Promise<void> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${this.namespace}/leases/${leaseName}`;
    await this.world.transport.call({ method: 'PATCH', path, body: { spec: { holderIdentity: '' } } });
  }

  waitingJob(): Promise<Job> {
    return this.until('a Job waits', () => this.jobs.find(({ spec }) => spec.suspend === true));
  }

  /** Plays the kubelet: the next pod runs, and status says so. */
  async work(): Promise<Pod> {
    const pod = await this.until('a pod is to be run', () =>
      this.pods.find(({ status }) => status?.phase === 'Pending'),
    );
    await setPodStatus(this.world, pod, { phase: 'Running' });
    await this.until('status says that it runs', () => this.backup?.status?.phase === 'Running');
    return pod;
  }

  async succeed(): Promise<void> {
    const pod = await this.work();
    await setPodStatus(this.world, pod, endedStatus(successResult(this.snapshot())));
  }

  async fail(secondsAgo = 0): Promise<void> {
    const pod = await this.work();
    const failed: Result = { run: { outcome: 'Failed', reason: 'DumpFailed', message: 'connection lost' } };
    await setPodStatus(this.world, pod, endedStatus(failed, secondsAgo));
  }

  /** As `kubectl dbbackup cancel` does it. */
  async cancel(): Promise<void> {
    const job = this.jobs[0];
    if (job === undefined) throw new Error(`cancel in ${this.namespace}: there is no Job`);
    await this.world.kube.patchJob(this.namespace, job.metadata.name, { spec: { suspend: true } });
  }

  async ended(): Promise<void> {
    const free = (): boolean => this.lease?.spec?.holderIdentity === '';
    await this.until('the outcome is in status and the lock is free', () => this.outcome !== undefined && free());
  }

  get outcome(): string | undefined {
    return this.backup?.status?.run?.outcome;
  }

  /** What a controller has to have seen before its silence means anything. */
  get objects(): (Backup | Job | Lease)[] {
    return [this.backup, this.lease, ...this.jobs].filter((object) => object !== undefined);
  }

  /** All that is left, without what no two runs have in common: times, uids and names made of them. */
  get end(): unknown {
    const jobs = this.jobs.map((job) => {
      const { metadata, spec } = job;
      const { annotations: found, labels, uid, name: jobName } = metadata;
      return { uid, jobName, end: jobEnd(job) ?? null, suspend: spec.suspend, annotations: found, labels };
    });
    const lease = { annotations: this.lease?.metadata.annotations ?? {}, spec: this.lease?.spec };
    const open = this.pods.filter((pod) => !podEnded(pod)).length;
    return nameless(JSON.stringify({ jobs, lease, openPods: open, status: this.backup?.status }), this.namespace);
  }

  private snapshot(): string {
    return snapshotId(new Date(), { clusterUid: 'x', namespace: this.namespace, name }, '0000');
  }
}

function nameless(text: string, namespace: string): unknown {
  const uids: string[] = [];
  const numbered = (uid: string): string => {
    if (!uids.includes(uid)) uids.push(uid);
    return `<uid ${uids.indexOf(uid) + 1}>`;
  };
  return JSON.parse(
    text
      .replaceAll(namespace, '<namespace>')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, numbered)
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
      .replace(/\d{8}T\d{6}Z-[0-9a-f]{8}/g, '<snapshot>')
      .replace(/-\d{14}\b/g, '-<window>')
      .replace(/-t-[0-9a-f]{10}\b/g, '-t-<digest>')
      .replace(/"[0-9a-f]{16}"/g, '"<spec>"')
      .replace(/\b\d+ \d+ \* \* \*/g, '<schedule>'),
  );
}
