// The controller is killed before and after each of its writes, on a real API server, and started again: still one run a window.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backup, type Job, jobEnd } from '../../controller/objects.ts';
import { annotations, snapshotId } from '../../crds/rules/names.ts';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';
import { type ApiProxy, startApiProxy, upstreamOf, type Write } from '../rig/faults/api-proxy.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import {
  backupObject,
  createDueBackup,
  createNamespace,
  endPod,
  installCrd,
  jobsOf,
  successResult,
  type World,
  world,
} from './controller-world.ts';
import { type Program, startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('crash');
let cluster: Cluster;
let direct: World;
let proxy: ApiProxy;
let folder: string;

beforeAll(async () => {
  // Pods must stay where the test leaves them: never on a cluster with a node of somebody's own.
  cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  proxy = await startApiProxy(await upstreamOf(cluster.kubeconfig));
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-crash-'));
  await proxy.writeKubeconfig(join(folder, 'kubeconfig'));
});

afterAll(async () => {
  await proxy?.stop();
  await stopOwnedRig(rig, log);
  await rm(folder, { recursive: true, force: true });
});

function startController(): Program {
  const args = ['--executor-image', 'executor:test', '--no-leader-elect', '--health-port', '0', '--metrics-port', '0'];
  return startProgram('controller/main.ts', args, { KUBECONFIG: join(folder, 'kubeconfig') });
}

interface Plug {
  write: number;
  when: 'before' | 'after';
}

interface Run {
  writes: Write[];
  /** Every Job that was ever created for the window, by uid. */
  jobs: Map<string, Job>;
  end: object;
}

/** One whole backup in a namespace of its own; with a plug, the controller is killed there and started again. */
async function backup(namespace: string, plug?: Plug): Promise<Run> {
  await createNamespace(direct, namespace);
  let controller: Program | undefined;
  const killed: Promise<void>[] = [];
  proxy.writes = [];
  // Events may be lost; all else counts.
  proxy.counts = (_, path) => path.includes(`/namespaces/${namespace}/`) && !path.includes('/events');
  const kill = (): void => {
    if (controller !== undefined) killed.push(controller.kill());
  };
  proxy.fault = (write) => {
    if (killed.length > 0 || write.number !== plug?.write) return undefined;
    return { kind: plug.when === 'before' ? 'drop' : 'lose', done: kill };
  };
  const window = await createDueBackup(direct, namespace, 'orders');
  controller = startController();
  const jobs = new Map<string, Job>();
  try {
    const restarted = async (): Promise<void> => {
      if (
        plug === undefined ||
        killed.length === 0 ||
        (controller?.child.exitCode === null && controller.child.signalCode === null)
      )
        return;
      await Promise.all(killed);
      controller = startController();
    };
    const look = async (): Promise<Job[]> => {
      await restarted();
      const all = await jobsOf(direct, namespace);
      for (const job of all) jobs.set(job.metadata.uid, job);
      return all;
    };
    const started = await waitFor('a Job is started', async () =>
      (await look()).find(
        (job) => job.spec.suspend === false && job.metadata.annotations?.[annotations.started] !== undefined,
      ),
    );
    const id = snapshotId(new Date(window), { clusterUid: 'x', namespace, name: 'orders' }, '0000');
    await endPod(direct, namespace, started.metadata.uid, successResult(id));
    const done = await waitFor('the outcome is in status and the lock is free', async () => {
      await look();
      const object = await direct.kube.getBackup(namespace, 'orders');
      const lease = await direct.kube.getLease(namespace, 'dbbackup-orders-db');
      if (object?.status?.run?.outcome === undefined || lease?.spec?.holderIdentity !== '') return undefined;
      return { object, lease };
    });
    const { status } = done.object;
    return {
      writes: proxy.writes,
      jobs,
      end: {
        trigger: status?.run?.trigger,
        slotIsTheWindow: status?.run?.slot === window && status?.lastAttemptScheduledTime === window,
        claimedTheStartedJob: status?.run?.jobUID === started.metadata.uid,
        outcome: status?.run?.outcome,
        lastSnapshot: status?.lastSnapshot?.id === id,
        failures: status?.consecutiveFailures,
        missed: status?.missedWindows,
        conditions: status?.conditions?.map(({ type, status: value, reason }) => `${type}=${value} ${reason}`),
        jobsLeft: (await jobsOf(direct, namespace)).map((job) => jobEnd(job)),
      },
    };
  } finally {
    await controller?.kill();
  }
}

describe('a controller that is killed', () => {
  it('leaves one Job for the window and the same end state, whichever write it died before or after', async () => {
    const reference = await backup('reference');
    expect(reference.jobs.size).toBe(1);
    expect(reference.end).toMatchObject({
      outcome: 'Succeeded',
      slotIsTheWindow: true,
      claimedTheStartedJob: true,
      jobsLeft: ['Complete'],
    });
    const points = reference.writes.flatMap(({ number }) => [
      { write: number, when: 'before' as const },
      { write: number, when: 'after' as const },
    ]);
    // Creating the Job, the lock, the claim, the start, the outcome and the release at least.
    expect(reference.writes.length).toBeGreaterThanOrEqual(6);
    for (const point of points) {
      const name = `${point.when}-${point.write}`;
      const run = await backup(name, point);
      const ran = [...run.jobs.values()].filter((job) => job.metadata.annotations?.[annotations.started] !== undefined);
      expect({ name, jobs: run.jobs.size, ran: ran.length, end: run.end }).toEqual({
        name,
        jobs: 1,
        ran: 1,
        end: reference.end,
      });
    }
    log(
      `${points.length} crash points swept: ${reference.writes.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`).join(', ')}`,
    );
  }, 1_800_000);

  it('hands over to another that waits for the lease, and the window still has one Job', async () => {
    await createNamespace(direct, 'handover');
    proxy.counts = () => false;
    const args = [
      '--executor-image',
      'executor:test',
      '--namespace',
      'handover',
      '--health-port',
      '0',
      '--metrics-port',
      '0',
    ];
    const env = { KUBECONFIG: cluster.kubeconfig };
    const first = startProgram('controller/main.ts', [...args, '--identity', 'first'], env);
    await first.printed('"leading"');
    const second = startProgram('controller/main.ts', [...args, '--identity', 'second'], env);
    try {
      await second.printed('caches are filled');
      await first.kill();
      await createDueBackup(direct, 'handover', 'orders');
      await second.printed('"leading"');
      await waitFor('a Job is started', async () =>
        (await jobsOf(direct, 'handover')).find((job) => job.spec.suspend === false),
      );
      expect(await jobsOf(direct, 'handover')).toHaveLength(1);
      expect(await second.stop()).toBe(0);
      const lease = await direct.kube.getLease('handover', 'dbbackup-controller');
      expect(lease?.spec?.holderIdentity).toBe('');
    } finally {
      await Promise.all([first.kill(), second.kill()]);
    }
  });
});

describe('a backup whose service account', () => {
  it('lacks the label makes no Job and says so, and runs once it has it', async () => {
    await createNamespace(direct, 'account');
    proxy.counts = () => false;
    const accounts = '/api/v1/namespaces/account/serviceaccounts';
    await direct.transport.call({ method: 'POST', path: accounts, body: { metadata: { name: 'cloud' } } });
    const body = backupObject('account', 'orders', { serviceAccountName: 'cloud' }) as Backup;
    body.metadata.annotations = { [annotations.trigger]: 'now' };
    const path = '/apis/dbbackup.io/v1alpha1/namespaces/account/databasebackups';
    await direct.transport.call({ method: 'POST', path, body });
    const controller = startController();
    try {
      const refused = await waitFor('the condition says so', async () => {
        const backup = await direct.kube.getBackup('account', 'orders');
        const condition = backup?.status?.conditions?.find(({ type }) => type === 'BackupHealthy');
        return condition?.reason === 'ServiceAccountNotAllowed' ? condition : undefined;
      });
      expect(refused).toMatchObject({ status: 'False', message: expect.stringContaining('"cloud" lacks the label') });
      expect(await jobsOf(direct, 'account')).toEqual([]);
      const label = { metadata: { labels: { 'dbbackup.io/backup': 'allowed' } } };
      await direct.transport.call({ method: 'PATCH', path: `${accounts}/cloud`, body: label });
      await waitFor('a Job is started', async () =>
        (await jobsOf(direct, 'account')).find((job) => job.spec.suspend === false),
      );
    } finally {
      await controller.kill();
    }
  });
});
