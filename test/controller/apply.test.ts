// Effects on the API server: each may be repeated, none harms what has changed meanwhile, and what stands in the way is told.
import { beforeEach, describe, expect, test } from 'vitest';
import { apply, Stale } from '../../controller/apply.ts';
import type { Backup, Job } from '../../controller/objects.ts';
import type { Effect } from '../../controller/observed.ts';
import { Seats } from '../../controller/seats.ts';
import { ApiError } from '../../controller/transport.ts';
import { backup, claimOf, job, jobName, lease, ownedBy, pod, settings } from './builders.ts';
import { MemoryKube } from './memory-kube.ts';

const now = '2025-03-27T01:00:05Z';
let kube: MemoryKube;
let seats: Seats;
beforeEach(() => {
  kube = new MemoryKube();
  seats = new Seats(kube.caches(), { ...settings, maxRunning: 1 }, () => 0);
});

const does = (effects: Effect[], one: Backup = backup()) =>
  apply({ kube, seats, now: () => new Date(now) }, one, effects);
const create: Effect = { kind: 'createJob', name: jobName, job: job() };
const take = (change: Partial<Extract<Effect, { kind: 'takeLock' }>> = {}): Effect => ({
  kind: 'takeLock',
  leaseName: 'dbbackup-orders-db',
  lease: undefined,
  job: job(),
  durationSeconds: 100,
  ...change,
});
const answers = (code: number) => (call: string) => {
  if (call.startsWith('create') || call.startsWith('put')) throw new ApiError(call, code, 'no');
};
const made = () => kube.jobs.get(`shop/${jobName}`);
const held = () => kube.leases.get('shop/dbbackup-orders-db')?.spec;

describe('a Job is made', () => {
  test('and what is in its place is told', async () => {
    expect(await does([create])).toEqual({ lost: [] });
    expect(made()?.metadata.name).toBe(jobName);
    expect(await does([create])).toMatchObject({});
  });

  test('twice as once when the one that exists is ours', async () => {
    kube.put('jobs', job());
    expect(await does([create])).toEqual({ lost: [] });
    expect(kube.calls).toEqual([`create job ${jobName}`, `get job ${jobName}`]);
  });

  test('and gets back the labels that it lost, so that it is watched again', async () => {
    const { labels: _, ...metadata } = job().metadata;
    kube.put('jobs', { ...job(), metadata: { ...metadata, labels: { team: 'shop' } } });
    expect(await does([create])).toEqual({ lost: [] });
    expect(made()?.metadata.labels).toEqual({ ...job().metadata.labels, team: 'shop' });
  });

  test('not while the one of its name is being deleted, which passes', async () => {
    const { labels: _, ...metadata } = job({ deleting: true }).metadata;
    kube.put('jobs', { ...job(), metadata });
    expect(await does([create])).toMatchObject({ conflict: { jobName, reason: 'NameConflict', transient: true } });
    expect(kube.calls).not.toContain(`patch job ${jobName}`);
  });

  test('in a look that comes soon when the server says that it exists and it does not', async () => {
    kube.refuse = answers(409);
    await expect(does([create])).rejects.toBeInstanceOf(Stale);
  });

  test.each([
    ['an earlier object of this name', [ownedBy('backup-0')], 'is still being removed', true],
    ['another backup', [ownedBy('backup-0', 'stock')], 'is not ours', false],
    [
      'somebody who has our uid but does not control it',
      [{ ...ownedBy('backup-1'), controller: false }],
      'is not ours',
      false,
    ],
    ['nobody', [], 'is not ours: delete or rename it', false],
  ])('not in place of one of %s', async (_name, ownerReferences, message, transient) => {
    kube.put('jobs', { ...job(), metadata: { ...job().metadata, ownerReferences } });
    const { conflict } = await does([create]);
    expect(conflict).toMatchObject({ jobName, reason: 'NameConflict', transient });
    expect(conflict?.message).toContain(message);
    expect(made()?.metadata.ownerReferences).toEqual(ownerReferences);
  });

  test.each([403, 422])('not against a quota or a policy: %i', async (code) => {
    kube.refuse = answers(code);
    expect(await does([create])).toMatchObject({ conflict: { reason: 'JobRefused', transient: false } });
  });

  test.each([400, 404, 429, 500, 503])('later when the server answers %i', async (code) => {
    kube.refuse = answers(code);
    await expect(does([create])).rejects.toMatchObject({ status: code });
  });
});

describe('a service account', () => {
  const asCloud = backup({ spec: { serviceAccountName: 'cloud' } });
  const account = (labels: Record<string, string>) => ({ metadata: { ...backup().metadata, labels } });

  test.each([
    ['is missing', undefined, 'does not exist'],
    ['lacks the label', account({}), 'lacks the label'],
    ['has another value', account({ 'dbbackup.io/backup': 'yes' }), 'lacks the label'],
  ])('that %s makes no Job', async (_name, stored, message) => {
    if (stored !== undefined) kube.accounts.set('cloud', stored);
    const { conflict } = await does([create], asCloud);
    expect(conflict).toMatchObject({ reason: 'ServiceAccountNotAllowed', transient: false });
    expect(conflict?.message).toContain(`"cloud" ${message}`);
    expect(made()).toBeUndefined();
  });

  test('that carries it may be used', async () => {
    kube.accounts.set('cloud', account({ 'dbbackup.io/backup': 'allowed' }));
    expect(await does([create], asCloud)).toEqual({ lost: [] });
    expect(made()).toBeDefined();
  });

  test('is not asked for when none is named', async () => {
    await does([create]);
    expect(kube.calls).toEqual([`create job ${jobName}`]);
  });
});

describe('the lock is taken', () => {
  test('by making it', async () => {
    await does([take()]);
    expect(held()).toEqual({
      holderIdentity: 'job-1',
      acquireTime: '2025-03-27T01:00:05.000000Z',
      renewTime: '2025-03-27T01:00:05.000000Z',
      leaseDurationSeconds: 100,
      leaseTransitions: 0,
    });
  });

  test('from nobody, counted', async () => {
    kube.put('leases', lease(undefined));
    await does([take({ lease: lease(undefined) })]);
    expect(held()).toMatchObject({ holderIdentity: 'job-1', leaseTransitions: 4 });
  });

  test('from nobody else: what has changed meanwhile stays, and the seat is given back', async () => {
    const newer = { ...lease(undefined, { holderIdentity: 'upgrade' }) };
    kube.put('leases', { ...newer, metadata: { ...newer.metadata, resourceVersion: '2' } });
    await expect(does([take({ lease: lease(undefined) })])).rejects.toMatchObject({ status: 409 });
    await expect(does([take()])).rejects.toMatchObject({ status: 409 });
    expect(held()?.holderIdentity).toBe('upgrade');
    expect(seats.taken('shop').overall).toBe(0);
  });

  test('with a seat that is kept when no answer came, also when the next try is refused: the lock may be its own', async () => {
    kube.refuse = () => {
      throw new Error('the connection was reset');
    };
    await expect(does([take()])).rejects.toThrow('reset');
    kube.refuse = () => {
      throw new ApiError('POST lease', 409, 'already exists');
    };
    await expect(does([take()])).rejects.toMatchObject({ status: 409 });
    expect(seats.taken('shop').overall).toBe(1);
  });

  test('under the caps only: without a seat nothing is asked', async () => {
    seats.reserve(job({ uid: 'job-2' }));
    await expect(does([take()])).rejects.toBeInstanceOf(Stale);
    expect(kube.calls).toEqual([]);
  });

  test('with a seat that it keeps', async () => {
    await does([take()]);
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
  });
});

describe('the lock is given back', () => {
  const give: Effect = { kind: 'releaseLock', lease: lease(job()), jobName, jobUid: 'job-1' };
  const podOf = (phase: string) => pod({ phase }, { labels: { 'batch.kubernetes.io/controller-uid': 'job-1' } });
  beforeEach(() => kube.put('leases', lease(job())));

  test.each<[string, () => void]>([
    ['its Job has ended', () => kube.put('jobs', job({ ended: 'Failed' })).put('pods', podOf('Failed'))],
    ['its Job is gone', () => {}],
    ['another has its name', () => kube.put('jobs', job({ uid: 'job-2' }))],
  ])('when %s', async (_name, happens) => {
    happens();
    await does([give]);
    expect(held()).toEqual({ holderIdentity: '', leaseTransitions: 3 });
    expect(kube.leases.get('shop/dbbackup-orders-db')?.metadata.annotations).toEqual({});
  });

  test.each<[string, () => void]>([
    ['the Job goes on', () => kube.put('jobs', job())],
    ['a pod of it goes on', () => kube.put('jobs', job({ ended: 'Failed' })).put('pods', podOf('Running'))],
  ])('not while %s, whatever was seen before', async (_name, happens) => {
    happens();
    await expect(does([give])).rejects.toBeInstanceOf(Stale);
    expect(held()?.holderIdentity).toBe('job-1');
  });

  test('not when another took it meanwhile', async () => {
    const newer = lease(job({ uid: 'job-2' }));
    kube.put('leases', { ...newer, metadata: { ...newer.metadata, resourceVersion: '2' } });
    await expect(does([give])).rejects.toMatchObject({ status: 409 });
    expect(held()?.holderIdentity).toBe('job-2');
  });
});

describe('a Job is let go', () => {
  const start: Effect = { kind: 'startJob', job: job(), leaseName: 'dbbackup-orders-db', lastSize: 77 };
  const claimed = (change: Parameters<typeof claimOf>[1] = {}) => backup({ status: { run: claimOf(job(), change) } });
  beforeEach(() => kube.put('leases', lease(job())).put('jobs', job()).put('backups', claimed()));

  test('with what is known only now', async () => {
    await does([start]);
    expect(made()).toMatchObject({
      metadata: { annotations: { 'dbbackup.io/started': now } },
      spec: {
        suspend: false,
        template: { metadata: { annotations: { 'dbbackup.io/lock-epoch': '3', 'dbbackup.io/last-size': '77' } } },
      },
    });
  });

  test.each<[string, () => void]>([
    ['another holds the lock', () => kube.put('leases', lease(job({ uid: 'job-2' })))],
    ['nobody holds the lock', () => kube.put('leases', lease(undefined))],
    ['the lock is gone', () => kube.leases.clear()],
    ['another is claimed', () => kube.put('backups', claimed({ jobUID: 'job-2' }))],
    ['nothing is claimed', () => kube.put('backups', backup())],
    ['the claim has an outcome', () => kube.put('backups', claimed({ outcome: 'Failed' }))],
    ['the backup is gone', () => kube.backups.clear()],
    [
      'the backup is another of its name',
      () => kube.put('backups', { ...claimed(), metadata: { ...claimed().metadata, uid: 'x' } }),
    ],
  ])('not when %s', async (_name, happens) => {
    happens();
    await expect(does([start])).rejects.toBeInstanceOf(Stale);
    expect(made()?.spec.suspend).toBe(true);
  });

  test.each<[string, () => Job]>([
    ['has changed', () => ({ ...job(), metadata: { ...job().metadata, resourceVersion: '2' } })],
    ['is another of its name', () => job({ uid: 'job-2' })],
  ])('not when it %s', async (_name, now) => {
    kube.put('jobs', now());
    await expect(does([start])).rejects.toMatchObject({ status: 409 });
    expect(made()).toEqual(now());
  });
});

describe('effects', () => {
  test('follow each other, also those after a Job that is refused', async () => {
    kube.refuse = answers(403);
    const remove: Effect = { kind: 'deleteJob', name: 'old', uid: 'job-0', why: 'history limit' };
    expect(await does([create, remove])).toMatchObject({ conflict: { reason: 'JobRefused' } });
    expect(kube.calls).toEqual([`create job ${jobName}`, 'delete job old']);
  });

  test('end with a write that fails', async () => {
    kube.refuse = answers(500);
    const remove: Effect = { kind: 'deleteJob', name: 'old', uid: 'job-0', why: 'history limit' };
    await expect(does([take(), remove])).rejects.toMatchObject({ status: 500 });
    expect(kube.calls).toEqual(['create lease dbbackup-orders-db']);
  });

  test('that end a start that came to nothing say why on the Job, and touch no other of its name', async () => {
    kube.put('jobs', job());
    const fail: Effect = { kind: 'failStart', job: job(), reason: 'Unschedulable', message: 'x'.repeat(2000) };
    await does([fail]);
    expect(made()?.spec.activeDeadlineSeconds).toBe(1);
    const said = made()?.metadata.annotations?.['dbbackup.io/start-failed'] ?? '';
    expect([said.slice(0, 14), said.length]).toEqual(['Unschedulable ', 1000]);
    kube.put('jobs', job({ uid: 'job-2' }));
    await expect(does([fail])).rejects.toMatchObject({ status: 409 });
  });

  test('that end a start leave a pod alone that works though the cache does not show it', async () => {
    const fail: Effect = { kind: 'failStart', job: job(), reason: 'Unschedulable', message: 'no pod was made' };
    const labels = { 'batch.kubernetes.io/controller-uid': 'job-1' };
    kube.put('jobs', job()).put('pods', pod({ phase: 'Running' }, { labels }));
    await does([fail]);
    expect(made()).toEqual(job());
    kube.put('pods', pod({ phase: 'Failed' }, { labels }));
    await does([fail]);
    expect(made()?.spec.activeDeadlineSeconds).toBe(1);
  });

  test('that delete a Job that waits leave one alone that another has claimed meanwhile', async () => {
    const remove: Effect = { kind: 'deleteJob', name: jobName, uid: 'job-1', why: 'the spec has changed', waits: true };
    kube.put('jobs', job()).put('backups', backup({ status: { run: claimOf(job()) } }));
    await expect(does([remove])).rejects.toThrow(Stale);
    expect(made()).toEqual(job());
    kube.put('backups', backup({ status: { run: claimOf(job(), { outcome: 'Failed' }) } }));
    await does([remove]);
    expect(made()).toBeUndefined();
  });

  test('that are for people only ask nothing of the server', async () => {
    expect(await does([{ kind: 'event', type: 'Normal', reason: 'X', action: 'X', note: 'x' }])).toEqual({ lost: [] });
    expect(kube.calls).toEqual([]);
  });
});
