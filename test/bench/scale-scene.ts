// A control plane of its own with one controller under measurement: ours as it is shipped, or kube-controller-manager with its CronJob
// controller alone. Jobs are watched from the outside.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import { build } from '../../build.ts';
import type { Meta } from '../../controller/objects.ts';
import { Transport } from '../../controller/transport.ts';
import { annotations } from '../../crds/rules/names.ts';
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

  const launched = new Map<string, number>();
  const watching = new AbortController();
  await watchMetadata(
    transport,
    '/apis/batch/v1/jobs',
    watching.signal,
    ({ namespace, ownerReferences, annotations: of }) => {
      const key = `${namespace}/${ownerReferences?.[0]?.name ?? ''}`;
      // A Job of a CronJob runs as soon as it is there; ours is let go by the write that says so.
      const runs = kind === 'CronJob' || of?.[annotations.started] !== undefined;
      if (runs && !launched.has(key)) launched.set(key, Date.now());
    },
  );
  let changes = 0;
  const known = new Map<string, boolean>();
  await watchMetadata(transport, `${paths[kind]}/${plurals[kind]}`, watching.signal, ({ uid, managedFields = [] }) => {
    changes += 1;
    known.set(uid, kind === 'CronJob' || managedFields.some(({ subresource }) => subresource === 'status'));
  });

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
        async () => known.size > 0 && [...known.values()].every((seen) => seen),
        { seconds: 900, everyMilliseconds: 500 },
      ).then(quiet),
    stop: async () => {
      watching.abort();
      await controller.stop();
      await stopCluster(name, log);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Watched = Meta & { managedFields?: { subresource?: string }[] };

/**
 * Tells of every change of a kind, of which there is nothing yet, by the objects' metadata alone: the watcher shares two processors with what
 * it watches, and whole objects would cost the side more whose objects are larger. Resolves once it watches; ends with the signal.
 */
async function watchMetadata(
  transport: Transport,
  path: string,
  signal: AbortSignal,
  changed: (metadata: Watched) => void,
): Promise<void> {
  const accept = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
  const list = await transport.call<{ metadata: { resourceVersion: string } }>({
    method: 'GET',
    path,
    query: { limit: '1' },
  });
  let resourceVersion = list.metadata.resourceVersion;
  const follow = async (): Promise<void> => {
    while (!signal.aborted) {
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion };
      for await (const line of transport.lines({ method: 'GET', path, query, signal, accept })) {
        const { type, object } = JSON.parse(line) as { type: string; object: { metadata: Watched } };
        if (type === 'ERROR') throw new Error(`bench scale: watch ${path}: ${line}`);
        resourceVersion = object.metadata.resourceVersion;
        if (type !== 'BOOKMARK') changed(object.metadata);
      }
    }
  };
  follow().catch((error: unknown) => {
    // What is not seen is missed at the end: the run fails by its patience.
    if (!signal.aborted) console.error(error);
  });
}

async function ours(folder: string, limits: Limits): Promise<[string, ...string[]]> {
  await build({ outdir: folder, log: () => undefined });
  const { qps, burst, workers } = limits;
  return [
    process.execPath,
    // The limit that Node takes for its heap in the 512 MiB of the Deployment.
    '--max-old-space-size=256',
    ...(await deployedFlags()),
    path.join(folder, 'controller.mjs'),
    ...['--executor-image=executor:bench', '--no-leader-elect', '--health-port=0', '--metrics-port=0'],
    ...['--max-running=1000000', '--max-running-per-namespace=1000000', `--workers=${workers}`],
    ...[`--kube-api-qps=${qps}`, `--kube-api-burst=${burst}`, '--log-level=warn'],
  ];
}

interface Deployment {
  kind: string;
  spec: { template: { spec: { containers: { command?: string[] }[] } } };
}

/** What the Deployment gives Node before the program. */
async function deployedFlags(): Promise<string[]> {
  const manifest = await readFile(new URL('../../kustomize/base/operator/controller.yaml', import.meta.url), 'utf8');
  const deployments = parseAllDocuments(manifest).map((document) => document.toJS() as Deployment | null);
  const [, ...flags] =
    deployments.find((one) => one?.kind === 'Deployment')?.spec.template.spec.containers[0]?.command ?? [];
  if (flags.length === 0) throw new Error("bench scale: the controller's Deployment gives Node no flags");
  return flags;
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
