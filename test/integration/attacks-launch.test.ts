// Attacks 8, 12, 30 and 37: whatever stops between two steps of a launch or wakes up late within one, whatever pods are lost and whatever
// backups are deleted, a window runs once and a lock has its Job.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job, Pod } from '../../controller/objects.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { endedStatus, installCrd, successResult, type World, world } from './controller-world.ts';
import {
  condition,
  createsJob,
  type FaultyScene,
  inScene as inSceneOf,
  isStarted,
  once,
  startOwnCluster,
  startsJob,
  stopOwnCluster,
  text,
  writesStatus,
} from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('attackslaunch', {});
let cluster: Cluster;
let direct: World;

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
});

afterAll(() => stopOwnCluster(rig));

const inScene = (name: string, act: Parameters<typeof inSceneOf>[3]) => inSceneOf(cluster, direct, name, act);

/** The controller dies with the lock taken and nothing claimed. */
async function dieWithTheLock(scene: FaultyScene): Promise<string> {
  await scene.createDue();
  await scene.startAndKillAt((asked) => writesStatus(asked) && lockIsTaken(scene), 'request');
  const [job] = await scene.jobs();
  expect(await scene.holder()).toBe(job?.metadata.uid);
  expect((await scene.get()).status?.run).toBeUndefined();
  return job?.metadata.uid ?? '';
}

const lockIsTaken = ({ proxy }: FaultyScene): boolean =>
  proxy.asked.some(
    ({ method, path, status }) => method !== 'GET' && path.includes('/leases') && status !== undefined && status < 300,
  );

describe.concurrent('attacks on the launch', { timeout: 300_000 }, () => {
  it('attack 8a: a stalled leader that wakes up makes the Job again, which never runs and is taken away', () =>
    inScene('a8a', async (scene, ledger) => {
      const window = await scene.createDue({ successfulJobsHistoryLimit: 0 });
      const awake = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      scene.proxy.fault = once(createsJob, () => {
        asked.resolve();
        return { hold: awake.promise };
      });
      // It holds the window in its hands, and hears nothing any more.
      const stalled = await scene.start();
      await asked.promise;
      const other = await scene.start();
      const first = await scene.run();
      expect(first.status?.run).toMatchObject({ slot: window, outcome: 'Succeeded' });
      await scene.untilFree();
      const [job] = await scene.jobs();
      if (job !== undefined) await scene.deleteJob(job);
      await scene.untilJobs('its Job is deleted', (jobs) => jobs.length === 0);
      awake.resolve();
      await waitFor('the stalled one makes it again', async () =>
        [...ledger.jobs.values()].some(({ metadata }) => metadata.uid !== first.status?.run?.jobUID),
      );
      await scene.untilJobs('it is taken away', (jobs) => jobs.length === 0);
      expect(await ledger.started()).toHaveLength(1);
      expect((await scene.get()).status?.run?.jobUID).toBe(first.status?.run?.jobUID);
      expect(await scene.holder()).toBe('');
      expect([stalled.child.exitCode, other.child.exitCode]).toEqual([null, null]);
    }));

  it('attack 8b: a claimed Job that is deleted before it is started is Unknown, and its window is not run again', () =>
    inScene('a8b', async (scene, ledger) => {
      const window = await scene.createDue();
      await scene.startAndKillAt(startsJob, 'request');
      const [job] = await scene.jobs();
      expect((await scene.get()).status?.run).toMatchObject({ slot: window, jobUID: job?.metadata.uid });
      if (job !== undefined) await scene.deleteJob(job);
      await scene.untilJobs('it is gone', (jobs) => jobs.length === 0);
      await scene.start();
      const { status } = await scene.untilEnded('Failed');
      expect(status).toMatchObject({ run: { reason: 'Unknown' }, lastAttemptScheduledTime: window });
      await scene.untilFree();
      await scene.trigger('after');
      expect((await scene.run()).status?.run).toMatchObject({ trigger: 'Manual', outcome: 'Succeeded' });
      expect((await ledger.started()).every((name) => name.includes('-t-'))).toBe(true);
    }));

  it('attack 8b: a Job that is deleted before it was claimed has not run, and is made again', () =>
    inScene('a8b-unclaimed', async (scene, ledger) => {
      const window = await scene.createDue();
      await scene.startAndKillAt(createsJob, 'answer');
      const [job] = await scene.untilJobs('it is made', (jobs) => jobs.length === 1);
      if (job !== undefined) await scene.deleteJob(job);
      await scene.start();
      const { status } = await scene.run();
      expect(status?.run).toMatchObject({ slot: window, outcome: 'Succeeded' });
      expect(status?.run?.jobUID).not.toBe(job?.metadata.uid);
      expect(await ledger.started()).toHaveLength(1);
    }));

  it.each([
    ['suspended', (scene: FaultyScene) => scene.patch({ spec: { suspend: true } })],
    ['without a schedule', (scene: FaultyScene) => scene.patch({ spec: { schedule: null } })],
  ])(
    'attack 8c: a backup that is %s while its Job holds the lock gives the lock back, and nothing runs',
    (how, change) =>
      inScene(`a8c-${how.replaceAll(' ', '-')}`, async (scene, ledger) => {
        await dieWithTheLock(scene);
        await change(scene);
        await scene.start();
        await scene.untilJobs('its Job is gone', (jobs) => jobs.length === 0);
        await scene.untilFree();
        expect(await ledger.started()).toEqual([]);
        expect((await scene.get()).status?.run).toBeUndefined();
      }),
  );

  it('attack 8c: a backup that is changed while its Job holds the lock runs as it is now, under the same name', () =>
    inScene('a8c-changed', async (scene, ledger) => {
      const uid = await dieWithTheLock(scene);
      await scene.patch({ spec: { database: { image: 'postgres:17' } } });
      await scene.start();
      const job = await scene.started();
      expect(job.metadata.uid).not.toBe(uid);
      expect(job.spec.template?.spec?.containers?.find(({ name }) => name === 'dump')?.image).toBe('postgres:17');
      expect(await scene.holder()).toBe(job.metadata.uid);
      await scene.run();
      expect(await ledger.started()).toEqual([job.metadata.name]);
    }));

  it('attack 8c: a backup that is deleted while its Job holds the lock leaves it to who comes next', () =>
    inScene('a8c-deleted', async (scene, ledger) => {
      await dieWithTheLock(scene);
      await scene.call('DELETE', scene.backupPath());
      await scene.create({}, 'other');
      await scene.start();
      await scene.trigger('a', 'other');
      const job = await scene.started();
      expect(job.metadata.name).toMatch(/^other-t-/);
      expect(await scene.holder()).toBe(job.metadata.uid);
      expect([...ledger.jobs.values()].filter(isStarted).map(({ metadata }) => metadata.uid)).toEqual([
        job.metadata.uid,
      ]);
    }));
});

describe.concurrent('attacks with pods that are lost and backups that are deleted', { timeout: 300_000 }, () => {
  it('attack 12: a pod that is lost with its node after the commit has another, which tells of the same snapshot, and that is one success', () =>
    inScene('a12', async (scene, ledger) => {
      await scene.start();
      await scene.create();
      await scene.trigger('a');
      const job = await scene.started();
      const lost = await scene.pod(job);
      await scene.podStatus(lost, { phase: 'Running' });
      await scene.until('it runs', ({ status }) => status?.phase === 'Running');
      const committed = successResult('20261121T130000Z-aaaa0001');
      // As the garbage collector of pods does with those of a node that is gone: no message of any container comes with it.
      const gone = { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC' };
      await scene.podStatus(lost, { phase: 'Failed', conditions: [gone] });
      await scene.call('DELETE', scene.at(`v1/pods/${lost.metadata.name}`), { gracePeriodSeconds: 0 });
      const next = await otherPod(scene, job, lost);
      // Its prepare has found the commit.
      await scene.podStatus(next, endedStatus(committed));
      const { status } = await scene.untilEnded('Succeeded');
      expect(status).toMatchObject({ run: { jobUID: job.metadata.uid }, consecutiveFailures: 0, snapshotCount: 1 });
      expect(status?.lastSnapshot?.id).toBe('20261121T130000Z-aaaa0001');
      expect(await ledger.started()).toEqual([job.metadata.name]);
    }));

  it('attack 12: a pod that is going and may still write has no other beside it', () =>
    inScene('a12-going', async (scene, ledger) => {
      await scene.start();
      await scene.create();
      await scene.trigger('a');
      const job = await scene.started();
      const going = await scene.pod(job);
      // On a node it takes its time to go; without one it would be gone at once.
      await scene.call('POST', '/api/v1/nodes', { metadata: { name: scene.namespace } });
      const target = { apiVersion: 'v1', kind: 'Node', name: scene.namespace };
      await scene.call('POST', scene.at(`v1/pods/${going.metadata.name}/binding`), {
        metadata: { name: going.metadata.name },
        target,
      });
      await scene.podStatus(going, { phase: 'Running' });
      await scene.call('DELETE', scene.at(`v1/pods/${going.metadata.name}`));
      await scene.untilJobs('its Job knows', ([one]) => (one?.status as { terminating?: number })?.terminating === 1);
      const pods = await direct.kube.podsOfJob(scene.namespace, job.metadata.uid);
      expect(pods.map(({ metadata }) => metadata.uid)).toEqual([going.metadata.uid]);
      await scene.podStatus(going, { phase: 'Failed' });
      await scene.podStatus(await otherPod(scene, job, going), endedStatus(successResult('20261121T130000Z-aaaa0001')));
      expect((await scene.untilEnded('Succeeded')).status?.consecutiveFailures).toBe(0);
      expect(await ledger.started()).toEqual([job.metadata.name]);
    }));

  it('attack 30: a backup that is made anew in its window waits for the old Job of the same name to go, then runs the window, and is no name conflict', () =>
    inScene('a30', async (scene, ledger) => {
      // By the controller's clock the window has just come; by the API server's both objects are older than it.
      const window = Math.floor(Date.now() / 60_000) * 60_000 + 12 * 3_600_000;
      await scene.setClock(window + 5_000 - Date.now());
      await scene.start('--max-clock-skew-seconds', '0');
      const spec = { schedule: `${new Date(window).getUTCMinutes()} ${new Date(window).getUTCHours()} * * *` };
      await scene.create(spec);
      const old = await scene.started();
      const path = scene.at(`batch/v1/jobs/${old.metadata.name}`);
      await scene.call('PATCH', path, { metadata: { finalizers: ['example.com/held'] } });
      await scene.call('DELETE', scene.backupPath());
      await scene.untilJobs('the old one goes', ([job]) => job?.metadata.deletionTimestamp !== undefined);
      const from = performance.now();
      const anew = await scene.create(spec);
      await waitFor('its name is found taken', async () =>
        scene.askedSince(from).some((asked) => createsJob(asked) && asked.status === 409),
      );
      const waiting = await scene.until('it is told', (backup) => condition(backup, 'BackupHealthy') !== undefined);
      expect(condition(waiting, 'BackupHealthy')?.reason).toBe('NeverSucceeded');
      expect(waiting.status?.run).toBeUndefined();
      await scene.call('PATCH', path, { metadata: { finalizers: null } });
      const job = await scene.started([old.metadata.uid]);
      expect(job.metadata.name).toBe(old.metadata.name);
      expect(job.metadata.ownerReferences?.[0]?.uid).toBe(anew.metadata.uid);
      const { status } = await scene.run();
      expect(status).toMatchObject({
        run: { slot: text(window), outcome: 'Succeeded' },
        scheduleBaseline: anew.metadata.creationTimestamp,
        missedWindows: 0,
      });
      const events = await scene.call<{ items: { reason: string }[] }>('GET', scene.at('events.k8s.io/v1/events'));
      expect(events.items.map(({ reason }) => reason)).not.toContain('NameConflict');
      expect(await ledger.started()).toEqual([old.metadata.name, job.metadata.name]);
    }));

  it.each([['looks on'], ['is away']])(
    'attack 37: a backup that is deleted while its Job runs and the controller %s leaves neither a Job nor a lock that is held',
    (how) =>
      inScene(`a37-${how.replace(' ', '-')}`, async (scene) => {
        const controller = await scene.start();
        await scene.create();
        await scene.trigger('a');
        const job = await scene.started();
        await scene.podStatus(await scene.pod(job), { phase: 'Running' });
        expect(await scene.holder()).toBe(job.metadata.uid);
        if (how === 'is away') await controller.kill();
        await scene.call('DELETE', scene.backupPath());
        await scene.untilJobs('its Job is gone', (jobs) => jobs.length === 0);
        if (how === 'is away') await scene.start();
        await scene.untilFree();
        // It counts its holders: it is given back, and not deleted.
        const lease = await direct.kube.getLease(scene.namespace, 'dbbackup-orders-db');
        expect(lease?.spec?.leaseTransitions).toBe(0);
      }),
  );
});

/** The pod that a Job makes after another. */
function otherPod(scene: FaultyScene, job: Job, than: Pod): Promise<Pod> {
  return waitFor('another pod', async () => {
    const pods = await direct.kube.podsOfJob(scene.namespace, job.metadata.uid);
    return pods.find(({ metadata }) => metadata.uid !== than.metadata.uid);
  });
}
