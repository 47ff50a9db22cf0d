// Attack 8: whatever stops between two steps of a launch, or wakes up late within one, a window runs once and a lock has its Job.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { installCrd, type World, world } from './controller-world.ts';
import {
  createsJob,
  type FaultyScene,
  inScene as inSceneOf,
  isStarted,
  once,
  startOwnCluster,
  startsJob,
  stopOwnCluster,
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
