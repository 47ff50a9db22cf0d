// Attacks on the design that concern the controller, each on a real API server, named by its number. Those that other files hold:
//   8 (a crash around any write)               controller-crash-sweep.test.ts, attacks-launch.test.ts
//   12, 30, 37 (lost pods, deleted backups)    attacks-launch.test.ts
//   13 (a deadline after the commit)           faults-jobs.test.ts
//   15, 36 (a pod that never starts, and why)  faults-start.test.ts
//   19 (what Jobs the controller may make)     kustomize-policies.test.ts
//   20 (who may make Jobs run)                 spec-policy.test.ts
//   27 (the plugin joins a trigger that waits) test/plugin/trigger.test.ts
//   40 (a drained pod is replaced)             faults-away.test.ts
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Backup, Job } from '../../controller/objects.ts';
import { encodeResult } from '../../crds/rules/contract.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { endedStatus, installCrd, successResult, type World, world } from './controller-world.ts';
import { condition, FaultyScene, Ledger, Scene, startOwnCluster, stopOwnCluster, text } from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('attacks', {});
let cluster: Cluster;
let direct: World;
/** Its controller sees all namespaces. */
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
const gate = (token: string, more: object = {}) => ({ spec: { gate: { token, ...more } } });
const once = { job: { backoffLimit: 0 } };
const reason = (backup: Backup, type = 'Ready') => condition(backup, type)?.reason;
const imageOf = (job: Job) => job.spec.template?.spec?.containers?.find(({ name }) => name === 'dump')?.image;

/** A backup that has been looked at and has one good run. */
async function settled(own: Scene, spec: object = {}): Promise<Backup> {
  await own.create(spec);
  await own.trigger('first');
  return await own.run();
}

describe.concurrent('attacks on runs', { timeout: 300_000 }, () => {
  it('attack 4: the age of a snapshot is that of its dump, not of its window or its commit', async () => {
    const own = await scene('a4');
    const window = await own.createDue();
    const job = await own.started();
    const { run } = successResult('20261121T130000Z-aaaa0001');
    const dumpStartedAt = text(Date.now() - 4_321_000);
    await own.end(job, { run: { ...run, dumpStartedAt } as typeof run });
    const { status } = await own.untilEnded('Succeeded');
    expect(status).toMatchObject({ lastSuccessfulBackup: dumpStartedAt, lastAttemptScheduledTime: window });
    expect(status).toMatchObject({ run: { dumpStartedAt, slot: window }, lastSnapshot: { dumpStartedAt } });
  });

  it('attack 5: a token that comes back is a new run, its Job in history or not', async () => {
    const own = await scene('a5');
    await settled(own, { successfulJobsHistoryLimit: 3 });
    const uids = new Set<string>();
    for (const token of ['16.3', '16.4', '16.3']) {
      await own.trigger(token);
      const { status } = await own.run();
      expect(status).toMatchObject({ run: { token }, lastHandledTrigger: { token, jobUID: status?.run?.jobUID } });
      uids.add(status?.run?.jobUID ?? '');
    }
    expect(uids.size).toBe(3);
  });

  it('attack 5: a gate and a trigger of one token are two runs', async () => {
    const own = await scene('a5-kinds');
    await settled(own);
    await own.trigger('16.4');
    const manual = await own.run();
    await own.patch(gate('16.4'));
    await own.untilCondition('Ready', 'GatePending');
    const gated = await own.run();
    expect(gated.status?.run?.jobName).not.toBe(manual.status?.run?.jobName);
    expect(gated.status?.gate?.satisfiedBy).toBe(gated.status?.run?.jobUID);
  });

  it('attack 6: two backups that write to one place both say so, until one of them has a place of its own', async () => {
    const own = await scene('a6');
    const names = ['orders-hourly', 'orders-daily'] as const;
    for (const name of names) await own.create({}, name);
    for (const [name, other] of [names, names.toReversed()] as [string, string][]) {
      const told = await own.untilCondition('PlaceShared', 'OtherBackup', name);
      expect(condition(told, 'PlaceShared')).toMatchObject({
        status: 'True',
        message: expect.stringContaining(`DatabaseBackup "${other}"`),
      });
      expect(reason(told)).toBe('Accepted');
    }
    await own.patch({ spec: { storage: { pathPrefix: 'daily' } } }, 'orders-daily');
    for (const name of names)
      await own.until('it is alone', (backup) => condition(backup, 'PlaceShared') === undefined, name);
  });

  it('attack 6: snapshots of another Kubernetes cluster in the same place are told of, and are none of ours', async () => {
    const own = await scene('a6-cluster');
    await own.create();
    for (const foreign of [7, 0]) {
      await own.trigger(`finds-${foreign}`);
      const { run } = successResult('20261121T130000Z-aaaa0001');
      const snapshots = [{ id: '20261121T130000Z-aaaa0001', size: 300 }];
      const inventory = { snapshots, count: 1, deleted: 0, foreign, pruneError: '' };
      await own.end(await own.started(), { run, inventory });
      const { status } = await own.until(
        'it is known',
        (backup) => backup.status?.run?.token === `finds-${foreign}` && backup.status.run.outcome !== undefined,
      );
      expect(status).toMatchObject({ snapshots, snapshotCount: 1, foreignSnapshots: foreign });
      const told = condition({ status } as Backup, 'PlaceShared');
      if (foreign === 0) expect(told).toBeUndefined();
      else
        expect(told).toMatchObject({
          status: 'True',
          reason: 'OtherCluster',
          message: expect.stringMatching(/^7 snapshot/),
        });
    }
  });

  it('attack 10: the lock is written once, lasts longer than the Job may, and is not renewed while it runs', async () => {
    const own = await scene('a10');
    await own.create({ job: { activeDeadlineSeconds: 3600, backoffLimit: 1 } });
    await own.trigger('a');
    const job = await own.started();
    const lease = () => direct.kube.getLease(own.namespace, 'dbbackup-orders-db');
    const taken = await lease();
    expect(taken?.spec?.leaseDurationSeconds).toBeGreaterThan(
      job.spec.activeDeadlineSeconds ?? Number.POSITIVE_INFINITY,
    );
    expect(job.spec.activeDeadlineSeconds).toBeGreaterThanOrEqual(2 * 3600);
    await own.podStatus(await own.pod(job), { phase: 'Running' });
    await own.until('it is seen to run', ({ status }) => status?.phase === 'Running');
    await own.touch();
    expect((await lease())?.metadata.resourceVersion).toBe(taken?.metadata.resourceVersion);
    await own.run();
    await own.untilFree();
  });

  it('attack 11: two backups of one host exclude each other without anyone naming a cluster', async () => {
    const own = await scene('a11');
    await own.create({}, 'orders-hourly');
    await own.create({}, 'orders-daily');
    await own.trigger('a', 'orders-hourly');
    const first = await own.started();
    await own.trigger('b', 'orders-daily');
    const both = await own.untilJobs('the other waits', (jobs) => jobs.length === 2);
    await own.touch('orders-daily');
    expect(both.filter(({ spec }) => spec.suspend === false)).toHaveLength(1);
    expect(await own.holder()).toBe(first.metadata.uid);
    await own.run('orders-hourly');
    const second = await own.started([first.metadata.uid]);
    expect(await own.holder()).toBe(second.metadata.uid);
  });

  it('attack 14: a message that a fourth container halves still tells of the commit', async () => {
    const own = await scene('a14');
    await own.create();
    await own.trigger('a');
    const job = await own.started();
    const result = successResult('20261121T130000Z-aaaa0001');
    const whole = encodeResult(result);
    const cut = whole.slice(0, whole.indexOf('\n') + 20);
    const status = JSON.parse(
      JSON.stringify(endedStatus(result)).replace(JSON.stringify(whole), JSON.stringify(cut)),
    ) as object;
    expect(JSON.stringify(status)).not.toBe(JSON.stringify(endedStatus(result)));
    await own.podStatus(await own.pod(job), status);
    const backup = await own.untilEnded('Succeeded');
    expect(backup.status).toMatchObject({ lastSnapshot: { id: '20261121T130000Z-aaaa0001' }, snapshotCount: 0 });
  });

  it('attack 17: a sidecar that keeps the pod to its deadline does not unmake the commit, and none is asked for', async () => {
    const own = await scene('a17');
    await own.create(once);
    await own.trigger('a');
    const job = await own.started();
    const pod = await own.pod(job);
    expect(pod.metadata.labels).toMatchObject({ 'sidecar.istio.io/inject': 'false' });
    const status = endedStatus(successResult('20261121T130000Z-aaaa0001'));
    await own.podStatus(pod, { ...status, phase: 'Failed', reason: 'DeadlineExceeded' });
    const backup = await own.untilEnded('Succeeded');
    expect(backup.status).toMatchObject({ consecutiveFailures: 0, lastSnapshot: { id: '20261121T130000Z-aaaa0001' } });
    await own.untilFree();
  });

  it('attack 27: a token that is replaced before it was seen collapses into the last, whose run serves both', async () => {
    const own = await scene('a27');
    const ledger = new Ledger(own);
    await settled(own);
    await own.trigger('runs');
    const running = await own.started();
    await own.trigger('b');
    await own.untilJobs('it waits', (jobs) => jobs.filter(({ spec }) => spec.suspend).length === 1);
    await own.trigger('c');
    await own.succeed(running);
    const { status } = await own.until(
      'the last is handled',
      (backup) => backup.status?.lastHandledTrigger?.token === 'c',
    );
    expect(status?.run?.token).toBe('c');
    await own.run();
    expect(await ledger.started()).toHaveLength(3);
  });
});

describe.concurrent('attacks on the gate', { timeout: 300_000 }, () => {
  it('attack 28: the first token is a baseline, and nothing runs for it', async () => {
    const own = await scene('a28-first');
    await own.create({ gate: { token: 'postgres:16.3' } });
    const backup = await own.untilCondition('Ready', 'Accepted');
    expect(backup.status?.gate).toMatchObject({ token: 'postgres:16.3', satisfiedBy: 'Baseline' });
    expect(await own.jobs()).toEqual([]);
  });

  it('attack 28: a rollback to the token before is a change, and has a run of its own', async () => {
    const own = await scene('a28-back');
    await settled(own, { gate: { token: '16.3' } });
    const satisfied: (string | undefined)[] = [];
    for (const token of ['16.4', '16.3']) {
      await own.patch(gate(token));
      await own.untilCondition('Ready', 'GatePending');
      await own.run();
      const open = await own.untilCondition('Ready', 'Accepted');
      expect(open.status?.gate).toMatchObject({ token, satisfiedBy: open.status?.run?.jobUID });
      satisfied.push(open.status?.gate?.satisfiedBy);
    }
    expect(new Set(satisfied).size).toBe(2);
  });

  it('attack 28: two changes in quick succession collapse to the last; the run claimed for the first does not count', async () => {
    const own = await scene('a28-quick');
    await settled(own);
    await own.patch(gate('b'));
    const first = await own.started();
    await own.until('it is claimed', ({ status }) => status?.run?.gate === 'b');
    await own.patch(gate('c'));
    await own.until('the change is seen', ({ status }) => status?.gate?.token === 'c');
    await own.succeed(first);
    const next = await own.started([first.metadata.uid]);
    expect(reason(await own.get())).toBe('GatePending');
    await own.succeed(next);
    const { status } = await own.untilCondition('Ready', 'Accepted');
    expect(status?.gate).toMatchObject({ token: 'c', satisfiedBy: next.metadata.uid });
  });

  it('attack 28: a suspension stops the schedule, not the gate and not a trigger', async () => {
    const own = await scene('a28-suspended');
    await own.create({ schedule: '* * * * *', suspend: true, gate: { token: 'a' } });
    await own.untilCondition('Ready', 'Accepted');
    await own.patch(gate('b'));
    await own.until('the change is seen', ({ status }) => status?.gate?.token === 'b');
    const gated = await own.run();
    expect(gated.status?.run).toMatchObject({ trigger: 'Gate', gate: 'b' });
    await own.trigger('now');
    const manual = await own.run();
    expect(manual.status).toMatchObject({ run: { trigger: 'Manual' }, missedWindows: 0 });
    expect(manual.status?.lastAttemptScheduledTime).toBeUndefined();
    expect(manual.status?.nextScheduledBackup).toBeUndefined();
  });

  it('attack 28: a gate whose run failed is healed by any later success, and is not Healthy before', async () => {
    const own = await scene('a28-heals');
    await settled(own, once);
    await own.patch(gate('b'));
    await own.fail(await own.started());
    const failed = await own.untilCondition('Ready', 'GateFailed');
    expect(condition(failed, 'Stalled')?.status).toBe('True');
    expect(failed.status?.gate?.failedAt).toBeDefined();
    await own.trigger('again');
    await own.run();
    const healed = await own.untilCondition('Ready', 'Accepted');
    expect(condition(healed, 'Stalled')).toBeUndefined();
    expect(healed.status?.gate).toMatchObject({ token: 'b', satisfiedBy: healed.status?.run?.jobUID });
    expect(healed.status?.gate?.failedAt).toBeUndefined();
  });

  it('attack 28: the run before a change has the image of the last good run, the one after it the new', async () => {
    const own = await scene('a28-image');
    await settled(own);
    await own.patch({ spec: { database: { image: 'postgres:17' }, gate: { token: 'postgres:17' } } });
    const before = await own.started();
    expect(imageOf(before)).toBe('postgres:16');
    await own.succeed(before);
    const open = await own.untilCondition('Ready', 'Accepted');
    expect(open.status?.run?.image).toBe('postgres:16');
    await own.trigger('after');
    const after = await own.started([before.metadata.uid]);
    expect(imageOf(after)).toBe('postgres:17');
    await own.succeed(after);
    expect(
      (await own.until('it ended', ({ status }) => status?.lastSnapshot?.image === 'postgres:17')).status?.phase,
    ).toBe('Succeeded');
  });
});

// One after the other: all look at one clock.
describe('attacks by time', { timeout: 300_000 }, () => {
  afterEach(() => shared.setClock(0));

  it('attack 29: a window that comes due while the lock is held waits past startingDeadlineSeconds, and runs', async () => {
    const own = await scene('a29');
    const lease = {
      metadata: { name: 'dbbackup-orders-db' },
      spec: { holderIdentity: 'upgrade of orders-db', acquireTime: `${new Date().toISOString().slice(0, 23)}000Z` },
    };
    await own.call('POST', own.at('coordination.k8s.io/v1/leases'), lease);
    const window = await own.createDue({ startingDeadlineSeconds: 200 });
    await own.untilJobs('it waits', (jobs) => jobs.length === 1);
    // Far beyond the deadline by the controller's clock.
    await shared.setClock(240_000);
    await own.touch();
    await own.untilCondition('Locked', 'LockHeld');
    const held = await direct.kube.getLease(own.namespace, 'dbbackup-orders-db');
    expect(held?.spec?.holderIdentity).toBe('upgrade of orders-db');
    await own.call('PATCH', own.at('coordination.k8s.io/v1/leases/dbbackup-orders-db'), {
      spec: { holderIdentity: '' },
    });
    const { status } = await own.run();
    expect(status).toMatchObject({ run: { slot: window, outcome: 'Succeeded' }, missedWindows: 0 });
  });

  it.each([
    ['Block', 'GateFailed', 'False'],
    ['Allow', 'GateOverridden', 'True'],
  ])(
    'attack 28: a gate that waits for a foreigner beyond its time fails with %s, %s',
    async (onFailure, wanted, ready) => {
      const own = await scene(`a28-${onFailure.toLowerCase()}`);
      await settled(own);
      await own.untilFree();
      const path = own.at('coordination.k8s.io/v1/leases/dbbackup-orders-db');
      await own.call('PATCH', path, {
        spec: { holderIdentity: 'upgrade of orders-db', renewTime: null, leaseDurationSeconds: null },
      });
      // The schema allows no less than a minute.
      await own.patch(gate('b', { onFailure, timeoutSeconds: 60 }));
      await own.untilCondition('Ready', 'GatePending');
      await own.untilJobs('its Job waits', (jobs) => jobs.some(({ spec }) => spec.suspend === true));
      await shared.setClock(120_000);
      await own.touch();
      const over = await own.untilCondition('Ready', wanted);
      expect(condition(over, 'Ready')).toMatchObject({
        status: ready,
        message: expect.stringContaining('within 60 s'),
      });
      expect(condition(over, 'Stalled')?.status).toBe(onFailure === 'Block' ? 'True' : undefined);
      expect(reason(over, 'BackupHealthy')).toBe('GateFailed');
      expect(await own.holder()).toBe('upgrade of orders-db');
      await waitFor('nothing waits any more', async () =>
        (await own.jobs()).every(({ spec }) => spec.suspend !== true),
      );
      await own.call('PATCH', path, { spec: { holderIdentity: '' } });
      await own.trigger('again');
      await own.run();
      expect((await own.untilCondition('Ready', 'Accepted')).status?.gate?.token).toBe('b');
    },
  );
});
