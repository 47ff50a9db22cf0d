// What the controller's tests on a real API server share: a backup whose window is due at once, and the part of the kubelet.
import { readFile } from 'node:fs/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { type Kube, kubeOf } from '../../controller/kube.ts';
import type { Backup, Job, Pod } from '../../controller/objects.ts';
import { ApiError, Transport } from '../../controller/transport.ts';
import { containers, encodeResult, type Result } from '../../crds/rules/contract.ts';
import { waitFor } from '../wait.ts';

export interface World {
  transport: Transport;
  kube: Kube;
}

export function world(kubeconfig: string): World {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const transport = new Transport(config);
  return { transport, kube: kubeOf(transport) };
}

/** Installs the CRD and waits until it is served. */
export async function installCrd({ transport }: World): Promise<void> {
  const body: unknown = parse(
    await readFile(new URL('../../crds/dbbackup.io_databasebackups.yaml', import.meta.url), 'utf8'),
  );
  try {
    await transport.call({ method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
  await waitFor('the CRD is served', async () => {
    try {
      await transport.call({ method: 'GET', path: '/apis/dbbackup.io/v1alpha1/databasebackups' });
      return true;
    } catch {
      return undefined;
    }
  });
}

export async function createNamespace({ transport }: World, name: string): Promise<void> {
  await transport.call({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name } } });
}

/** A cron schedule whose latest window was about two minutes ago and whose next is a day off. */
export function dueSchedule(now: Date): { schedule: string; window: string; baseline: string } {
  const window = new Date(Math.floor(now.getTime() / 60_000) * 60_000 - 120_000);
  const baseline = new Date(window.getTime() - 60_000);
  const text = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;
  return {
    schedule: `${window.getUTCMinutes()} ${window.getUTCHours()} * * *`,
    window: text(window),
    baseline: text(baseline),
  };
}

export function backupObject(namespace: string, name: string, spec: object = {}): object {
  return {
    apiVersion: 'dbbackup.io/v1alpha1',
    kind: 'DatabaseBackup',
    metadata: { name, namespace },
    spec: {
      database: {
        engine: 'postgres',
        image: 'postgres:16',
        host: 'orders-db',
        name: 'orders',
        auth: { secretRef: { name: 'orders-db' } },
      },
      storage: { s3: { bucket: 'my-database-backups', region: 'eu', auth: { secretRef: { name: 's3-credentials' } } } },
      encryption: { none: {} },
      retention: { keepLast: 3 },
      ...spec,
    },
  };
}

const backups = (namespace: string): string => `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;

/** Creates a backup whose window is due: its status says that it was observed before that window. */
export async function createDueBackup(
  { transport }: World,
  namespace: string,
  name: string,
  spec: object = {},
): Promise<string> {
  const { schedule, window, baseline } = dueSchedule(new Date());
  await transport.call<Backup>({
    method: 'POST',
    path: backups(namespace),
    body: backupObject(namespace, name, { ...spec, schedule }),
  });
  const status = { observedGeneration: 1, observedSchedule: `Etc/UTC ${schedule}`, scheduleBaseline: baseline };
  await transport.call({ method: 'PATCH', path: `${backups(namespace)}/${name}/status`, body: { status } });
  return window;
}

export async function jobsOf({ transport }: World, namespace: string): Promise<Job[]> {
  return (
    await transport.call<{ items: Job[] }>({ method: 'GET', path: `/apis/batch/v1/namespaces/${namespace}/jobs` })
  ).items;
}

/** A result as the executor would leave it. */
export function successResult(id: string): Result {
  const run = {
    outcome: 'Succeeded',
    id,
    key: `x/${id}.snap`,
    size: 1000,
    storedSize: 300,
    sha256: 'a'.repeat(64),
    dumpStartedAt: `${new Date().toISOString().slice(0, 19)}Z`,
    durationSeconds: 1,
    engineVersion: '15.1',
    identity: '',
    encrypted: false,
  } as const;
  return { run, inventory: { snapshots: [{ id, size: 300 }], count: 1, deleted: 0, foreign: 0, pruneError: '' } };
}

/**
 * A pod's status as the kubelet leaves it when the containers have ended with a result.
 * @param secondsAgo when they ended: the Job controller makes the next pod no sooner than ten seconds after
 */
export function endedStatus(result: Result, secondsAgo = 0): object {
  const good = result.run.outcome === 'Succeeded';
  const at = new Date(Date.now() - secondsAgo * 1000).toISOString();
  const ended = (name: string, message: string): object => ({
    name,
    image: 'x',
    imageID: 'x',
    ready: false,
    restartCount: 0,
    state: {
      terminated: {
        exitCode: good ? 0 : 15,
        reason: good ? 'Completed' : 'Error',
        message,
        startedAt: at,
        finishedAt: at,
      },
    },
  });
  return {
    phase: good ? 'Succeeded' : 'Failed',
    initContainerStatuses: [{ ...ended(containers.prepare, ''), ready: true }],
    containerStatuses: [ended(containers.dump, ''), ended(containers.executor, encodeResult(result))],
  };
}

/** Plays the kubelet on a control plane without a node. */
export async function setPodStatus({ transport }: World, pod: Pod, status: object): Promise<void> {
  const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}/status`;
  await transport.call<Pod>({ method: 'PATCH', path, body: { status } });
}

/** Ends a Job's pod with a result. */
export async function endPod(api: World, namespace: string, jobUid: string, result: Result): Promise<void> {
  const pod = await waitFor('the Job has a pod', async () => (await api.kube.podsOfJob(namespace, jobUid))[0]);
  await setPodStatus(api, pod, endedStatus(result));
}
