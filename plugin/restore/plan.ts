// Everything that a restore of one snapshot by hand needs to know, computed from the DatabaseBackup. Pure.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { effective } from '../../crds/rules/effective.ts';
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import type { Snapshot } from '../snapshots.ts';
import { addressOf, fetchersOf, type Place, placeOf, type SecretUse, storageSecrets } from './place.ts';

export interface Plan {
  namespace: string;
  backup: string;
  snapshot: Snapshot;
  engine: EngineName;
  /** The database that the snapshot was taken of; never a default for the target. */
  source: { host: string; port: number; name: string };
  place: Place;
  /** Key of the data object in the store; the manifest's is this and `.json`. */
  key: string;
  /** Path in the bucket or the claim. */
  path: string;
  isEncrypted: boolean;
  recipients: string[];
  compression: 'zstd' | 'gzip' | 'none';
  tools: string[];
  secrets: SecretUse[];
}

function databaseSecret({ database }: DatabaseBackup['spec']): SecretUse {
  const { name, keys } = database.auth.secretRef;
  const defaults = engines[database.engine].secretKeys;
  return {
    purpose: 'login of the source',
    name,
    keys: [keys?.username ?? defaults.username, keys?.password ?? defaults.password],
  };
}

const decompressors = { zstd: ['zstd'], gzip: ['gzip'], none: [] };

export function planOf(backup: DatabaseBackup, snapshot: Snapshot): Plan {
  const { metadata, spec } = backup;
  const { port, compression } = effective(backup);
  const place = placeOf(backup);
  const isEncrypted = snapshot.details?.encrypted ?? spec.encryption.age !== undefined;
  const folder = place.kind === 'pvc' && place.subPath !== undefined ? `${place.subPath}/` : '';
  return {
    namespace: metadata.namespace ?? '',
    backup: metadata.name,
    snapshot,
    engine: spec.database.engine,
    source: { host: spec.database.host, port, name: spec.database.name },
    place,
    key: snapshot.key,
    path: folder + snapshot.key,
    isEncrypted,
    recipients: isEncrypted ? (spec.encryption.age?.recipients ?? []) : [],
    compression: compression.algorithm,
    tools: [
      ...fetchersOf(place),
      ...(isEncrypted ? ['age'] : []),
      ...decompressors[compression.algorithm],
      ...engines[spec.database.engine].restoreTools,
    ],
    secrets: [...storageSecrets(spec.storage), databaseSecret(spec)],
  };
}

export function urlOf({ place, path }: Plan): string {
  return addressOf(place, path);
}
