// Faults around the Job: names that are taken, Jobs and backups that people delete, words without end.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backup, Pod } from '../../controller/objects.ts';
import { containers, encodeResult } from '../../crds/rules/contract.ts';
import { annotations, labels, windowJobName } from '../../crds/rules/names.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { endedStatus, installCrd, successResult, type World, world } from './controller-world.ts';
import {
  condition,
  createsJob,
  FaultyScene,
  Ledger,
  Scene,
  startOwnCluster,
  stopOwnCluster,
  text,
} from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('faultsjobs', {});
let cluster: Cluster;
let direct: World;
/** Its controllers see all namespaces. */
let shared: FaultyScene;

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  shared = await FaultyScene.open(cluster, direct, 'controller', true);
  await shared.start();
});

afterAll(async () => {
  await shared?.close();
  await stopOwnCluster(rig);
});

const scene = (name: string): Promise<Scene> => Scene.make(direct, name);
const once = { job: { backoffLimit: 0 } };
const size = (backup: Backup): number => Buffer.byteLength(JSON.stringify(backup.status));

describe.concurrent('with Jobs and what they say', { timeout: 300_000 }, () => {
  it('F3 a foreign Job that already has our name is left alone, and a condition says so', async () => {
    const own = await scene('f3');
    const window = Math.floor(Date.now() / 60_000) * 60_000 - 120_000;
    const name = windowJobName('orders', new Date(window));
    const container = { name: 'theirs', image: 'busybox' };
    const template = { spec: { restartPolicy: 'Never', containers: [container] } };
    const body = { metadata: { name, labels: { [labels.backup]: 'orders' } }, spec: { suspend: true, template } };
    const foreign = await own.call<{ metadata: { uid: string } }>('POST', own.at('batch/v1/jobs'), body);
    const at = new Date(window);
    const schedule = `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
    await own.createSeen(schedule, { scheduleBaseline: text(window - 60_000) });
    const refused = await own.untilCondition('BackupHealthy', 'NameConflict');
    expect(condition(refused, 'BackupHealthy')?.message).toContain(`Job "${name}" exists and is not ours`);
    expect(condition(refused, 'Ready')?.status).toBe('True');
    const [left, ...others] = await own.jobs();
    expect(others).toEqual([]);
    expect(left).toMatchObject({
      metadata: { uid: foreign.metadata.uid },
      spec: { suspend: true, template: { spec: { containers: [container] } } },
    });
    expect(left?.metadata.ownerReferences).toBeUndefined();
    await own.call('DELETE', own.at(`batch/v1/jobs/${name}`), { propagationPolicy: 'Background' });
    await own.touch();
    const { status } = await own.run();
    expect(status).toMatchObject({ run: { slot: text(window), outcome: 'Succeeded' }, missedWindows: 0 });
  });

  it('F15 a backup that is deleted while its Job runs is gone at once, its Job after it, and its lock goes to who waits', async () => {
    const own = await scene('f15');
    await own.create();
    await own.create({}, 'other');
    await own.trigger('a');
    const job = await own.started();
    await own.trigger('b', 'other');
    await own.untilJobs('the other waits', (jobs) => jobs.length === 2);
    const deleted = await own.call<{ status?: string }>('DELETE', own.backupPath());
    // A Status, not an object that lives on with a deletionTimestamp: nothing holds it.
    expect(deleted.status).toBe('Success');
    const next = await own.started([job.metadata.uid]);
    expect((await own.jobs()).map(({ metadata }) => metadata.uid)).toEqual([next.metadata.uid]);
    expect(await own.holder()).toBe(next.metadata.uid);
    expect((await own.run('other')).status?.run?.outcome).toBe('Succeeded');
  });

  it('F16 a backup that is deleted and made anew waits for the old Job to go, and adopts neither it nor its lock', async () => {
    const own = await scene('f16');
    const window = await own.createDue();
    const first = await own.until('its baseline is known', ({ status }) => status?.scheduleBaseline !== undefined);
    const old = await own.started();
    const path = own.at(`batch/v1/jobs/${old.metadata.name}`);
    await own.call('PATCH', path, { metadata: { finalizers: ['example.com/held'] } });
    await own.call('DELETE', own.backupPath());
    await waitFor('the old Job goes', async () =>
      (await own.jobs()).every(({ metadata }) => metadata.deletionTimestamp !== undefined),
    );
    const from = performance.now();
    await own.createSeen(first.spec.schedule ?? '', { scheduleBaseline: first.status?.scheduleBaseline });
    const tries = () =>
      shared.askedSince(from).filter((asked) => createsJob(asked) && asked.path.includes(own.namespace));
    await waitFor('it tries', async () => tries().length > 0);
    const waiting = await own.until(
      'it is looked at',
      ({ status }) => condition({ status } as Backup, 'Ready') !== undefined,
    );
    expect(condition(waiting, 'BackupHealthy')?.reason).toBe('NeverSucceeded');
    expect(waiting.status?.run).toBeUndefined();
    await own.call('PATCH', path, { metadata: { finalizers: null } });
    const job = await own.started([old.metadata.uid]);
    expect(job.metadata.name).toBe(old.metadata.name);
    expect(job.metadata.ownerReferences?.[0]?.uid).toBe(waiting.metadata.uid);
    expect(await own.holder()).toBe(job.metadata.uid);
    expect((await own.run()).status).toMatchObject({ run: { slot: window }, missedWindows: 0 });
  });

  it('F18 a running Job that a person deletes keeps its lock while its pod works; then it is Unknown and failed, and its window is spent', async () => {
    const own = await scene('f18');
    const ledger = new Ledger(own);
    const window = await own.createDue();
    const job = await own.started();
    const pod = await own.pod(job);
    // On a node it takes its time to go; without one it would be gone at once.
    await own.call('POST', '/api/v1/nodes', { metadata: { name: own.namespace } });
    const target = { apiVersion: 'v1', kind: 'Node', name: own.namespace };
    await own.call('POST', own.at(`v1/pods/${pod.metadata.name}/binding`), {
      metadata: { name: pod.metadata.name },
      target,
    });
    await own.podStatus(pod, { phase: 'Running' });
    await own.deleteJob(job);
    await own.untilJobs('it is gone', (jobs) => jobs.length === 0);
    await own.trigger('b');
    await own.untilJobs('the next waits', (jobs) => jobs.length === 1);
    expect(await own.holder()).toBe(job.metadata.uid);
    await own.podStatus(pod, { phase: 'Failed' });
    const next = await own.started([job.metadata.uid]);
    const { status } = await own.until('the next is claimed', (now) => now.status?.run?.jobUID === next.metadata.uid);
    expect(status).toMatchObject({
      failureReason: 'Unknown',
      consecutiveFailures: 1,
      lastAttemptScheduledTime: window,
    });
    expect((await own.run()).status).toMatchObject({ consecutiveFailures: 0, run: { trigger: 'Manual' } });
    expect((await ledger.started()).filter((name) => name === job.metadata.name)).toHaveLength(1);
  });

  it('attack 13: a run that its deadline stops has failed, though its executor says that it was told to', async () => {
    const own = await scene('attack-13');
    await own.create(once);
    await own.trigger('a');
    const job = await own.started();
    const told = endedStatus({ run: { outcome: 'Failed', reason: 'Canceled', message: 'stop the run' } });
    await own.podStatus(await own.pod(job), { ...told, reason: 'DeadlineExceeded' });
    const failed = await own.untilEnded('Failed');
    expect(failed.status).toMatchObject({ failureReason: 'DeadlineExceeded', consecutiveFailures: 1 });
    expect(condition(failed, 'BackupHealthy')).toMatchObject({ status: 'False', reason: 'DeadlineExceeded' });
    await own.untilFree();
  });

  const gone = '6f3a2c1e-0000-4000-8000-000000000000';
  const lease = {
    metadata: {
      name: 'dbbackup-orders-db',
      annotations: { [annotations.job]: 'orders-20250101010000', [annotations.jobUid]: gone },
    },
    spec: {
      holderIdentity: gone,
      acquireTime: '2025-01-01T01:00:00.000000Z',
      renewTime: '2025-01-01T01:00:00.000000Z',
      leaseDurationSeconds: 44_000,
      leaseTransitions: 6,
    },
  };

  it('F20 a lock whose Job is absent is taken over', async () => {
    const own = await scene('f20');
    await own.call('POST', own.at('coordination.k8s.io/v1/leases'), lease);
    await own.create();
    await own.trigger('a');
    const job = await own.started();
    const taken = await direct.kube.getLease(own.namespace, 'dbbackup-orders-db');
    expect(taken?.spec).toMatchObject({ holderIdentity: job.metadata.uid, leaseTransitions: 7 });
    expect((await own.run()).status?.run?.outcome).toBe('Succeeded');
  });

  it('F20 a lock whose Job is absent, but not its pod, is not taken before that has ended, however old it is', async () => {
    const own = await scene('f20-pod');
    await own.call('POST', own.at('coordination.k8s.io/v1/leases'), lease);
    const podLabels = {
      'batch.kubernetes.io/controller-uid': gone,
      [labels.managedBy]: 'dbbackup',
      [labels.backup]: 'orders',
    };
    const body = {
      metadata: { name: 'still-there', labels: podLabels },
      spec: { containers: [{ name: 'x', image: 'x' }] },
    };
    const pod = await own.call<Pod>('POST', own.at('v1/pods'), body);
    await own.podStatus(pod, { phase: 'Running' });
    await own.create();
    const from = performance.now();
    await own.trigger('a');
    await own.untilJobs('its Job waits', (jobs) => jobs.length === 1);
    const looks = () =>
      shared.askedSince(from).filter(({ path }) => path.endsWith(`/namespaces/${own.namespace}/pods`));
    await own.touch();
    await waitFor('the pod is looked for', async () => looks().length >= 2);
    expect(await own.holder()).toBe(gone);
    expect((await own.jobs())[0]?.spec.suspend).toBe(true);
    await own.podStatus(pod, { phase: 'Succeeded' });
    await own.run();
  });

  const megabyte = 'x\u{1f600}'.repeat(200_000);
  const run = { outcome: 'Failed', reason: 'DumpFailed', message: 'cut' } as const;
  const long = (message: string) => {
    const status = endedStatus({ run }) as {
      containerStatuses: { name: string; state: { terminated: { message: string } } }[];
    };
    for (const { name, state } of status.containerStatuses)
      if (name === containers.executor) state.terminated.message = message;
    return status;
  };
  it.each([
    ['message of an executor', 'Unknown', long(megabyte)],
    ['field of a result', 'Unknown', long(encodeResult({ run }).replace('"cut"', `"${megabyte}"`))],
    ['message of a node', 'Evicted', { phase: 'Failed', reason: 'Evicted', message: megabyte }],
  ])('F45 a %s of a megabyte leaves a small and valid status', async (what, reason, podStatus) => {
    const own = await scene(`f45-${what.replaceAll(' ', '-')}`);
    await own.create(once);
    await own.trigger('a');
    const job = await own.started();
    await own.podStatus(await own.pod(job), podStatus);
    const backup = await own.untilEnded('Failed');
    expect(size(backup)).toBeLessThan(64 * 1024);
    expect(size(backup)).toBeGreaterThan(100);
    expect(backup.status?.failureMessage?.isWellFormed()).toBe(true);
    if (reason !== 'Unknown') expect(backup.status?.failureReason).toBe(reason);
    await own.untilFree();
    // Nothing in it changes by itself.
    const { resourceVersion } = (await own.get()).metadata;
    const looked = await own.touch();
    expect(resourceVersion).not.toBe(looked.metadata.resourceVersion);
    await own.trigger('b');
    expect((await own.run()).status?.failureMessage).toBeUndefined();
  });

  it('F45 a result with a thousand snapshots leaves the newest 25 in status', async () => {
    const own = await scene('f45-inventory');
    await own.create();
    await own.trigger('a');
    const job = await own.started();
    const { run: success } = successResult('20261121T130000Z-aaaa0001');
    const snapshots = Array.from({ length: 1000 }, (_, index) => [
      `20261121T130000Z-${String(index).padStart(8, '0')}`,
      1,
    ]);
    const inventory = JSON.stringify({ snapshots, count: 1000, deleted: 0, foreign: 0, pruneError: '' });
    const status = endedStatus({ run: success }) as ReturnType<typeof long>;
    for (const one of status.containerStatuses)
      if (one.name === containers.executor)
        one.state.terminated.message = `${encodeResult({ run: success })}\n${inventory}`;
    await own.podStatus(await own.pod(job), status);
    const backup = await own.untilEnded('Succeeded');
    // The kubelet cuts it within the second line; the first stands.
    expect(backup.status?.lastSnapshot?.id).toBe('20261121T130000Z-aaaa0001');
    expect(backup.status?.snapshots?.length ?? 0).toBeLessThanOrEqual(25);
    expect(size(backup)).toBeLessThan(64 * 1024);
  });
});
