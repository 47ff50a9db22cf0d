// Faults while nobody looks: the controller is killed or away for days, the API server is away, clocks are wrong, objects go meanwhile.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobEnd } from '../../controller/objects.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { installCrd, successResult, type World, world } from './controller-world.ts';
import {
  condition,
  createsJob,
  type FaultyScene,
  inScene as inSceneOf,
  startOwnCluster,
  stopOwnCluster,
  text,
  windowOf,
} from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('faultsaway', {});
const day = 86_400_000;
/** A controller that goes by its own clock, however far that is from the API server's. */
const ownClock = ['--max-clock-skew-seconds', '0'];
let cluster: Cluster;
let direct: World;

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
});

afterAll(() => stopOwnCluster(rig));

const inScene = (name: string, act: Parameters<typeof inSceneOf>[3]) => inSceneOf(cluster, direct, name, act);

describe.concurrent('while the controller or the API server is away', { timeout: 300_000 }, () => {
  it('F1 a controller that is killed after it made the Job, before its status write, adopts that Job', () =>
    inScene('f1', async (scene, ledger) => {
      const window = await scene.createDue();
      await scene.startAndKillAt(createsJob, 'answer');
      const [made] = await scene.untilJobs('the Job is there', (jobs) => jobs.length === 1);
      expect((await scene.get()).status?.run).toBeUndefined();
      await scene.start();
      const { status } = await scene.run();
      expect(status).toMatchObject({ run: { slot: window, jobUID: made?.metadata.uid, outcome: 'Succeeded' } });
      expect(await ledger.started()).toEqual([made?.metadata.name]);
      expect(ledger.jobs.size).toBe(1);
    }));

  it('F9 an API server that is away across three windows leads to one run, of the latest, and counts the others once', () =>
    inScene('f9', async (scene, ledger) => {
      await scene.start();
      const windows = await threeWindowsToCome(scene);
      await scene.until('it knows the first', ({ status }) => status?.nextScheduledBackup === windows[0]);
      await scene.proxy.down();
      await scene.setClock(scene.clock + 240_000);
      await scene.proxy.up();
      const { status } = await scene.run();
      expect(status).toMatchObject({ run: { slot: windows[2], outcome: 'Succeeded' }, missedWindows: 2 });
      expect((await ledger.started()).map(windowOf)).toEqual([windows[2]]);
      expect(ledger.jobs.size).toBe(1);
    }));

  it('F9 windows that were missed are counted, though the controller dies right after it made the Job', () =>
    inScene('f9-killed', async (scene) => {
      const windows = await threeWindowsToCome(scene);
      await scene.setClock(scene.clock + 240_000);
      await scene.startAndKillAt(createsJob, 'answer');
      await scene.start();
      const { status } = await scene.run();
      expect(status).toMatchObject({ run: { slot: windows[2] }, missedWindows: 2 });
    }));

  it('F9 windows that are all longer ago than startingDeadlineSeconds are missed, and said to be', () =>
    inScene('f9-late', async (scene) => {
      const window = new Date(Math.floor((Date.now() - 2 * 3_600_000) / 60_000) * 60_000);
      const schedule = `${window.getUTCMinutes()} ${window.getUTCHours()} * * *`;
      const scheduleBaseline = text(window.getTime() - 2.5 * day);
      await scene.createSeen(schedule, { scheduleBaseline }, { startingDeadlineSeconds: 600 });
      await scene.start();
      const backup = await scene.untilCondition('BackupHealthy', 'Overdue');
      expect(backup.status).toMatchObject({ missedWindows: 3, nextScheduledBackup: text(window.getTime() + day) });
      expect(condition(backup, 'BackupHealthy')?.message).toContain(text(window.getTime()));
      expect(await scene.jobs()).toEqual([]);
    }));

  it('F10 a controller that was away for 30 days of every minute runs once, asks no more than for one window, and says "more than 1000"', () =>
    inScene('f10', async (scene) => {
      await scene.createSeen('* * * * *', { scheduleBaseline: text(Date.now() - 30 * day) });
      await scene.start();
      const job = await scene.started();
      // What lies behind a window costs no call; how few of the 43,200 are looked at, test/crds/rules/downtime.test.ts counts.
      const asked = scene.askedSince(0).filter(({ watch }) => !watch);
      expect(asked.filter(createsJob)).toHaveLength(1);
      expect(asked.length).toBeLessThan(25);
      const { status } = await scene.get();
      // The window after may have come already, and is missed while this one runs.
      expect((status?.missedWindows ?? 0) - 1000).toBeLessThan(5);
      expect(status?.missedWindows).toBeGreaterThanOrEqual(1000);
      await scene.patch({ spec: { suspend: true } });
      const path = scene.at('events.k8s.io/v1/events');
      // The window after may have been told of too.
      await waitFor('it is told', async () => {
        const { items } = await scene.call<{ items: { reason: string; note: string }[] }>('GET', path);
        return items.some(({ reason, note }) => reason === 'WindowMissed' && /^more than 1000 window/.test(note));
      });
      expect((await scene.run()).status?.run?.jobUID).toBe(job.metadata.uid);
      expect(await scene.jobs()).toHaveLength(1);
    }));

  it('F17 a namespace that is going gets no Job, and is not asked for one again and again', () =>
    inScene('f17', async (scene, ledger) => {
      // What somebody else holds on to keeps the namespace.
      const map = { metadata: { name: 'held', finalizers: ['example.com/held'] } };
      await scene.call('POST', scene.at('v1/configmaps'), map);
      await scene.start();
      await scene.create();
      await scene.until('it is known', ({ status }) => status?.observedGeneration === 1);
      await scene.trigger('a');
      const job = await scene.started();
      // The controller believes longest that there is something to do where it does not hear that its object goes.
      scene.proxy.freeze('databasebackups');
      await scene.call('DELETE', `/api/v1/namespaces/${scene.namespace}`);
      await waitFor('the backup and its Job are gone', async () => (await scene.jobs()).length === 0);
      const from = performance.now();
      scene.proxy.thaw();
      await waitFor(
        'the pods are gone',
        async () => (await direct.kube.podsOfJob(scene.namespace, job.metadata.uid)).length === 0,
      );
      await scene.call('PATCH', scene.at('v1/configmaps/held'), { metadata: { finalizers: null } });
      await waitFor('the namespace is gone', async () =>
        (await scene.call<{ items: { metadata: { name: string } }[] }>('GET', '/api/v1/namespaces')).items.every(
          ({ metadata }) => metadata.name !== scene.namespace,
        ),
      );
      const asked = scene.askedSince(from).filter(({ watch }) => !watch);
      expect(asked.filter(createsJob).length).toBeLessThan(5);
      expect(asked.length).toBeLessThan(40);
      expect(await ledger.started()).toHaveLength(1);
    }));

  it('F18 a complete Job whose pod is gone before anyone looked is a success without facts, which the next run brings', () =>
    inScene('f18-pod', async (scene) => {
      await scene.create();
      const controller = await scene.start();
      await scene.trigger('a');
      const job = await scene.started();
      await scene.pod(job);
      await controller.kill();
      await scene.succeed(job);
      await scene.untilJobs('it is complete', ([one]) => one !== undefined && jobEnd(one) === 'Complete');
      await scene.call('DELETE', scene.at(`v1/pods/${(await scene.pod(job)).metadata.name}`));
      await waitFor(
        'it is gone',
        async () => (await direct.kube.podsOfJob(scene.namespace, job.metadata.uid)).length === 0,
      );
      await scene.start();
      const lost = await scene.untilEnded('Succeeded');
      expect(lost.status?.run?.message).toContain('its result is lost');
      expect(lost.status).toMatchObject({ consecutiveFailures: 0, snapshotCount: 0 });
      expect(lost.status?.lastSnapshot).toBeUndefined();
      await scene.untilFree();
      await healed(scene, 'b');
    }));

  it('F18 a Job that was collected before its end was seen is Unknown, never runs again, and the next run brings what it left', () =>
    inScene('f18-ttl', async (scene, ledger) => {
      const window = await scene.createDue();
      const controller = await scene.start();
      const job = await scene.started();
      await scene.pod(job);
      await controller.kill();
      await scene.succeed(job);
      await scene.untilJobs('it is complete', ([one]) => one !== undefined && jobEnd(one) === 'Complete');
      await scene.deleteJob(job);
      await scene.untilJobs('it is gone', (jobs) => jobs.length === 0);
      await scene.start();
      const { status } = await scene.untilEnded('Failed');
      expect(status).toMatchObject({ run: { reason: 'Unknown', slot: window }, consecutiveFailures: 1 });
      await scene.untilFree();
      await healed(scene, 'b');
      expect((await ledger.started()).filter((name) => name === job.metadata.name)).toHaveLength(1);
    }));
});

/** A further run that finds the snapshot of the one before in storage. */
async function healed(scene: FaultyScene, token: string): Promise<void> {
  await scene.trigger(token);
  const job = await scene.started();
  const result = successResult('20261121T130000Z-aaaa0002');
  const snapshots = ['20261121T130000Z-aaaa0002', '20261121T120000Z-aaaa0001'].map((id) => ({ id, size: 1 }));
  await scene.end(job, { ...result, inventory: { snapshots, count: 2, deleted: 0, foreign: 0, pruneError: '' } });
  const { status } = await scene.until(
    'it ended',
    ({ status: now }) => now?.run?.jobUID === job.metadata.uid && now.run.outcome !== undefined,
  );
  expect(status).toMatchObject({ snapshots, snapshotCount: 2, consecutiveFailures: 0 });
  expect(status?.failureReason).toBeUndefined();
}

describe.concurrent('clocks', { timeout: 300_000 }, () => {
  it.each([
    ['an hour ahead', () => 3_600_000],
    ['an hour behind', () => -3_600_000],
    ['at epoch 0', () => -Date.now()],
    ['in 2100', () => Date.UTC(2100, 0, 1) - Date.now()],
  ])('F11 a clock that is %s runs the window that is due, no other, and once', (name, shift) =>
    inScene(`f11-${name.replace(/[^a-z0-9]+/g, '-')}`, async (scene, ledger) => {
      await scene.setClock(shift());
      const due = Math.floor(Date.now() / 60_000) * 60_000 - 120_000;
      const [was, next] = [new Date(due), new Date(due + 30 * 60_000)];
      const schedule = `${was.getUTCMinutes()},${next.getUTCMinutes()} * * * *`;
      await scene.createSeen(schedule, { scheduleBaseline: text(due - 60_000) });
      await scene.start();
      const first = await scene.run();
      expect(first.status).toMatchObject({
        run: { slot: text(due) },
        nextScheduledBackup: text(next.getTime()),
        missedWindows: 0,
      });
      // The clock is set right, and everyone looks again.
      await scene.setClock(0);
      await scene.touch();
      await scene.trigger('after');
      const second = await scene.run();
      expect(second.status).toMatchObject({ run: { trigger: 'Manual' }, nextScheduledBackup: text(next.getTime()) });
      expect((await ledger.started()).filter((one) => !one.includes('-t-')).map(windowOf)).toEqual([text(due)]);
    }),
  );

  it('F11 a clock that is set back waits for the next window and does not run the last one again', () =>
    inScene('f11-back', async (scene, ledger) => {
      await scene.start();
      const windows = await threeWindowsToCome(scene);
      await scene.setClock(scene.clock + 240_000);
      await scene.touch();
      const { status } = await scene.run();
      expect(status?.run?.slot).toBe(windows[2]);
      await scene.setClock(scene.clock - 240_000);
      await scene.trigger('it looks');
      const again = await scene.run();
      expect(again.status).toMatchObject({ run: { trigger: 'Manual' }, missedWindows: 2 });
      expect(Date.parse(again.status?.nextScheduledBackup ?? '')).toBeGreaterThan(Date.parse(windows[2] ?? ''));
      expect((await ledger.started()).filter((one) => !one.includes('-t-')).map(windowOf)).toEqual([windows[2]]);
    }));

  it('attack 40: a pod that is drained away after the start timeout is replaced, and its run goes on', () =>
    inScene('drained', async (scene, ledger) => {
      await scene.start(...ownClock);
      await scene.create();
      await scene.trigger('a');
      const job = await scene.started();
      const first = await scene.pod(job);
      await scene.podStatus(first, { phase: 'Running' });
      await scene.until('it runs', ({ status }) => status?.phase === 'Running');
      await scene.setClock(20 * 60_000);
      const lastTransitionTime = text(Date.now() + scene.clock);
      const drained = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', lastTransitionTime };
      await scene.podStatus(first, { phase: 'Failed', conditions: [drained] });
      await scene.call('DELETE', scene.at(`v1/pods/${first.metadata.name}`), { gracePeriodSeconds: 0 });
      await scene.until('it waits for another', ({ status }) => status?.run?.podGoneAt !== undefined);
      const second = await waitFor('another pod', async () => {
        const pod = await scene.pod(job);
        return pod.metadata.uid === first.metadata.uid ? undefined : pod;
      });
      await scene.podStatus(second, { phase: 'Running' });
      await scene.until('it runs again', ({ status }) => status?.phase === 'Running');
      const { status } = await scene.run();
      expect(status).toMatchObject({ run: { jobUID: job.metadata.uid, outcome: 'Succeeded' }, consecutiveFailures: 0 });
      expect(await ledger.started()).toEqual([job.metadata.name]);
    }));

  it('a write that goes on failing keeps no outcome out of status, and what it was for comes after it', () =>
    inScene('failing', async (scene) => {
      const window = await scene.createDue();
      const first = await scene.start(...ownClock);
      const job = await scene.started();
      await first.kill();
      await scene.succeed(job);
      await scene.setClock(day);
      scene.proxy.asked.splice(0);
      scene.proxy.fault = (asked) => (createsJob(asked) ? { answer: 500 } : undefined);
      await scene.start(...ownClock);
      const { status } = await scene.untilEnded('Succeeded');
      expect(status?.run).toMatchObject({ slot: window, jobUID: job.metadata.uid });
      await waitFor('the next is asked for', async () => scene.proxy.asked.filter(createsJob).length > 1);
      scene.proxy.fault = () => undefined;
      const next = await scene.started([job.metadata.uid]);
      expect(windowOf(next.metadata.name)).toBe(text(Date.parse(window) + day));
    }));

  it('F12 the night in which the clock goes back has one window at half past two, the first', () =>
    inScene('f12', async (scene, ledger) => {
      const [first, second] = ['2027-10-31T00:30:00Z', '2027-10-31T01:30:00Z'];
      const zone = { timeZone: 'Europe/Berlin' };
      await scene.createSeen('30 2 * * *', { scheduleBaseline: '2027-10-30T12:00:00Z' }, zone);
      await scene.setClock(Date.parse(first) + 5_000 - Date.now());
      await scene.start(...ownClock);
      await scene.started();
      await scene.setClock(Date.parse(second) + 5_000 - Date.now());
      const { status } = await scene.run();
      expect(status).toMatchObject({
        run: { slot: first },
        nextScheduledBackup: '2027-11-01T01:30:00Z',
        missedWindows: 0,
      });
      expect((await ledger.started()).map(windowOf)).toEqual([first]);
    }));
});

/** A schedule with windows in the next three minutes of the scene's clock, which stands at the beginning of one, and then not for most of an hour. */
async function threeWindowsToCome(scene: FaultyScene): Promise<string[]> {
  const now = Date.now();
  const minute = Math.floor(now / 60_000) * 60_000;
  await scene.setClock(minute + 1_000 - now);
  const windows = [1, 2, 3].map((count) => new Date(minute + count * 60_000));
  const schedule = `${windows.map((window) => window.getUTCMinutes()).join(',')} * * * *`;
  await scene.createSeen(schedule, { scheduleBaseline: text(minute) });
  return windows.map((window) => text(window.getTime()));
}
