// Everything that one history plays in: the API server, Kubernetes' own controllers, nodes, ours, and people who change things.
import type { Backup, Job, Pod } from '../../controller/objects.ts';
import type { Settings } from '../../controller/observed.ts';
import { smallest, withField } from '../crds/backup.ts';
import { randomOf } from '../crds/seeded.ts';
import { Agenda } from './agenda.ts';
import { Api, type Change } from './api.ts';
import type { History, Planned } from './history.ts';
import { Instance } from './instance.ts';
import { Invariants, isController } from './invariants.ts';
import { JobController } from './job-controller.ts';
import { Kubelet } from './kubelet.ts';

export class World {
  readonly agenda: Agenda;
  readonly api: Api;
  readonly kubelet: Kubelet;
  readonly jobs: JobController;
  readonly invariants: Invariants;
  readonly controllers: Instance[];
  readonly history: History;
  readonly lines: string[] = [];
  /** The API server answers again at this time. */
  awayUntil = 0;
  /** Code of a controller has been woken. */
  woken = false;
  private readonly tracing: boolean;

  constructor(history: History, tracing: boolean) {
    this.history = history;
    this.tracing = tracing;
    const stream = (salt: number) =>
      randomOf(Math.imul(history.seed + 1, 0x9e3779b1) ^ Math.imul(history.number + salt, 0xc2b2ae35));
    this.agenda = new Agenda(history.start);
    const { agenda } = this;
    this.api = new Api(() => agenda.now);
    this.kubelet = new Kubelet(agenda, this.api, stream(1));
    this.jobs = new JobController(agenda, this.api, this.kubelet, stream(2));
    const settings: Settings = {
      ...history.caps,
      executorImage: 'executor:simulated',
      clusterUid: 'c0ffee',
      startTimeoutSeconds: 600,
    };
    this.invariants = new Invariants(this.api, settings, this.kubelet.bucket, () => agenda.now);
    const { api, jobs, invariants } = this;
    const around = {
      ...{ agenda, api, jobs, invariants, settings },
      away: () => this.awayUntil > agenda.now,
      trace: (what: string) => this.trace(what),
      woken: () => {
        this.woken = true;
      },
    };
    this.controllers = history.controllers.map(
      (offset, index) => new Instance(`c${index}`, offset, around, stream(index + 3)),
    );
    this.invariants.oneController = history.controllers.length === 1;
    this.invariants.clocksAreRight =
      history.controllers.every((offset) => offset === 0) && history.actions.every(({ what }) => what !== 'clock');
    this.invariants.capsHoldUntil = capsHoldUntil(history);
    if (tracing) api.followers.push((change) => this.tell(change));
  }

  trace(what: string): void {
    if (this.tracing) this.lines.push(`${new Date(this.agenda.now).toISOString().slice(11, 23)}  ${what}`);
  }

  /** What others than our controllers do. */
  private tell({ kind, before, after, by }: Change): void {
    const object = after ?? before;
    if (isController(by) || object === undefined) return;
    const state =
      kind === 'pods' ? (after as Pod | undefined)?.status?.phase : kind === 'jobs' ? jobState(after as Job) : '';
    const did = before === undefined ? 'makes' : after === undefined ? 'removes' : 'changes';
    this.trace(`${by} ${did} ${kind.slice(0, -1)} ${object.metadata.name} ${object.metadata.uid} ${state ?? ''}`);
  }

  planned(name: string): Planned {
    const found = this.history.backups.find((one) => one.name === name);
    if (found === undefined) throw new Error(`find backup "${name}": the history does not plan it`);
    return found;
  }

  find(name: string): Backup | undefined {
    const { namespace } = this.planned(name);
    return this.api.get('backups', namespace, name);
  }

  create({ namespace, name, cluster, spec }: Planned): void {
    const { metadata: _, ...rest } = smallest;
    const given = {
      ...rest,
      metadata: { name },
      spec: {
        ...smallest.spec,
        schedule: undefined,
        storage: { ...smallest.spec.storage, pathPrefix: name },
        ...spec,
        database: { ...smallest.spec.database, cluster },
      },
      status: { observedGeneration: -1 },
    };
    if (this.api.going.has(namespace) || this.api.get('backups', namespace, name) !== undefined) return;
    this.api.create('backups', namespace, JSON.parse(JSON.stringify(given)), 'user');
  }

  edit(backup: Backup, path: string, value: unknown): void {
    this.api.change('backups', backup, 'user', (old) => withField(path, value, old) as unknown as Backup);
  }

  jobsOf(backup: Backup): Job[] {
    return [...this.api.all('jobs').values()].filter(
      ({ metadata }) => metadata.ownerReferences?.[0]?.uid === backup.metadata.uid,
    );
  }
}

function jobState(job: Job | undefined): string {
  if (job === undefined) return '';
  const conditions = job.status?.conditions?.map(({ type, reason }) => `${type} ${reason ?? ''}`) ?? [];
  return `${job.spec.suspend === true ? 'suspended ' : ''}${conditions.join(' ')}`;
}

/** Seats are for a minute: who knows of their Jobs' start later than that, or loses the time, may let one too many go. */
function capsHoldUntil({ controllers, actions, start }: History): number {
  const slow = actions.filter(
    (action) =>
      action.what === 'clock' ||
      action.what === 'crash' ||
      (action.what === 'fault' && /crash|slow/.test(action.fault)) ||
      ((action.what === 'lag' || action.what === 'relist' || action.what === 'pause') && action.seconds > 40) ||
      action.what === 'strip labels',
  );
  return controllers.length === 1 ? start + Math.min(...slow.map(({ at }) => at)) : 0;
}
