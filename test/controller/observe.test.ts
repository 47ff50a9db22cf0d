// What is known of one backup: from the caches where being late does no harm, from the API server where something counts as gone.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Backup, Job, Pod } from '../../controller/objects.ts';
import { observe } from '../../controller/observe.ts';
import { backup, claimOf, container, job, jobName, lease, ownedBy, pod, window } from './builders.ts';
import { MemoryKube, wired } from './memory-kube.ts';

const startedAt = '2025-03-27T01:00:10Z';
const soon = '2025-03-27T01:00:39Z';
const later = '2025-03-27T01:00:40Z';
const running = job({ started: startedAt });
const claimed = (of: Job, change: Parameters<typeof claimOf>[1] = {}) =>
  backup({ status: { run: claimOf(of, change) } });
const podOf = (uid: string, status: Pod['status'], name = 'orders-pod') =>
  pod(status, { name, uid: `pod-${name}`, labels: { 'batch.kubernetes.io/controller-uid': uid } });

let kube: MemoryKube;
beforeEach(() => {
  kube = new MemoryKube().put('backups', backup());
});

/** Caches show what is stored, and what changes then is seen by live looks only. */
async function seen(meanwhile: () => void = () => {}, now = later, launchesWait = false) {
  const { caches, seats } = wired(kube, { caches: frozen(kube) });
  meanwhile();
  kube.calls.splice(0);
  return await observe(caches, seats, kube, 'shop/orders', new Date(now), launchesWait);
}
const frozen = (of: MemoryKube) =>
  of.caches({
    jobs: new Map(of.jobs),
    pods: new Map(of.pods),
    leases: new Map(of.leases),
    backups: new Map(of.backups),
  });

describe('a backup', () => {
  test('that is gone, or going, is not looked at', async () => {
    kube.put('backups', backup({ metadata: { deletionTimestamp: window } }));
    expect(await seen()).toBeUndefined();
    kube.backups.clear();
    expect(await seen()).toBeUndefined();
    expect(kube.calls).toEqual([]);
  });

  test('without a run is observed without a call', async () => {
    expect(await seen()).toMatchObject({ backup: backup(), jobs: [], pods: [], events: [], claimedIsGone: false });
    expect(kube.calls).toEqual([]);
  });

  test('has the Jobs that it owns, oldest first, then by name', async () => {
    const make = (name: string, created: string, uid = 'backup-1'): Job => {
      const one = job({ name, uid: `job-${name}`, created, started: startedAt, ended: 'Complete' });
      return { ...one, metadata: { ...one.metadata, ownerReferences: [ownedBy(uid)] } };
    };
    kube.put('jobs', make('c', later), make('b', window), make('a', later), make('z', window, 'backup-0'));
    expect((await seen())?.jobs.map(({ metadata }) => metadata.name)).toEqual(['b', 'a', 'c']);
  });

  test('names the others that write to the same place, not those beside it', async () => {
    const other = (name: string, pathPrefix?: string): Backup => {
      const { storage } = backup().spec;
      const spec = { storage: { ...storage, ...(pathPrefix === undefined ? {} : { pathPrefix }) } };
      return backup({ metadata: { name, uid: name }, spec });
    };
    kube.put('backups', other('wages'), other('bills'), other('stock', 'stock'));
    expect((await seen())?.samePlace).toEqual(['bills', 'wages']);
  });

  test('is told of the places that are taken, with those of launches', async () => {
    kube.put('jobs', running);
    const { caches, seats } = wired(kube);
    seats.reserve(job({ name: 'stock', uid: 'job-2' }));
    const found = await observe(caches, seats, kube, 'shop/orders', new Date(later), false);
    expect(found?.running).toEqual({ overall: 2, namespace: 2 });
  });
});

describe('the claimed Job', () => {
  test('that the cache shows is asked for nowhere', async () => {
    kube.put('backups', claimed(running)).put('jobs', running).put('leases', lease(running));
    expect(await seen(() => {}, soon)).toMatchObject({ jobs: [running], claimedIsGone: false });
    expect(kube.calls).toEqual([]);
  });

  test('that the cache does not show yet is looked for', async () => {
    kube.put('backups', claimed(running));
    const found = await seen(() => kube.put('jobs', running));
    expect(found).toMatchObject({ jobs: [running], claimedIsGone: false });
  });

  test('is gone only when the API server says so', async () => {
    kube.put('backups', claimed(running));
    expect(await seen()).toMatchObject({ jobs: [], claimedIsGone: true });
    expect(kube.calls).toContain(`get job ${jobName}`);
    expect(await seen(() => kube.put('jobs', job({ uid: 'job-9' })))).toMatchObject({ jobs: [], claimedIsGone: true });
  });

  test('of a stored outcome is looked for no more', async () => {
    kube.put('backups', claimed(running, { outcome: 'Failed' }));
    expect((await seen())?.claimedIsGone).toBe(false);
    expect(kube.calls).toEqual([]);
  });

  test('is not gone when nobody answers', async () => {
    kube.put('backups', claimed(running));
    kube.refuse = () => {
      throw new Error('connection refused');
    };
    await expect(seen()).rejects.toThrow('connection refused');
  });
});

describe('pods', () => {
  const one = podOf('job-1', { phase: 'Running' });

  test('of the claimed Job come from the cache while it goes on', async () => {
    kube.put('backups', claimed(running)).put('jobs', running).put('leases', lease(running));
    kube.put('pods', one, podOf('job-2', { phase: 'Running' }, 'other'));
    expect((await seen())?.pods).toEqual([one]);
    expect(kube.calls).toEqual([]);
  });

  test('are read live once it has ended, so that no result is missed', async () => {
    kube.put('backups', claimed(running)).put('jobs', job({ started: startedAt, ended: 'Complete' }));
    const ended = podOf('job-1', { phase: 'Succeeded' });
    expect((await seen(() => kube.put('pods', ended)))?.pods).toEqual([ended]);
  });

  test('that have gone once it has ended are as they were last seen', async () => {
    const last = podOf('job-1', { phase: 'Succeeded' });
    kube
      .put('backups', claimed(running))
      .put('jobs', job({ started: startedAt, ended: 'Complete' }))
      .put('pods', last);
    expect((await seen(() => kube.pods.clear()))?.pods).toEqual([last]);
  });

  test('of a Job that is gone are read live, and as they were last seen', async () => {
    const last = podOf('job-1', { phase: 'Failed' });
    kube.put('backups', claimed(running)).put('pods', last);
    const other = podOf('job-1', { phase: 'Running' }, 'other');
    const found = await seen(() => {
      kube.pods.clear();
      kube.put('pods', other);
    });
    expect(found).toMatchObject({ claimedIsGone: true, pods: [other, last] });
  });

  test('of a run whose outcome is stored are read no more', async () => {
    kube
      .put('backups', claimed(running, { outcome: 'Succeeded' }))
      .put('jobs', running)
      .put('pods', one);
    expect((await seen())?.pods).toEqual([]);
  });
});

describe('events are looked for', () => {
  const idle = podOf('job-1', { phase: 'Pending' });
  const warning = { type: 'Warning', reason: 'FailedCreate', message: 'exceeded quota' };
  beforeEach(() => {
    kube.put('backups', claimed(running)).put('jobs', running).put('leases', lease(running));
    kube.events.set('job-1', [warning]);
    kube.events.set('pod-orders-pod', [{ ...warning, reason: 'FailedMount' }]);
  });

  test('about the Job when it has no pod half a minute after its start, not sooner', async () => {
    expect((await seen(() => {}, soon))?.events).toEqual([]);
    expect((await seen())?.events).toEqual([warning]);
  });

  test('five minutes after its start when launches of others wait, but at once again where trouble was told', async () => {
    const crowded = async (now: string) => (await seen(() => {}, now, true))?.events;
    expect(await crowded('2025-03-27T01:05:09Z')).toEqual([]);
    expect(await crowded('2025-03-27T01:05:10Z')).toEqual([warning]);
    expect(await crowded(later)).toEqual([]);
    const unhealthy = { type: 'BackupHealthy', status: 'False', reason: 'Unschedulable', message: '' } as const;
    const conditions = [{ ...unhealthy, lastTransitionTime: later }];
    kube.put('backups', backup({ status: { run: claimOf(running), conditions } }));
    expect(await crowded(later)).toEqual([warning]);
  });

  test('about a pod that has not come to work', async () => {
    kube.put('pods', idle);
    expect((await seen())?.events).toMatchObject([{ reason: 'FailedMount' }]);
  });

  test.each([
    ['works', podOf('job-1', { phase: 'Running' })],
    ['has succeeded', podOf('job-1', { phase: 'Succeeded' })],
    ['prepares', podOf('job-1', { phase: 'Pending', initContainerStatuses: [container('prepare', { running: {} })] })],
  ])('not when one pod %s, whatever the others do', async (_name, one) => {
    kube.put('pods', one, { ...idle, metadata: { ...idle.metadata, name: 'second' } });
    expect((await seen())?.events).toEqual([]);
    expect(kube.calls).toEqual([]);
  });

  test('about the Job when the pods that it had have failed, and about the next one once that is there', async () => {
    kube.put('pods', podOf('job-1', { phase: 'Failed' }));
    expect((await seen())?.events).toEqual([warning]);
    const second = { ...idle.metadata, name: 'second', uid: 'second' };
    kube.put('pods', { ...idle, metadata: second });
    kube.events.set('second', [{ ...warning, reason: 'FailedMount' }]);
    expect((await seen())?.events).toMatchObject([{ reason: 'FailedMount' }]);
  });

  test('not for a Job that has ended or was not let go', async () => {
    kube.put('jobs', job({ started: startedAt, ended: 'Failed' }));
    expect((await seen())?.events).toEqual([]);
    kube.put('jobs', job());
    expect((await seen())?.events).toEqual([]);
  });
});

describe('the lock', () => {
  const other = job({ name: 'stock-1', uid: 'job-2', started: startedAt });
  const ended = job({ name: 'stock-1', uid: 'job-2', started: startedAt, ended: 'Complete' });
  const lockOf = async (meanwhile?: () => void) => (await seen(meanwhile))?.lock;

  test('that is not in the cache is read live when a Job waits for it, since it may be foreign', async () => {
    const foreign = lease(undefined, { holderIdentity: 'upgrade' });
    kube.put('jobs', job());
    expect(await lockOf(() => kube.put('leases', foreign))).toEqual({ lease: foreign, holderIsAlive: true });
  });

  test('that is not in the cache is read live when the claimed Job works under it, since somebody may have deleted it', async () => {
    kube.put('backups', claimed(running)).put('jobs', running);
    expect(await lockOf(() => kube.put('leases', lease(running)))).toEqual({
      lease: lease(running),
      holderIsAlive: true,
    });
  });

  test('that somebody else has taken by its fields alone is theirs, whatever we wrote beside them', async () => {
    const taken = lease(running, { holderIdentity: 'upgrade of orders-db' });
    kube.put('leases', taken).put('jobs', running);
    expect(await lockOf()).toEqual({ lease: taken, holderIsAlive: true });
    expect(kube.calls).toEqual([]);
  });

  test('is not asked for when nothing waits', async () => {
    kube.put('jobs', other);
    expect(await lockOf(() => kube.put('leases', lease(other)))).toEqual({ lease: undefined, holderIsAlive: false });
    expect(kube.calls).toEqual([]);
  });

  test('without a holder has none alive', async () => {
    kube.put('leases', lease(undefined));
    expect(await lockOf()).toEqual({ lease: lease(undefined), holderIsAlive: false });
  });

  test('of a Job that goes on is held, and nobody is asked', async () => {
    kube.put('leases', lease(other)).put('jobs', other);
    expect((await lockOf())?.holderIsAlive).toBe(true);
    expect(kube.calls).toEqual([]);
  });

  test.each<[string, Job | undefined, Pod['status'] | undefined, boolean]>([
    ['ended, its pods too', ended, { phase: 'Succeeded' }, false],
    ['ended, a pod of it not', ended, { phase: 'Running' }, true],
    ['ended, without pods', ended, undefined, false],
    ['is gone, without pods', undefined, undefined, false],
    ['is gone, a pod of it not', undefined, { phase: 'Running' }, true],
    ['is another by now', job({ name: 'stock-1', uid: 'job-3' }), undefined, false],
    ['goes on, though the cache has not seen it', other, undefined, true],
  ])('of a Job that %s', async (_name, live, phase, alive) => {
    kube.put('leases', lease(other)).put('jobs', ended);
    const world = await lockOf(() => {
      kube.jobs.delete('shop/stock-1');
      if (live !== undefined) kube.put('jobs', live);
      if (phase !== undefined) kube.put('pods', podOf('job-2', phase));
    });
    expect(world?.holderIsAlive).toBe(alive);
  });

  test('of a Job that is being deleted is looked at live', async () => {
    const going = job({ name: 'stock-1', uid: 'job-2', started: startedAt, deleting: true });
    kube.put('leases', lease(other)).put('jobs', going);
    expect((await lockOf())?.holderIsAlive).toBe(true);
    expect((await lockOf(() => kube.jobs.clear()))?.holderIsAlive).toBe(false);
  });
});

test("the line has restores first, then the oldest, without those that go, are nobody's, or whose backup is gone or going", async () => {
  const make = (name: string, change: Parameters<typeof job>[0] = {}, labels = {}): Job => {
    const one = job({ name, uid: `job-${name}`, created: later, ...change });
    return { ...one, metadata: { ...one.metadata, labels: { ...one.metadata.labels, ...labels } } };
  };
  const restore = make('restore', {}, { 'dbbackup.io/trigger-kind': 'Restore' });
  const nobodys = make('nobodys', {}, { 'dbbackup.io/trigger-kind': 'Restore' });
  delete nobodys.metadata.ownerReferences;
  const orphan = make('orphan', {}, { 'dbbackup.io/name': 'nobody' });
  const ofEarlier = make('earlier');
  ofEarlier.metadata.ownerReferences = [ownedBy('backup-0')];
  const going = backup({ metadata: { name: 'stock', uid: 'backup-2', deletionTimestamp: later } });
  const ofGoing = make('of-going', { created: window }, { 'dbbackup.io/name': 'stock' });
  ofGoing.metadata.ownerReferences = [ownedBy('backup-2', 'stock')];
  kube.put('backups', going).put('jobs', ofGoing);
  kube.put('jobs', make('b'), make('a'), make('old', { created: window }), make('going', { deleting: true }));
  kube.put('jobs', restore, nobodys, orphan, ofEarlier, make('started', { started: startedAt }));
  expect((await seen())?.line).toEqual(['job-restore', 'job-old', 'job-a', 'job-b']);
});
