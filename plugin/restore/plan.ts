// Everything that a restore of one snapshot by hand needs to know, computed from the DatabaseBackup. Pure.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { databaseTask, effective } from '../../crds/rules/effective.ts';
import type { ByHand, DatabaseTask } from '../../crds/rules/engines/engine.ts';
import { accessOf } from '../../crds/rules/engines/environment.ts';
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import type { Snapshot } from '../snapshots.ts';
import { addressOf, fetchersOf, type Place, placeOf, type SecretUse, storageSecrets } from './place.ts';

export interface Plan {
  namespace: string;
  backup: string;
  snapshot: Snapshot;
  engine: EngineName;
  /** The database that the snapshot was taken of; never a default for the target. */
  source: DatabaseTask;
  /** What the dump is, which decides how it is restored. */
  dumpFormat: string;
  /** How the engine's stock tools restore it. */
  byHand: ByHand;
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

function databaseSecrets({ database }: DatabaseBackup['spec']): SecretUse[] {
  const { secret } = accessOf(database);
  if (secret === undefined) return [];
  return [{ purpose: 'login of the source', name: secret.name, keys: Object.values(secret.keys) }];
}

const decompressors = { zstd: ['zstd'], gzip: ['gzip'], none: [] };

export function planOf(backup: DatabaseBackup, snapshot: Snapshot): Plan {
  const { metadata, spec } = backup;
  const { compression } = effective(backup);
  const source = databaseTask(backup);
  const byHand = engines[spec.database.engine].byHand(source);
  const place = placeOf(backup);
  const isEncrypted = snapshot.details?.encrypted ?? spec.encryption.age !== undefined;
  const folder = place.kind === 'pvc' && place.subPath !== undefined ? `${place.subPath}/` : '';
  return {
    namespace: metadata.namespace ?? '',
    backup: metadata.name,
    snapshot,
    engine: spec.database.engine,
    source,
    dumpFormat: engines[spec.database.engine].dumpFormat(source),
    byHand,
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
      ...byHand.tools,
    ],
    secrets: [...storageSecrets(spec.storage), ...databaseSecrets(spec)],
  };
}

export function urlOf({ place, path }: Plan): string {
  return addressOf(place, path);
}
