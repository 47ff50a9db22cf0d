// Which backups a change concerns: who is looked at again when an object comes, changes or goes.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Backup, Job, Lease } from '../../controller/objects.ts';
import { backup, job, lease, pod, settings } from './builders.ts';
import { MemoryKube, wired } from './memory-kube.ts';

const other = (name: string, spec: Partial<Backup['spec']['database']> = {}): Backup =>
  backup({ metadata: { name, uid: `backup-${name}` }, spec: { database: { ...backup().spec.database, ...spec } } });
const labels = { 'app.kubernetes.io/managed-by': 'dbbackup', 'dbbackup.io/cluster': 'orders-db' };
const ours = (one: Lease): Lease => ({ ...one, metadata: { ...one.metadata, labels } });

let kube: MemoryKube;
beforeEach(() => {
  kube = new MemoryKube().put('backups', backup(), other('reports'), other('stock', { host: 'stock-db' }));
});

/** Who is looked at because of what happens. */
function concerned(happens: (world: ReturnType<typeof wired>) => void): string[] {
  const world = wired(kube);
  world.added.splice(0);
  happens(world);
  return [...new Set(world.added)].sort();
}
function see(wiring: ReturnType<typeof wired>['wiring'], one: Job): void {
  kube.put('jobs', one);
  wiring.jobTold(one);
}
const changed = (one: Job) => concerned(({ wiring }) => see(wiring, one));

describe('a change of', () => {
  test('a backup concerns that one', () => {
    expect(concerned(({ wiring }) => wiring.backupTold(backup()))).toEqual(['shop/orders']);
  });

  test('a backup that comes to a place in storage, or leaves one, concerns those who write there too', () => {
    const place = (name: string, pathPrefix: string): Backup => {
      const one = other(name);
      return { ...one, spec: { ...one.spec, storage: { ...one.spec.storage, pathPrefix } } };
    };
    kube.put('backups', place('reports', 'there'));
    const comes = (one: Backup) =>
      concerned(({ wiring }) => {
        kube.put('backups', one);
        wiring.backupTold(one);
      });
    expect(comes(place('fresh', 'elsewhere'))).toEqual(['shop/fresh']);
    expect(comes(place('fresh', 'there'))).toEqual(['shop/fresh', 'shop/reports']);
    expect(comes(place('fresh', 'elsewhere'))).toEqual(['shop/fresh', 'shop/reports']);
  });

  test('a backup that is gone concerns all who wait for its lock: it may have stood first in line', () => {
    expect(
      concerned(({ wiring }) => {
        kube.backups.delete('shop/orders');
        wiring.backupTold(backup());
      }),
    ).toEqual(['shop/orders', 'shop/reports']);
  });

  test.each([
    ['waits', job()],
    ['runs', job({ started: '2025-03-27T01:00:10Z' })],
  ])('a Job that %s concerns its own backup', (_name, one) => {
    expect(changed(one)).toEqual(['shop/orders']);
  });

  test.each([
    ['completed', job({ started: '2025-03-27T01:00:10Z', ended: 'Complete' })],
    ['failed', job({ started: '2025-03-27T01:00:10Z', ended: 'Failed' })],
    ['is being deleted', job({ deleting: true })],
  ])('a Job that %s concerns all who wait for its lock', (_name, one) => {
    expect(changed(one)).toEqual(['shop/orders', 'shop/reports']);
  });

  test('a Job that is gone concerns all who wait for its lock', () => {
    kube.put('jobs', job());
    expect(
      concerned(({ wiring }) => {
        kube.jobs.clear();
        wiring.jobTold(job());
      }),
    ).toEqual(['shop/orders', 'shop/reports']);
  });

  test('a pod concerns its backup', () => {
    const one = pod({}, { labels: { 'dbbackup.io/name': 'stock' } });
    expect(concerned(({ wiring }) => wiring.podTold(one))).toEqual(['shop/stock']);
  });

  test('a pod that ends, or is gone, concerns all who may wait for the lock of its Job', () => {
    const told = (phase: string, isThere = true) => {
      const one = pod({ phase }, { labels: { ...labels, 'dbbackup.io/name': 'gone' } });
      if (isThere) kube.put('pods', one);
      else kube.pods.clear();
      return concerned(({ wiring }) => wiring.podTold(one));
    };
    expect(told('Running')).toEqual(['shop/gone']);
    expect(told('Failed')).toEqual(['shop/gone', 'shop/orders', 'shop/reports']);
    expect(told('Running', false)).toEqual(['shop/gone', 'shop/orders', 'shop/reports']);
  });

  test('a lock concerns all who may wait for it', () => {
    expect(concerned(({ wiring }) => wiring.leaseTold(ours(lease(undefined))))).toEqual([
      'shop/orders',
      'shop/reports',
    ]);
  });

  test('a lock of a cluster without backups concerns that lock, as the end of the last backup does', () => {
    const left = ours({ ...lease(job()), metadata: { ...lease(job()).metadata, name: 'dbbackup-orders-db' } });
    kube.backups.clear();
    kube.put('leases', left);
    expect(concerned(({ wiring }) => wiring.leaseTold(left))).toEqual(['leases/shop/dbbackup-orders-db']);
    expect(concerned(({ wiring }) => wiring.backupTold(backup()))).toContain('leases/shop/dbbackup-orders-db');
    expect(concerned(({ wiring }) => wiring.everything())).toEqual(['leases/shop/dbbackup-orders-db']);
    kube.put('backups', backup());
    expect(concerned(({ wiring }) => wiring.everything())).toEqual(['shop/orders']);
  });

  test('a lock or pod of somebody else concerns nobody', () => {
    expect(concerned(({ wiring }) => wiring.leaseTold(lease(undefined)))).toEqual([]);
    expect(concerned(({ wiring }) => wiring.podTold(pod()))).toEqual([]);
  });
});

describe('room under the caps', () => {
  test('that a Job makes by its end concerns who waits for it, in any namespace', () => {
    const one = job({ started: '2025-03-27T01:00:10Z', ended: 'Complete' });
    expect(
      concerned(({ wiring, seats }) => {
        seats.waits('yard/trees', true);
        see(wiring, one);
      }),
    ).toEqual(['shop/orders', 'shop/reports', 'yard/trees']);
  });

  test('is taken for a Job that held its lock before this controller began', () => {
    kube.put('jobs', job()).put('leases', lease(job()));
    expect(wired(kube).seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
  });

  test('is counted after the index shows the change', () => {
    const { wiring, seats } = wired(kube, { caps: { ...settings, maxRunning: 1 } });
    seats.reserve(job());
    const started = job({ started: '2025-03-27T01:00:10Z' });
    see(wiring, started);
    expect(seats.taken('shop')).toEqual({ overall: 1, namespace: 1 });
    const ended = job({ started: '2025-03-27T01:00:10Z', ended: 'Failed' });
    see(wiring, ended);
    expect(seats.taken('shop')).toEqual({ overall: 0, namespace: 0 });
  });
});
