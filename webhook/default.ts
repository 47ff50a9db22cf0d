// What the mutating half sets: the name of the lock, once, so that a later change of host moves neither the lock nor the snapshots.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { defaultCluster, effective } from '../crds/rules/effective.ts';

/** The value for spec.database.cluster where the object has none; undefined where there is nothing to set. */
export function missingCluster(next: DatabaseBackup, old: DatabaseBackup | undefined): string | undefined {
  const database: Partial<DatabaseBackup['spec']['database']> | undefined = next.spec.database;
  // Not a shape that a value could be put into: the rules name what is wrong with it.
  if (typeof database !== 'object' || database === null || Object.hasOwn(database, 'cluster')) return undefined;
  // The stored object may have been made while the webhook was away; what it meant then stays.
  const before: Partial<DatabaseBackup['spec']['database']> | undefined = old?.spec?.database;
  if (old !== undefined && typeof before?.host === 'string') return effective(old).cluster;
  if (typeof database.host !== 'string') return undefined;
  const name: unknown = next.metadata.name;
  if (name !== undefined && typeof name !== 'string') return undefined;
  // An object with generateName has no name yet; the controller pins the same default later.
  const cluster: string | undefined = defaultCluster(database.host, next.metadata.name);
  return cluster;
}

export function withCluster(next: DatabaseBackup, cluster: string): DatabaseBackup {
  return { ...next, spec: { ...next.spec, database: { ...next.spec.database, cluster } } };
}

/** The same as a JSON patch. */
export function clusterPatch(cluster: string): object[] {
  return [{ op: 'add', path: '/spec/database/cluster', value: cluster }];
}
