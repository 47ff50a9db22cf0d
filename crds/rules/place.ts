// The place in storage that a backup writes to, as a text: two backups with equal ones write to one place.
import type { DatabaseBackup } from '../databasebackup.gen.ts';
import { effective } from './effective.ts';
import { canonical, clusterPrefix } from './names.ts';

/** What makes one place of a provider another one; the other fields say how it is written to. */
const identifying = ['bucket', 'endpoint', 'container', 'account', 'claimName'];

/** Storage and prefix of an object as one text, so that equal texts are one place. Takes any shape. */
export function storageOf(object: unknown): string | undefined {
  try {
    const backup = object as DatabaseBackup;
    const { namespace = '', name } = backup.metadata;
    const { pathPrefix, ...providers } = backup.spec.storage;
    const [[provider, options] = ['', {}], ...rest] = Object.entries(providers).filter(([, value]) => value != null);
    if (provider === '' || rest.length > 0) return undefined;
    const known: Record<string, unknown> = { ...options };
    const parts = identifying.map((field) => known[field] ?? '');
    const { cluster } = effective({ ...backup, metadata: { ...backup.metadata, name: name ?? '' } });
    const subPath = typeof known['subPath'] === 'string' ? `${known['subPath']}/` : '';
    return canonical([provider, ...parts, subPath + clusterPrefix(pathPrefix, namespace, cluster)]);
  } catch {
    // A shape that the rules name.
    return undefined;
  }
}
