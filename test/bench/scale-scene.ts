// A control plane of its own with one controller under measurement: ours as it is shipped, or kube-controller-manager with its CronJob
// controller alone. Jobs are watched from the outside.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { pino } from 'pino';
import { build } from '../../build.ts';
import type { Backup, Job, Meta } from '../../controller/objects.ts';
import { Transport } from '../../controller/transport.ts';
import { Reflector } from '../../controller/watch.ts';
import { backupObject, createNamespace, installCrd, world } from '../integration/controller-world.ts';
import { binary } from '../rig/binaries.ts';
import { startCluster, stopCluster } from '../rig/cluster/cluster.ts';
import { killAll, recordedPrograms } from '../rig/cluster/processes.ts';
import { rigDirectory } from '../rig/cluster/state.ts';
import { startChild } from '../rig/servers/child.ts';
import { waitFor } from '../wait.ts';
import { type Used, usedBy } from './program.ts';

export type Kind = 'DatabaseBackup' | 'CronJob';

export interface Limits {
  qps: number;
  burst: number;
  workers: number;
}

export interface Scene {
  /** Makes objects that are due at a time. */
  fill(objects: number, window: Date): Promise<void>;
  /** Resolves when the controller has seen all of them. */
  settled(): Promise<void>;
  /** When each Job was seen launched, ms, by its object. */
  launched: ReadonlyMap<string, number>;
  /** Changes of the objects that were seen. */
  changes(): number;
  used: Used;
  /** Of the API server. */
  server: Used;
  stop(): Promise<void>;
}

const namespaces = 20;
const makers = 32;

const paths = {
  DatabaseBackup: '/apis/dbbackup.io/v1alpha1',
  CronJob: '/apis/batch/v1',
} as const;
const plurals = { DatabaseBackup: 'databasebackups', CronJob: 'cronjobs' } as const;

export async function startScene(kind: Kind, limits: Limits, log: (line: string) => void): Promise<Scene> {
  const name = `bench-${process.pid}`;
  const quiet = (): void => undefined;
  const folder = await mkdtemp(path.join(tmpdir(), 'dbbackup-scale-'));
  const cluster = await startCluster({ name, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  // Nothing but the controller under measurement works on the objects.
  const programs = await recordedPrograms(rigDirectory(name));
  await killAll(programs.filter(({ program }) => program === 'kube-controller-manager'));
  const server = programs.find(({ program }) => program === 'kube-apiserver');
  if (server === undefined) throw new Error('bench scale: the API server is not among the programs of the rig');
  const direct = world(cluster.kubeconfig);
  await installCrd(direct);
  for (let index = 0; index < namespaces; index++) await createNamespace(direct, `team-${index}`);
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const transport = new Transport(config);
  const silent = pino({ level: 'silent' });

  const launched = new Map<string, number>();
  const jobs = new Reflector<Job>(transport, { name: 'jobs', path: '/apis/batch/v1/jobs' }, silent, (job) => {
    const owner = job.metadata.ownerReferences?.[0]?.name ?? '';
    const key = `${job.metadata.namespace}/${owner}`;
    if (job.spec.suspend !== true && !launched.has(key)) launched.set(key, Date.now());
  });
  let changes = 0;
  const where = `${paths[kind]}/${plurals[kind]}`;
  const objects = new Reflector<Backup>(transport, { name: 'backups', path: where }, silent, () => {
    changes += 1;
  });
  for (const reflector of [jobs, objects]) void reflector.run();
  await Promise.all([jobs.synced, objects.synced]);

  const argv = kind === 'CronJob' ? await theirs(cluster.kubeconfig, limits) : await ours(folder, limits);
  const controller = await startChild(argv, { env: { ...process.env, KUBECONFIG: cluster.kubeconfig } });
  return {
    launched,
    changes: () => changes,
    used: usedBy(controller.pid),
    server: usedBy(server.pid),
    fill: (count, window) => fill(transport, kind, count, window),
    settled: () =>
      waitFor(
        'every object is seen by its controller',
        async () => {
          const all = [...objects.items.values()];
          return (
            all.length > 0 && (kind === 'CronJob' || all.every(({ status }) => (status?.observedGeneration ?? 0) > 0))
          );
        },
        { seconds: 900, everyMilliseconds: 500 },
      ).then(quiet),
    stop: async () => {
      for (const reflector of [jobs, objects]) reflector.stop();
      await controller.stop();
      await stopCluster(name, log);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ours(folder: string, limits: Limits): Promise<[string, ...string[]]> {
  await build({ outdir: folder, log: () => undefined });
  const { qps, burst, workers } = limits;
  return [
    // The limit that Node takes for its heap in the 512 MiB of the Deployment.
    ...([process.execPath, '--max-old-space-size=256'] as const),
    path.join(folder, 'controller.mjs'),
    ...['--executor-image=executor:bench', '--no-leader-elect', '--health-port=0', '--metrics-port=0'],
    ...['--max-running=1000000', '--max-running-per-namespace=1000000', `--workers=${workers}`],
    ...[`--kube-api-qps=${qps}`, `--kube-api-burst=${burst}`, '--log-level=warn'],
  ];
}

async function theirs(kubeconfig: string, { qps, burst, workers }: Limits): Promise<[string, ...string[]]> {
  return [
    await binary('kube-controller-manager', () => undefined),
    ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', '--profiling=false'],
    ...['--controllers=cronjob', `--concurrent-cron-job-syncs=${workers}`],
    ...[`--kube-api-qps=${qps}`, `--kube-api-burst=${burst}`],
  ];
}

async function fill(transport: Transport, kind: Kind, count: number, window: Date): Promise<void> {
  const schedule = `${window.getUTCMinutes()} ${window.getUTCHours()} * * *`;
  let next = 0;
  const maker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const namespace = `team-${index % namespaces}`;
      const body = kind === 'CronJob' ? cronJob(namespace, index, schedule) : backup(namespace, index, schedule);
      await transport.call({ method: 'POST', path: `${paths[kind]}/namespaces/${namespace}/${plurals[kind]}`, body });
    }
  };
  await Promise.all(Array.from({ length: makers }, maker));
}

/** A lock of its own for each. */
function backup(namespace: string, index: number, schedule: string): object {
  const object = backupObject(namespace, `db-${index}`, { schedule }) as { spec: { database: object } };
  return { ...object, spec: { ...object.spec, database: { ...object.spec.database, host: `db-${index}` } } };
}

function cronJob(namespace: string, index: number, schedule: string): { metadata: Partial<Meta> } {
  const container = { name: 'dump', image: 'postgres:16', command: ['true'] };
  const spec = {
    schedule,
    jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never', containers: [container] } } } },
  };
  return { apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: `db-${index}`, namespace }, spec } as {
    metadata: Partial<Meta>;
  };
}
