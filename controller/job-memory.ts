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

const withParts = (storedSize: number, limits: Limits): string =>
  `${executorMebibytes + Math.ceil(partsMemory(storedSize, limits) / 1_048_576)}Mi`;

/** Enough as long as no snapshot is so large that it needs more. */
export const usualMemory = withParts(0, s3Limits);

/** Limit of the executor's container, as a quantity. */
export const executorMemory = ({ spec, status }: DatabaseBackup): string =>
  withParts(status?.lastSnapshot?.storedSize ?? 0, limitsOf(spec.storage));
