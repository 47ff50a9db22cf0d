// A living DatabaseBackup, alone in its namespace, and what people and the kubelet do to it.
import { type Backup, type Job, jobEnd } from '../../controller/objects.ts';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import type { Result } from '../../crds/rules/contract.ts';
import { annotations, leaseName, serviceAccountLabel, snapshotId } from '../../crds/rules/names.ts';
import { createNamespace, endPod, successResult, type World } from '../integration/controller-world.ts';
import type { Eyes } from './eyes.ts';

const name = 'orders';

export class Subject {
  readonly world: World;
  readonly eyes: Eyes;
  readonly namespace: string;
  /** Whether its owner applies it or replaces it: the API server remembers who wrote what. */
  readonly applies: boolean;
  private tokens = 0;

  constructor(world: World, eyes: Eyes, namespace: string, applies = true) {
    this.applies = applies;
    this.world = world;
    this.eyes = eyes;
    this.namespace = namespace;
  }

  private get path(): string {
    return `/apis/dbbackup.io/v1alpha1/namespaces/${this.namespace}/databasebackups/${name}`;
  }

  get now(): Backup | undefined {
    return this.eyes.backups.items.get(`${this.namespace}/${name}`);
  }

  get jobs(): Job[] {
    return this.eyes.jobsIn(this.namespace);
  }

  async begin(): Promise<this> {
    await createNamespace(this.world, this.namespace);
    return this;
  }

  post<T>(path: string, body: object): Promise<T> {
    return this.world.transport.call<T>({ method: 'POST', path, body });
  }

  patch(path: string, body: object): Promise<unknown> {
    return this.world.transport.call({ method: 'PATCH', path, body });
  }

  annotate(texts: Record<string, string | null>): Promise<unknown> {
    return this.patch(this.path, { metadata: { annotations: texts } });
  }

  label(texts: Record<string, string>): Promise<unknown> {
    return this.patch(this.path, { metadata: { labels: texts } });
  }

  /** As Argo CD and Flux do it. */
  apply(spec: DatabaseBackupSpec): Promise<Backup> {
    return this.world.transport.call<Backup>({
      method: 'PATCH',
      path: this.path,
      query: { fieldManager: 'gitops', force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup', metadata: { name }, spec },
    });
  }

  create(spec: DatabaseBackupSpec): Promise<Backup> {
    const body = { apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup', metadata: { name }, spec };
    return this.post(this.path.slice(0, -name.length - 1), body);
  }

  /** As `kubectl replace` does it. */
  async replace(spec: DatabaseBackupSpec): Promise<Backup> {
    const live = await this.world.kube.getBackup(this.namespace, name);
    return await this.world.transport.call<Backup>({ method: 'PUT', path: this.path, body: { ...live, spec } });
  }

  allowAccount(account: string): Promise<unknown> {
    const metadata = { name: account, labels: { [serviceAccountLabel.key]: serviceAccountLabel.value } };
    return this.post(`/api/v1/namespaces/${this.namespace}/serviceaccounts`, { metadata }).catch(() => undefined);
  }

  /** Asks for a backup with a token that was not used before. */
  async trigger(): Promise<string> {
    this.tokens += 1;
    const token = `token-${this.tokens}`;
    await this.annotate({ [annotations.trigger]: token });
    return token;
  }

  until<T>(what: string, look: (backup: Backup) => T | undefined | false): Promise<T> {
    const { namespace } = this;
    return this.eyes
      .until(`${namespace}: ${what}`, () => (this.now === undefined ? undefined : look(this.now)))
      .catch((error: unknown) => {
        const seen = {
          status: this.now?.status,
          jobs: this.jobs.map(({ metadata, spec }) => [metadata.name, spec.suspend]),
        };
        throw new Error(`${String(error)}\n${JSON.stringify(seen)}`);
      });
  }

  /** The only Job that waits for its turn, if it satisfies. */
  waiting(satisfies: (job: Job) => boolean = () => true): Promise<Job> {
    return this.until('one Job waits', () => {
      const jobs = this.jobs.filter((job) => job.spec.suspend === true && job.metadata.deletionTimestamp === undefined);
      return jobs.length === 1 && jobs[0] !== undefined && satisfies(jobs[0]) ? jobs[0] : undefined;
    });
  }

  /** The run that goes on and has its pod. */
  started(): Promise<Job> {
    return this.until('a Job is started and has a pod', ({ status }) => {
      const job = this.jobs.find(({ metadata }) => metadata.uid === status?.run?.jobUID);
      if (job?.spec.suspend !== false || jobEnd(job) !== undefined) return undefined;
      const pods = [...this.eyes.pods.items.values()];
      return pods.some(({ metadata }) => metadata.ownerReferences?.[0]?.uid === job.metadata.uid) ? job : undefined;
    });
  }

  private get cluster(): string {
    return this.now?.status?.effective?.cluster ?? '';
  }

  /** The lock, as `kubectl dbbackup lock` takes it, or gives it back. */
  async hold(holderIdentity: string): Promise<void> {
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${this.namespace}/leases`;
    const lease = leaseName(this.cluster);
    const labels = { 'app.kubernetes.io/managed-by': 'dbbackup', 'dbbackup.io/cluster': this.cluster };
    if ((await this.world.kube.getLease(this.namespace, lease)) !== undefined)
      await this.patch(`${leases}/${lease}`, { spec: { holderIdentity } });
    else await this.post(leases, { metadata: { name: lease, labels }, spec: { holderIdentity } });
  }

  /** Ends the run that goes on; resolves when its outcome is stored and the lock is free. */
  async end(result: Result = successResult(this.snapshot())): Promise<Backup> {
    const job = await this.started();
    await endPod(this.world, this.namespace, job.metadata.uid, result);
    return await this.until('the outcome is stored', (backup) => {
      const { jobUID, outcome } = backup.status?.run ?? {};
      const holder = this.eyes.leases.items.get(`${this.namespace}/${leaseName(this.cluster)}`)?.spec?.holderIdentity;
      return jobUID === job.metadata.uid && outcome !== undefined && holder === '' ? backup : undefined;
    });
  }

  private snapshot(): string {
    return snapshotId(new Date(), { clusterUid: 'x', namespace: this.namespace, name }, '0000');
  }
}

/** Each as `Type=Status Reason`, sorted. */
export const conditionsOf = ({ status }: Backup): string[] =>
  (status?.conditions ?? []).map(({ type, status: value, reason }) => `${type}=${value} ${reason}`).sort();

/** The controller has looked at the spec as it is now, and all that it says is of that spec. */
export const isSettled = ({ metadata, status }: Backup): boolean =>
  status?.observedGeneration === metadata.generation &&
  (status?.conditions ?? []).every(({ observedGeneration }) => observedGeneration === metadata.generation);
