// Memory of the executor: what it takes for itself, and the parts of an upload, which grow with the snapshot. Pure.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import {
  azureLimits,
  gcsLimits,
  type Limits,
  partsMemory,
  s3CompatibleLimits,
  s3Limits,
} from '../crds/rules/part-size.ts';

/** For all but the parts of an upload, of which a large snapshot has large ones. */
const executorMebibytes = 352;

function limitsOf(storage: DatabaseBackup['spec']['storage'] | undefined): Limits {
  const { s3, azure } = storage ?? {};
  if (s3 !== undefined) return s3.endpoint === undefined ? s3Limits : s3CompatibleLimits;
  // A volume has no parts.
  return azure === undefined ? gcsLimits : azureLimits;
}

/** Limit of the executor's container, as a quantity. */
export function executorMemory({ spec, status }: DatabaseBackup): string {
  const parts = partsMemory(status?.lastSnapshot?.storedSize ?? 0, limitsOf(spec.storage));
  return `${executorMebibytes + Math.ceil(parts / 1_048_576)}Mi`;
}
