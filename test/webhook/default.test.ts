// The cluster's value: from the host at creation, the old meaning on an update.
import { expect, test } from 'vitest';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { clusterPatch, missingCluster, withCluster } from '../../webhook/default.ts';
import { backup, database } from './objects.ts';

const onHost = (host: string, metadata: Partial<DatabaseBackup['metadata']> = {}) =>
  backup({ database: database({ host }) }, metadata);

test.each([
  ['orders-db', 'orders-db'],
  ['Orders-DB.shop.svc.cluster.local', 'orders-db'],
  ['10.0.0.7', 'orders'],
  ['fd00::7', 'orders'],
])('host %s gives %s at creation', (host, cluster) => {
  expect(missingCluster(onHost(host), undefined)).toBe(cluster);
});

test('an object without a name yet gets one from its host only', () => {
  const unnamed = (host: string) => onHost(host, { name: undefined as never });
  expect(missingCluster(unnamed('orders-db'), undefined)).toBe('orders-db');
  expect(missingCluster(unnamed('10.0.0.7'), undefined)).toBeUndefined();
});

test('what is written is left alone', () => {
  const written = backup({ database: database({ cluster: 'mine' }) });
  expect(missingCluster(written, undefined)).toBeUndefined();
  expect(missingCluster(written, onHost('other'))).toBeUndefined();
});

test('an update that changes the host keeps the cluster', () => {
  const stored = backup({ database: database({ host: 'a', cluster: 'legacy' }) });
  expect(missingCluster(onHost('b'), stored)).toBe('legacy');
});

test('an object stored without one, while the webhook was away, keeps what it meant', () => {
  expect(missingCluster(onHost('b'), onHost('a'))).toBe('a');
  const pinned = { ...onHost('a'), status: { effective: { cluster: 'pinned' } } };
  expect(missingCluster(onHost('b'), pinned)).toBe('pinned');
});

test('the patch does what withCluster does', () => {
  expect(withCluster(backup(), 'x').spec.database).toEqual({ ...database(), cluster: 'x' });
  expect(backup().spec.database.cluster).toBeUndefined();
  expect(clusterPatch('x')).toEqual([{ op: 'add', path: '/spec/database/cluster', value: 'x' }]);
});
