// The caches' indexes: what belongs to a backup, a lock, a namespace or a Job, as objects come, change and go.
import { beforeEach, describe, expect, test } from 'vitest';
import { Caches } from '../../controller/caches.ts';
import type { Backup, Job, Lease, Pod } from '../../controller/objects.ts';
import { keyOf } from '../../controller/watch.ts';
import { backup, job, pod } from './builders.ts';

let sources: {
  backups: Map<string, Backup>;
  jobs: Map<string, Job>;
  pods: Map<string, Pod>;
  leases: Map<string, Lease>;
};
let caches: Caches;

beforeEach(() => {
  sources = { backups: new Map(), jobs: new Map(), pods: new Map(), leases: new Map() };
  caches = new Caches(sources);
});

function seeBackup(one: Backup): void {
  sources.backups.set(keyOf(one), one);
  caches.backupTold(one);
}

function see(one: Job): void {
  sources.jobs.set(keyOf(one), one);
  caches.jobTold(one);
}

function lose(one: Job): void {
  sources.jobs.delete(keyOf(one));
  caches.jobTold(one);
}

const names = (objects: { metadata: { name: string } }[]) => objects.map(({ metadata }) => metadata.name);
const inDepot = (one: Job): Job => ({ ...one, metadata: { ...one.metadata, namespace: 'depot' } });
const started = job({ started: '2025-03-27T01:00:10Z' });

describe('a Job', () => {
  test('that waits is found by its backup and its lock, and runs nowhere', () => {
    see(job());
    expect(names(caches.jobsNamed('shop', 'orders'))).toEqual([job().metadata.name]);
    expect(names(caches.waitingFor('shop', 'orders-db'))).toEqual([job().metadata.name]);
    expect(caches.running('shop')).toEqual({ overall: 0, namespace: 0 });
    expect([caches.jobsNamed('depot', 'orders'), caches.waitingFor('shop', 'stock-db')]).toEqual([[], []]);
  });

  test('that is started waits no more and counts as running, in its namespace and overall', () => {
    see(job());
    see(started);
    expect(caches.waitingFor('shop', 'orders-db')).toEqual([]);
    expect([caches.running('shop'), caches.running('depot')]).toEqual([
      { overall: 1, namespace: 1 },
      { overall: 1, namespace: 0 },
    ]);
    see(inDepot(started));
    expect(caches.running('depot')).toEqual({ overall: 2, namespace: 1 });
  });

  test.each(['Complete', 'Failed'] as const)('that is %s belongs to its backup only', (ended) => {
    see(started);
    see(job({ started: '2025-03-27T01:00:10Z', ended }));
    expect(caches.running('shop')).toEqual({ overall: 0, namespace: 0 });
    expect(names(caches.jobsNamed('shop', 'orders'))).toHaveLength(1);
  });

  test('that has not quite failed still runs', () => {
    see(job({ started: '2025-03-27T01:00:10Z', ended: 'FailureTarget' }));
    expect(caches.running('shop').overall).toBe(1);
  });

  test('that is gone is nowhere, told twice or not', () => {
    see(job());
    for (const one of [job(), started, started]) {
      lose(one);
      expect(caches.jobsNamed('shop', 'orders')).toEqual([]);
      expect(caches.waitingFor('shop', 'orders-db')).toEqual([]);
      expect(caches.running('shop').overall).toBe(0);
    }
  });

  test('is shown as it is now, not as it was told', () => {
    see(job());
    sources.jobs.set(keyOf(started), started);
    expect(caches.jobsNamed('shop', 'orders')).toEqual([started]);
  });

  test('whose labels change moves with them', () => {
    see(job());
    const { metadata, ...rest } = job();
    const labels = { ...metadata.labels, 'dbbackup.io/name': 'stock', 'dbbackup.io/cluster': 'stock-db' };
    see({ ...rest, metadata: { ...metadata, labels } });
    expect([caches.jobsNamed('shop', 'orders'), caches.waitingFor('shop', 'orders-db')]).toEqual([[], []]);
    expect(caches.jobsNamed('shop', 'stock')).toHaveLength(1);
    expect(caches.waitingFor('shop', 'stock-db')).toHaveLength(1);
  });

  test('without our labels belongs to nobody and waits for nothing', () => {
    const { labels: _, ...metadata } = job().metadata;
    see({ ...job(), metadata });
    expect(caches.jobsNamed('shop', 'undefined')).toEqual([]);
    expect(caches.waitingFor('shop', 'undefined')).toEqual([]);
  });

  test('goes and others of its group stay', () => {
    see(job({ name: 'a' }));
    see(job({ name: 'b' }));
    lose(job({ name: 'a' }));
    expect(names(caches.waitingFor('shop', 'orders-db'))).toEqual(['b']);
  });
});

describe('a backup', () => {
  test('is found by its lock, computed or named', () => {
    seeBackup(backup());
    seeBackup(
      backup({ metadata: { name: 'nightly' }, spec: { database: { ...backup().spec.database, cluster: 'x' } } }),
    );
    expect(names(caches.backupsOn('shop', 'orders-db'))).toEqual(['orders']);
    expect(names(caches.backupsOn('shop', 'x'))).toEqual(['nightly']);
  });

  test('moves when its lock does, and stays where status pins it', () => {
    seeBackup(backup());
    const host = { database: { ...backup().spec.database, host: 'new-db' } };
    seeBackup(backup({ spec: host, status: { effective: { cluster: 'orders-db' } } }));
    expect(names(caches.backupsOn('shop', 'orders-db'))).toEqual(['orders']);
    seeBackup(backup({ spec: host }));
    expect([caches.backupsOn('shop', 'orders-db'), names(caches.backupsOn('shop', 'new-db'))]).toEqual([
      [],
      ['orders'],
    ]);
  });

  test('that is gone is on no lock', () => {
    seeBackup(backup());
    sources.backups.clear();
    caches.backupTold(backup());
    expect(caches.backupsOn('shop', 'orders-db')).toEqual([]);
  });
});

test('pods are found by the uid of their Job, and only by that', () => {
  const label = 'batch.kubernetes.io/controller-uid';
  const one = pod({}, { name: 'one', labels: { [label]: 'job-1' } });
  for (const each of [one, pod({}, { name: 'two', labels: { [label]: 'job-2' } }), pod({}, { name: 'three' })]) {
    sources.pods.set(keyOf(each), each);
    caches.podTold(each);
  }
  expect(caches.podsOf('job-1')).toEqual([one]);
  expect(caches.podsOf('undefined')).toEqual([]);
  sources.pods.delete(keyOf(one));
  caches.podTold(one);
  expect(caches.podsOf('job-1')).toEqual([]);
});
