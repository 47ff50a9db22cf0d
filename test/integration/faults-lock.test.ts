// The lock in the hands of others: its Lease is deleted, taken by its fields alone, left behind, or refused to us; and a pod that goes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lease } from '../../controller/objects.ts';
import { annotations } from '../../crds/rules/names.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { endedStatus, installCrd, type World, world } from './controller-world.ts';
import { condition, FaultyScene, Scene, startOwnCluster, stopOwnCluster } from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('faultslock', {});
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
const name = 'dbbackup-orders-db';
const leasePath = (own: Scene): string => own.at(`coordination.k8s.io/v1/leases/${name}`);
const leaseOf = async (own: Scene): Promise<Lease> =>
  (await direct.kube.getLease(own.namespace, name)) ?? Promise.reject(new Error('there is no Lease'));
const untilHeldBy = (own: Scene, uid: string) =>
  waitFor(`${own.namespace}: the lock is held by ${uid}`, async () => (await own.holder()) === uid || undefined, {
    seconds: 120,
  });

describe.concurrent('the lock in the hands of others', { timeout: 300_000 }, () => {
  it('a Lease that is deleted while its Job works is made again for that Job, and nobody else starts', async () => {
    const own = await scene('deleted');
    await own.create();
    await own.create({}, 'hourly');
    await own.trigger('a');
    const job = await own.started();
    await own.podStatus(await own.pod(job), { phase: 'Running' });
    await own.trigger('b', 'hourly');
    await own.untilJobs('the other waits', (jobs) => jobs.length === 2);
    await own.call('DELETE', leasePath(own));
    await untilHeldBy(own, job.metadata.uid);
    const waits = (await own.jobs()).find(({ metadata }) => metadata.uid !== job.metadata.uid);
    expect(waits?.spec.suspend).toBe(true);
    await own.succeed(job);
    await own.untilEnded('Succeeded');
    await own.succeed(await own.started([job.metadata.uid]), 'hourly');
    await own.untilEnded('Succeeded', 'hourly');
  });

  it('a Lease of ours that somebody takes by its fields alone is theirs, and waited for', async () => {
    const own = await scene('fields');
    await own.create();
    await own.trigger('a');
    const job = await own.started();
    await own.podStatus(await own.pod(job), { phase: 'Running' });
    await own.until('it runs', ({ status }) => status?.phase === 'Running');
    // Its time is over, as their rule asks; our annotations stay, and the name is no value of a label.
    const spec = { holderIdentity: 'upgrade of orders-db', renewTime: new Date().toISOString().replace('Z', '000Z') };
    await own.call('PATCH', leasePath(own), { spec: { ...spec, leaseDurationSeconds: 86_400 } });
    expect((await leaseOf(own)).metadata.annotations).toMatchObject({ [annotations.jobUid]: job.metadata.uid });
    await own.succeed(job);
    await own.untilEnded('Succeeded');
    await own.trigger('b');
    const locked = await own.untilCondition('Locked', 'LockHeld');
    expect(condition(locked, 'Locked')?.message).toContain('held by "upgrade of orders-db"');
    expect(await own.holder()).toBe('upgrade of orders-db');
    await own.call('PATCH', leasePath(own), { spec: { holderIdentity: '' } });
    expect((await own.run()).status?.run?.outcome).toBe('Succeeded');
  });

  it('a lock whose last backup is deleted while it runs is given back once nothing of it works', async () => {
    const own = await scene('left');
    await own.create();
    await own.trigger('a');
    const job = await own.started();
    await own.pod(job);
    expect(await own.holder()).toBe(job.metadata.uid);
    await own.call('DELETE', own.backupPath());
    // The collector of garbage may have to learn of the kind first.
    await waitFor(`${own.namespace}: the lock is free`, async () => (await own.holder()) === '', { seconds: 240 });
    expect((await own.jobs()).filter(({ metadata }) => metadata.deletionTimestamp === undefined)).toEqual([]);
  });

  it('a pod that is deleted, and not evicted, has another one under backoffLimit', async () => {
    const own = await scene('pod');
    await own.create({ job: { backoffLimit: 1 } });
    await own.trigger('a');
    const job = await own.started();
    const first = await own.pod(job);
    await own.podStatus(first, endedStatus({ run: { outcome: 'Failed', reason: 'Canceled', message: 'stop' } }));
    const second = await waitFor(
      `${own.namespace}: there is another pod`,
      async () =>
        (await direct.kube.podsOfJob(own.namespace, job.metadata.uid)).find(
          ({ metadata }) => metadata.uid !== first.metadata.uid,
        ),
      { seconds: 120 },
    );
    await own.podStatus(second, endedStatus({ run: { outcome: 'Failed', reason: 'Canceled', message: 'stop' } }));
    const failed = await own.untilEnded('Failed');
    expect(failed.status).toMatchObject({ failureReason: 'Evicted', consecutiveFailures: 1 });
    expect(condition(failed, 'BackupHealthy')).toMatchObject({ status: 'False', reason: 'Evicted' });
  });

  it('a lock that a quota refuses is told, and taken when it may be', async () => {
    const own = await scene('quota');
    const quotas = own.at('v1/resourcequotas');
    const none = { metadata: { name: 'none' }, spec: { hard: { 'count/leases.coordination.k8s.io': '0' } } };
    await own.call('POST', quotas, none);
    await waitFor('the quota is in force', async () => {
      const quota = await own.call<{ status?: { hard?: object } }>('GET', `${quotas}/none`);
      return quota.status?.hard !== undefined;
    });
    await own.create();
    await own.trigger('a');
    const refused = await own.untilCondition('BackupHealthy', 'JobRefused');
    expect(condition(refused, 'BackupHealthy')?.message).toContain('exceeded quota');
    await own.call('DELETE', `${quotas}/none`);
    expect((await own.run()).status?.run?.outcome).toBe('Succeeded');
  });
});
