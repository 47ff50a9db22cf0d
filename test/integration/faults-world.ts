// What the tests of faults and attacks share: a namespace of its own for each, a controller that sees only that, behind a proxy that
// can fail, with a clock that can be set; and what users, the kubelet and others do meanwhile.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Backup, type Job, jobEnd, type Pod } from '../../controller/objects.ts';
import type { Result } from '../../crds/rules/contract.ts';
import { annotations, snapshotId } from '../../crds/rules/names.ts';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';
import { type Asked, type Fault, type FaultProxy, startFaultProxy } from '../rig/faults/fault-proxy.ts';
import { stopOwnedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import {
  backupObject,
  createNamespace,
  dueSchedule,
  endPod,
  jobsOf,
  successResult,
  type World,
} from './controller-world.ts';
import { type Program, startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

/** A control plane of the file's own: controllers of other files would do our work. */
export function startOwnCluster(name: string): Promise<Cluster> {
  // Pods must stay where the test leaves them: never on a cluster with a node of somebody's own.
  return startCluster({ name, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
}

export const stopOwnCluster = (name: string): Promise<void> => stopOwnedRig(name, log);

/** Long enough for a machine that does much else; nothing here waits for a time. */
const patience = { seconds: 120, everyMilliseconds: 200 };

/** A cluster that stays may have seen this test before. */
export const unique = (name: string): string => `${name}-${Date.now().toString(36)}`;

export const text = (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`;

/** One namespace with its backups, as the people and programs around the controller see it. */
export class Scene {
  readonly world: World;
  readonly namespace: string;

  constructor(world: World, namespace: string) {
    this.world = world;
    this.namespace = namespace;
  }

  static async make(world: World, name: string, labels: object = {}): Promise<Scene> {
    const scene = new Scene(world, unique(name));
    await scene.call('POST', '/api/v1/namespaces', { metadata: { name: scene.namespace, labels } });
    return scene;
  }

  call<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<T> {
    return this.world.transport.call<T>({ method, path, ...(body === undefined ? {} : { body }) });
  }

  /** Path of something in the namespace: `batch/v1/jobs/x`, `v1/pods/y`. */
  at(what: string): string {
    const [, base = '', rest = ''] = /^((?:[^/]+\/)?v1(?:alpha1)?)\/(.*)$/.exec(what) ?? [];
    return `${base === 'v1' ? '/api' : '/apis'}/${base}/namespaces/${this.namespace}/${rest}`;
  }

  backupPath(name = 'orders'): string {
    return this.at(`dbbackup.io/v1alpha1/databasebackups/${name}`);
  }

  create(spec: object = {}, name = 'orders', metadata: object = {}): Promise<Backup> {
    const object = backupObject(this.namespace, name, spec) as Backup;
    const body = { ...object, metadata: { ...object.metadata, ...metadata } };
    return this.call<Backup>('POST', this.at('dbbackup.io/v1alpha1/databasebackups'), body);
  }

  /** A schedule that was first seen when `status.scheduleBaseline` says. */
  async createSeen(schedule: string, status: object, spec: object = {}, name = 'orders'): Promise<void> {
    await this.create({ schedule, ...spec }, name);
    const { timeZone = 'Etc/UTC' } = spec as { timeZone?: string };
    const seen = { observedGeneration: 1, observedSchedule: `${timeZone} ${schedule}`, ...status };
    await this.patchStatus(seen, name);
  }

  /** A backup whose window came two minutes ago. */
  async createDue(spec: object = {}, name = 'orders'): Promise<string> {
    const { schedule, window, baseline } = dueSchedule(new Date());
    await this.createSeen(schedule, { scheduleBaseline: baseline }, spec, name);
    return window;
  }

  patch(body: object, name = 'orders'): Promise<Backup> {
    return this.call<Backup>('PATCH', this.backupPath(name), body);
  }

  patchStatus(status: object, name = 'orders'): Promise<Backup> {
    return this.call<Backup>('PATCH', `${this.backupPath(name)}/status`, { status });
  }

  /** As `kubectl dbbackup trigger` asks for a backup. */
  trigger(token: string, name = 'orders'): Promise<Backup> {
    return this.patch({ metadata: { annotations: { [annotations.trigger]: token } } }, name);
  }

  /** A change that means nothing, and has the controller look. */
  touch(name = 'orders'): Promise<Backup> {
    return this.patch({ metadata: { annotations: { touched: String(performance.now()) } } }, name);
  }

  async get(name = 'orders'): Promise<Backup> {
    return await this.call<Backup>('GET', this.backupPath(name));
  }

  until(what: string, holds: (backup: Backup) => boolean, name = 'orders'): Promise<Backup> {
    return waitFor(
      `${this.namespace}: ${what}`,
      async () => {
        const backup = await this.get(name);
        return holds(backup) ? backup : undefined;
      },
      patience,
    );
  }

  untilCondition(type: string, reason: string, name = 'orders'): Promise<Backup> {
    return this.until(`${type} is ${reason}`, (backup) => condition(backup, type)?.reason === reason, name);
  }

  untilEnded(outcome: string, name = 'orders'): Promise<Backup> {
    return this.until(`the run is ${outcome}`, ({ status }) => status?.run?.outcome === outcome, name);
  }

  jobs(): Promise<Job[]> {
    return jobsOf(this.world, this.namespace);
  }

  untilJobs(what: string, holds: (jobs: Job[]) => boolean): Promise<Job[]> {
    return waitFor(
      `${this.namespace}: ${what}`,
      async () => {
        const jobs = await this.jobs();
        return holds(jobs) ? jobs : undefined;
      },
      patience,
    );
  }

  /** The Job that runs. */
  async started(except: readonly string[] = []): Promise<Job> {
    const runs = (job: Job): boolean =>
      job.spec.suspend === false && jobEnd(job) === undefined && !except.includes(job.metadata.uid);
    const jobs = await this.untilJobs('a Job runs', (all) => all.some(runs));
    return jobs.find(runs) as Job;
  }

  pod(job: Job): Promise<Pod> {
    const what = `${this.namespace}: Job ${job.metadata.name} has a pod`;
    return waitFor(what, async () => (await this.world.kube.podsOfJob(this.namespace, job.metadata.uid))[0], patience);
  }

  async podStatus(pod: Pod, status: object): Promise<void> {
    await this.call('PATCH', `${this.at(`v1/pods/${pod.metadata.name}`)}/status`, { status });
  }

  /** The run ends, as the executor and the kubelet would have it. */
  async succeed(job: Job, name = 'orders'): Promise<string> {
    const random = Math.floor(Math.random() * 0x10000)
      .toString(16)
      .padStart(4, '0');
    const id = snapshotId(new Date(), { clusterUid: 'x', namespace: this.namespace, name }, random);
    await this.end(job, successResult(id));
    return id;
  }

  fail(job: Job): Promise<void> {
    return this.end(job, { run: { outcome: 'Failed', reason: 'DumpFailed', message: 'connection lost' } });
  }

  end(job: Job, result: Result): Promise<void> {
    return endPod(this.world, this.namespace, job.metadata.uid, result);
  }

  /** One whole run of what waits. */
  async run(name = 'orders'): Promise<Backup> {
    const job = await this.started();
    await this.succeed(job, name);
    return await this.until(
      'its outcome is known',
      ({ status }) => status?.run?.jobUID === job.metadata.uid && status.run.outcome !== undefined,
      name,
    );
  }

  async deleteJob(job: Job, propagationPolicy = 'Background'): Promise<void> {
    await this.call('DELETE', this.at(`batch/v1/jobs/${job.metadata.name}`), { propagationPolicy });
  }

  async holder(lock = 'orders-db'): Promise<string> {
    return (await this.world.kube.getLease(this.namespace, `dbbackup-${lock}`))?.spec?.holderIdentity ?? '';
  }

  untilFree(lock = 'orders-db'): Promise<true> {
    return waitFor(
      `${this.namespace}: the lock is free`,
      async () => (await this.holder(lock)) === '',
      patience,
    ) as Promise<true>;
  }
}

export function condition(backup: Backup, type: string) {
  return backup.status?.conditions?.find((each) => each.type === type);
}

export const isStarted = (job: Job): boolean => job.metadata.annotations?.[annotations.started] !== undefined;

type Act = (scene: FaultyScene, ledger: Ledger) => Promise<void>;

/** One test in a namespace and with a controller of its own. */
export async function inScene(cluster: Cluster, world: World, name: string, act: Act): Promise<void> {
  const scene = await FaultyScene.open(cluster, world, name);
  let ledger: Ledger | undefined;
  try {
    ledger = new Ledger(scene);
    await act(scene, ledger);
  } finally {
    await ledger?.stop();
    await scene.close();
  }
}

/** The fault befalls the first request of its kind. */
export function once(concerns: (asked: Asked) => boolean, fault: () => Fault): (asked: Asked) => Fault | undefined {
  let done = false;
  return (asked) => {
    if (done || !concerns(asked)) return undefined;
    done = true;
    return fault();
  };
}

export const createsJob = ({ method, path }: Asked): boolean => method === 'POST' && path.endsWith('/jobs');
export const startsJob = ({ method, path }: Asked): boolean => method === 'PATCH' && path.includes('/jobs/');
export const writesStatus = ({ method, path }: Asked): boolean => method === 'PUT' && path.endsWith('/status');
export const writesLock = ({ method, path }: Asked): boolean =>
  method !== 'GET' && /\/leases(\/dbbackup-orders-db)?$/.test(path);

/** The window that a Job's name tells. */
export const windowOf = (name: string): string =>
  name.replace(/^.*-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3T$4:$5:$6Z');

/** Every Job that was ever seen in a namespace, and how often each was started. */
export class Ledger {
  readonly jobs = new Map<string, Job>();
  private readonly over = new AbortController();
  private readonly following: Promise<void>;
  private failure: unknown;
  private readonly scene: Scene;

  constructor(scene: Scene) {
    this.scene = scene;
    // Kept until somebody asks: a test that asks for no Jobs must not fail because its cluster went away.
    this.following = this.follow(scene).catch((error: unknown) => {
      this.failure = error;
    });
  }

  async stop(): Promise<void> {
    this.over.abort();
    await this.following;
  }

  /** Follows the Jobs by watch, so that none comes and goes unseen. */
  private async follow({ world, namespace }: Scene): Promise<void> {
    const path = `/apis/batch/v1/namespaces/${namespace}/jobs`;
    const query = { watch: 'true', resourceVersion: '0' };
    try {
      for await (const line of world.transport.lines({ method: 'GET', path, query, signal: this.over.signal })) {
        const { object } = JSON.parse(line) as { object: Job };
        if (object.metadata.uid !== undefined) this.jobs.set(object.metadata.uid, object);
      }
    } catch (error) {
      if (!this.over.signal.aborted) throw error;
    }
  }

  /** Names of the Jobs that were ever started, each as often as one was. */
  async started(): Promise<string[]> {
    // A watch may be later than a list.
    const shown = (await this.scene.jobs()).filter(isStarted).map(({ metadata }) => metadata.uid);
    const isSeen = (uid: string): boolean => [this.jobs.get(uid)].some((job) => job !== undefined && isStarted(job));
    await waitFor('the watch has caught up', async () => this.failure !== undefined || shown.every(isSeen));
    await this.stop();
    if (this.failure !== undefined) throw this.failure;
    return [...this.jobs.values()]
      .filter(isStarted)
      .map(({ metadata }) => metadata.name)
      .sort();
  }
}

/** A namespace with a controller of its own behind a proxy. */
export class FaultyScene extends Scene {
  readonly proxy: FaultProxy;
  clock = 0;
  private readonly folder: string;
  private readonly programs: Program[] = [];

  private constructor(world: World, namespace: string, proxy: FaultProxy, folder: string) {
    super(world, namespace);
    this.proxy = proxy;
    this.folder = folder;
  }

  /** @param all its controllers see every namespace: no other controller may run on this control plane */
  static async open(cluster: Cluster, world: World, name: string, all = false): Promise<FaultyScene> {
    const namespace = unique(name);
    await createNamespace(world, namespace);
    const proxy = await startFaultProxy(cluster.kubeconfig, all ? undefined : namespace);
    const folder = await mkdtemp(join(tmpdir(), `dbbackup-${namespace}-`));
    const scene = new FaultyScene(world, namespace, proxy, folder);
    await scene.setClock(0);
    await writeFile(scene.kubeconfig, kubeconfigOf(proxy.url), { mode: 0o600 });
    return scene;
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  /** How far the clocks of this scene's controllers are ahead. */
  async setClock(milliseconds: number): Promise<void> {
    this.clock = milliseconds;
    const file = join(this.folder, 'clock');
    await writeFile(`${file}.new`, String(milliseconds));
    await rename(`${file}.new`, file);
  }

  /** A controller without election, working once this resolves. */
  async start(...more: string[]): Promise<Program> {
    const program = this.launch({}, '--no-leader-elect', ...more);
    await program.printed('caches are filled');
    return program;
  }

  /** A controller that dies at the first request of a kind, which the server gets or not, and is gone once this resolves. */
  async startAndKillAt(concerns: (asked: Asked) => boolean, lose: 'request' | 'answer'): Promise<void> {
    const killed = Promise.withResolvers<void>();
    const program = this.launch({}, '--no-leader-elect');
    this.proxy.fault = once(concerns, () => {
      // The server answers no sooner than the controller is dead: it does nothing more.
      killed.resolve(program.kill());
      return { lose };
    });
    await killed.promise;
  }

  launch(env: Record<string, string>, ...more: string[]): Program {
    const args = ['--executor-image', 'executor:test', '--health-port', '0', '--metrics-port', '0', ...more];
    const program = startProgram('controller/main.ts', args, {
      KUBECONFIG: this.kubeconfig,
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('../rig/faults/clock.ts', import.meta.url))}`,
      DBBACKUP_TEST_CLOCK: join(this.folder, 'clock'),
      ...env,
    });
    this.programs.push(program);
    return program;
  }

  /** Requests since a steady time, those of events and leader election aside. */
  askedSince(at: number): FaultProxy['asked'] {
    return this.proxy.asked.filter((asked) => asked.at >= at && !/\/events|dbbackup-controller/.test(asked.path));
  }

  async killAll(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.kill()));
  }

  async close(): Promise<void> {
    await this.killAll();
    await this.proxy.down().catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }
}

function kubeconfigOf(url: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    // The client refuses plain HTTP unless it is told that TLS does not matter here.
    clusters: [{ name: 'proxy', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'proxy', user: {} }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    'current-context': 'proxy',
  });
}
