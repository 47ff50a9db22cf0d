// Faults between the controller and the API server: lost answers, frozen and dead watches, a server that refuses or is away.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../rig/cluster/cluster.ts';
import type { Asked } from '../rig/faults/fault-proxy.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { installCrd, type World, world } from './controller-world.ts';
import {
  condition,
  createsJob,
  inScene as inSceneOf,
  once,
  startOwnCluster,
  stopOwnCluster,
  windowOf,
  writesLock,
  writesStatus,
} from './faults-world.ts';
import type { Program } from './program.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('faultsapi', {});
let cluster: Cluster;
let direct: World;

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
});

afterAll(() => stopOwnCluster(rig));

const inScene = (name: string, act: Parameters<typeof inSceneOf>[3]) => inSceneOf(cluster, direct, name, act);
const renewsLeadership = ({ method, path }: Asked): boolean => method === 'PUT' && path.endsWith('dbbackup-controller');

describe.concurrent('faults between the controller and the API server', { timeout: 300_000 }, () => {
  it('F2 a Job whose creation was answered to nobody is found and used, and the window is spent once', () =>
    inScene('f2', async (scene, ledger) => {
      const window = await scene.createDue();
      scene.proxy.fault = once(createsJob, () => ({ lose: 'answer' }));
      await scene.start();
      const { status } = await scene.run();
      expect(status).toMatchObject({ lastAttemptScheduledTime: window, missedWindows: 0, consecutiveFailures: 0 });
      expect(await ledger.started()).toHaveLength(1);
      expect(ledger.jobs.size).toBe(1);
    }));

  it.each([[['databasebackups']], [['jobs']], [['databasebackups', 'jobs', 'pods', 'leases']]])(
    'F4 watches of %s that freeze across a window make no second Job for it',
    (kinds) =>
      inScene(`f4-${kinds.length}-${kinds[0]?.slice(0, 4)}`, async (scene, ledger) => {
        await scene.start();
        await scene.create({ schedule: '0 0 1 1 *' });
        await scene.until('it is known', ({ status }) => status?.nextScheduledBackup !== undefined);
        // The controller knows of the window before its eyes are shut.
        const minute = Math.ceil((Date.now() + 30_000) / 60_000) * 60_000;
        const at = new Date(minute);
        const schedule = `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
        await scene.setClock(minute - 30_000 - Date.now());
        await scene.patch({ spec: { schedule } });
        const window = `${at.toISOString().slice(0, 19)}Z`;
        await scene.until('it sees the window', ({ status }) => status?.nextScheduledBackup === window);
        scene.proxy.freeze(...kinds);
        await waitFor('it is asked for a Job', async () => scene.proxy.asked.some(createsJob));
        // As long as the next look takes, which nothing but a timer brings: the 30 s at which clocks are compared.
        await waitFor('the controller asks again or is silent', async () => {
          const [first] = scene.proxy.asked.filter(createsJob);
          return performance.now() - (first?.at ?? 0) > 30_000;
        });
        const asked = scene.proxy.asked.filter(createsJob).length;
        scene.proxy.thaw();
        const { status } = await scene.run();
        expect(status).toMatchObject({ run: { slot: window, outcome: 'Succeeded' }, missedWindows: 0 });
        expect((await ledger.started()).map(windowOf)).toEqual([window]);
        expect(ledger.jobs.size).toBe(1);
        expect(asked).toBeLessThan(40);
      }),
  );

  it('F5 a leader that is stopped past its lease and goes on finds the other at work: one Job, one holder', () =>
    inScene('f5', async (scene, ledger) => {
      const window = await scene.createDue();
      const lead = (identity: string): Program =>
        scene.launch({}, '--namespace', scene.namespace, '--identity', identity);
      const late = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      // Its claim is on the way when it stops, and comes to the server after the other's.
      scene.proxy.fault = once(writesStatus, () => {
        held.resolve();
        return { hold: late.promise };
      });
      const first = lead('first');
      await held.promise;
      first.child.kill('SIGSTOP');
      const second = lead('second');
      await second.printed('"leading"');
      const job = await scene.started();
      late.resolve();
      first.child.kill('SIGCONT');
      await first.printed('leadership is not proven any more');
      expect(await scene.holder()).toBe(job.metadata.uid);
      const { status } = await scene.run();
      expect(status).toMatchObject({ run: { slot: window, jobUID: job.metadata.uid }, missedWindows: 0 });
      await scene.untilFree();
      expect(await ledger.started()).toEqual([job.metadata.name]);
      expect([first.child.exitCode, second.child.exitCode]).toEqual([null, null]);
    }));

  it('F6 a leader whose lease is written too slowly steps down and leads again, and running Jobs do not notice', () =>
    inScene('f6', async (scene, ledger) => {
      await scene.createDue();
      const program = scene.launch({}, '--namespace', scene.namespace, '--identity', 'one');
      const job = await scene.started();
      const fast = Promise.withResolvers<void>();
      scene.proxy.fault = (asked) => (renewsLeadership(asked) ? { hold: fast.promise } : undefined);
      await program.printed('leadership is not proven any more');
      await scene.trigger('while nobody leads');
      const renewals = scene.proxy.asked.filter(renewsLeadership).length;
      await waitFor('it tries again', async () => scene.proxy.asked.filter(renewsLeadership).length > renewals);
      expect((await scene.jobs()).map(({ metadata, spec }) => [metadata.uid, spec.suspend])).toEqual([
        [job.metadata.uid, false],
      ]);
      fast.resolve();
      scene.proxy.fault = () => undefined;
      await scene.succeed(job);
      await scene.started([job.metadata.uid]);
      const { status } = await scene.run();
      expect(status?.run).toMatchObject({ token: 'while nobody leads', outcome: 'Succeeded' });
      expect(await ledger.started()).toHaveLength(2);
      expect(program.child.exitCode).toBeNull();
      expect(program.output().match(/"leading"/g)).toHaveLength(2);
    }));

  it('F7 watches that go silent without an end are given up, and what they kept back is caught up', () =>
    inScene('f7', async (scene, ledger) => {
      // Two minutes of silence, in three seconds.
      const program = scene.launch({ DBBACKUP_TEST_WAITS: '100000:3000' }, '--no-leader-elect');
      await program.printed('caches are filled');
      await waitFor('all watch', async () => new Set(watches(scene.proxy.asked)).size === 4);
      const from = performance.now();
      scene.proxy.deafen();
      const window = await scene.createDue();
      const { status } = await scene.run();
      expect(status?.run).toMatchObject({ slot: window, outcome: 'Succeeded' });
      expect(await ledger.started()).toHaveLength(1);
      expect(program.output()).toContain('the connection is dead');
      expectNoHotLoop(scene.askedSince(from));
    }));

  it('F8 watches from a version that is compacted away lead to a list, not to a loop', () =>
    inScene('f8', async (scene, ledger) => {
      let left = 4;
      // The CRD is younger than version 1: the server itself answers 410.
      scene.proxy.fault = ({ watch, path }) =>
        watch && path.endsWith('/databasebackups') && left-- > 0 ? { query: { resourceVersion: '1' } } : undefined;
      const from = performance.now();
      const program = await scene.start();
      const window = await scene.createDue();
      await waitFor('all are answered', async () => left <= 0);
      const { status } = await scene.run();
      expect(status?.run).toMatchObject({ slot: window, outcome: 'Succeeded' });
      expect(program.output().match(/410 too old resource version/g)).toHaveLength(4);
      expect(await ledger.started()).toHaveLength(1);
      expectNoHotLoop(scene.askedSince(from));
    }));

  it('F13 conflicts on every status write pass without a lost condition, a changed spec or a hot loop', () =>
    inScene('f13', async (scene, ledger) => {
      scene.proxy.fault = (asked) => (writesStatus(asked) ? { answer: 409 } : undefined);
      const window = await scene.createDue({ gate: { token: 'a' } });
      const { generation } = (await scene.get()).metadata;
      await scene.start();
      await scene.patchStatus({
        conditions: [
          {
            type: 'Retained',
            status: 'False',
            reason: 'PruneFailed',
            message: 'denied',
            lastTransitionTime: '2025-01-01T00:00:00Z',
          },
        ],
      });
      const from = performance.now();
      // Looks double from 200 ms to 10 s: seven take about half a minute.
      await waitFor('many conflicts', async () => scene.proxy.asked.filter(writesStatus).length >= 7);
      expectNoHotLoop(scene.askedSince(from));
      scene.proxy.fault = () => undefined;
      const job = await scene.started();
      await scene.fail(job);
      const backup = await scene.until('it runs again', ({ status }) => status?.run?.jobUID === job.metadata.uid);
      expect(condition(backup, 'Retained')).toMatchObject({ status: 'False', message: 'denied' });
      expect(backup.status?.run?.slot).toBe(window);
      expect(backup.metadata.generation).toBe(generation);
      expect(await ledger.started()).toHaveLength(1);
    }));

  it.each([429, 503])('F14 a server that answers %i is asked again when it says, and all comes right', (code) =>
    inScene(`f14-${code}`, async (scene, ledger) => {
      const program = await scene.start();
      scene.proxy.fault = () => ({ answer: code, retryAfter: 4 });
      const from = performance.now();
      // The watches end too, as when a server restarts.
      await scene.proxy.down();
      await scene.proxy.up();
      const window = await scene.createDue();
      await waitFor('each kind has been refused', async () => lists(scene.askedSince(from)).length >= 8);
      const refused = scene.askedSince(from);
      for (const path of new Set(lists(refused))) {
        const times = refused.filter((asked) => asked.path === path && !asked.watch).map(({ at }) => at);
        // The first after a refusal waits for what was asked, and no list comes twice in that time.
        expect(times.slice(1).every((at, index) => at - (times[index] ?? 0) > 3_900)).toBe(true);
      }
      // Mid-launch as well: writes are refused, reads are not.
      scene.proxy.fault = ({ method }) => (method === 'GET' ? undefined : { answer: code, retryAfter: 4 });
      await waitFor('a write is refused', async () => scene.proxy.asked.some(createsJob));
      expect(scene.proxy.asked.filter(createsJob)).toHaveLength(1);
      scene.proxy.fault = () => undefined;
      const { status } = await scene.run();
      expect(status?.run).toMatchObject({ slot: window, outcome: 'Succeeded' });
      expect(await ledger.started()).toHaveLength(1);
      expect(program.child.exitCode).toBeNull();
    }),
  );

  it('F2 a lock or a claim whose answer was lost is known as our own', () =>
    inScene('f2-later', async (scene, ledger) => {
      const faults = [writesLock, writesStatus].map((concerns) => once(concerns, () => ({ lose: 'answer' })));
      scene.proxy.fault = (asked) => faults.map((fault) => fault(asked)).find((found) => found !== undefined);
      await scene.createDue();
      await scene.start();
      expect((await scene.run()).status).toMatchObject({ consecutiveFailures: 0, run: { outcome: 'Succeeded' } });
      await scene.untilFree();
      expect(await ledger.started()).toHaveLength(1);
    }));
});

const lists = (asked: Asked[]): string[] =>
  asked
    .filter(({ method, watch, path }) => method === 'GET' && !watch && !path.includes('/namespaces/'))
    .map(({ path }) => path);
const watches = (asked: Asked[]): string[] => asked.filter(({ watch }) => watch).map(({ path }) => path);

/** No kind is listed or watched more than once a second on average, nothing else is asked more than a few times a second. */
function expectNoHotLoop(asked: Asked[]): void {
  const seconds = (performance.now() - (asked[0]?.at ?? 0)) / 1000 + 2;
  const counts = new Map<string, number>();
  for (const { method, path, watch } of asked) {
    const key = `${watch ? 'WATCH' : method} ${path}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const [what, count] of counts) {
    const perSecond = what.includes('/namespaces/') ? 6 : 1;
    expect(count, `${what} in ${seconds.toFixed(1)} s`).toBeLessThanOrEqual(Math.ceil(seconds * perSecond));
  }
}
