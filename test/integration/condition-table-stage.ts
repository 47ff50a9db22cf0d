// One DatabaseBackup alone in its namespace, and what a person, the kubelet and others do to it while the real controller looks on.
import { type Backup, type Job, jobEnd, type Pod } from '../../controller/objects.ts';
import type { Result } from '../../crds/rules/contract.ts';
import { annotations, snapshotId } from '../../crds/rules/names.ts';
import type { State } from '../condition-table/rows.ts';
import { waitFor } from '../wait.ts';
import { backupObject, endPod, jobsOf, setPodStatus, successResult, type World } from './controller-world.ts';

export type Makers = Partial<Record<State, (stage: Stage) => Promise<Backup>>>;
export type Make = NonNullable<Makers[State]>;

export const name = 'orders';

/** What the executor leaves when the database goes away. */
export const lost: Result = { run: { outcome: 'Failed', reason: 'DumpFailed', message: 'connection lost' } };

/** One backup, alone in its namespace. */
export class Stage {
  readonly world: World;
  readonly namespace: string;

  constructor(world: World, namespace: string) {
    this.world = world;
    this.namespace = namespace;
  }

  get path(): string {
    return `/apis/dbbackup.io/v1alpha1/namespaces/${this.namespace}/databasebackups/${name}`;
  }

  post<T>(path: string, body: object, query?: Record<string, string>): Promise<T> {
    return this.world.transport.call<T>({ method: 'POST', path, body, ...(query === undefined ? {} : { query }) });
  }

  patch(path: string, body: object): Promise<unknown> {
    return this.world.transport.call({ method: 'PATCH', path, body });
  }

  create(spec: object = {}): Promise<Backup> {
    return this.post(this.path.slice(0, -name.length - 1), backupObject(this.namespace, name, spec));
  }

  /** As `kubectl dbbackup trigger` asks for a backup. */
  trigger(token: string): Promise<unknown> {
    return this.patch(this.path, { metadata: { annotations: { [annotations.trigger]: token } } });
  }

  get(): Promise<Backup | undefined> {
    return this.world.kube.getBackup(this.namespace, name);
  }

  /** The object once the controller says so. */
  until(what: string, holds: (backup: Backup) => boolean, seconds = 150): Promise<Backup> {
    return waitFor(
      `${this.namespace}: ${what}`,
      async () => {
        const backup = await this.get();
        return backup !== undefined && holds(backup) ? backup : undefined;
      },
      { seconds, everyMilliseconds: 300 },
    );
  }

  /** The Job that was started last, its pod there. */
  started(): Promise<{ job: Job; pod: Pod }> {
    return waitFor(
      `${this.namespace}: a Job has a pod`,
      async () => {
        const jobs = await jobsOf(this.world, this.namespace);
        const job = jobs.find((each) => each.spec.suspend === false && jobEnd(each) === undefined);
        const pods = job === undefined ? [] : await this.world.kube.podsOfJob(this.namespace, job.metadata.uid);
        const pod = pods.find(({ status }) => status?.phase === 'Pending');
        return job === undefined || pod === undefined ? undefined : { job, pod };
      },
      { seconds: 150, everyMilliseconds: 300 },
    );
  }

  async end(result: Result): Promise<Backup> {
    const { job } = await this.started();
    await endPod(this.world, this.namespace, job.metadata.uid, result);
    return await this.until('the outcome is in status', ({ status }) => status?.run?.outcome !== undefined);
  }

  succeed(): Promise<Backup> {
    return this.end(successResult(this.snapshot()));
  }

  fail(): Promise<Backup> {
    return this.end(lost);
  }

  snapshot(): string {
    return snapshotId(new Date(), { clusterUid: 'x', namespace: this.namespace, name }, '0000');
  }

  async work(): Promise<Backup> {
    const { pod } = await this.started();
    await setPodStatus(this.world, pod, { phase: 'Running' });
    return await this.until('it runs', ({ status }) => status?.phase === 'Running');
  }
}

export const is = (backup: Backup, type: string, status: string): boolean =>
  backup.status?.conditions?.some((condition) => condition.type === type && condition.status === status) === true;
export const isReady = (backup: Backup): boolean => is(backup, 'Ready', 'True');
export const isLocked = (backup: Backup): boolean => is(backup, 'Locked', 'True');
export const isFailing = (backup: Backup): boolean => is(backup, 'BackupHealthy', 'False');

/** A single pod a Job: the first failure is the last. */
export const oneTry = { job: { backoffLimit: 0 } };

export const observed =
  (spec?: object): Make =>
  async (stage) => {
    await stage.create(spec);
    return await stage.until('it is observed', isReady);
  };

/** Somebody who gives no duration has the lock, and keeps it. */
export async function holdLock(stage: Stage): Promise<void> {
  const holder = { holderIdentity: 'migration', acquireTime: new Date().toISOString().replace('Z', '000Z') };
  const body = { metadata: { name: 'dbbackup-orders-db' }, spec: holder };
  await stage.post(`/apis/coordination.k8s.io/v1/namespaces/${stage.namespace}/leases`, body);
}
