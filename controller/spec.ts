// What follows from a spec alone: findings, schedule, digest. Computed once for each spec object, since a backup is looked at often and
// its spec changes seldom: the cache keeps the same spec object for as long as the generation is the same.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { specHash } from '../crds/rules/names.ts';
import type { Schedule } from '../crds/rules/schedule.ts';
import { type Finding, validate } from '../crds/rules/validate.ts';
import { executorMemory, usualMemory } from './job-memory.ts';
import { rememberedSchedule } from './windows.ts';

interface Derived {
  /** Of which object: H is seeded by it, rules look at its name. */
  key: string;
  /** Errors only. */
  findings: Finding[];
  /** Undefined where there is none, or the spec is not valid. */
  schedule: Schedule | undefined;
  digests: Map<string, string>;
}

const known = new WeakMap<object, Derived>();

export function derived(backup: DatabaseBackup): Derived {
  const { metadata, spec } = backup;
  const { namespace, name } = metadata;
  const key = `${namespace}/${name}`;
  const before = known.get(spec);
  if (before?.key === key) return before;
  // Not by its labels and annotations, of which the webhook is not asked when they alone change: a label must not stop backups.
  const findings = validate({ ...backup, metadata: { namespace, name } }).filter(
    ({ severity }) => severity === 'error',
  );
  const schedule =
    spec.schedule === undefined || findings.length > 0
      ? undefined
      : rememberedSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', key);
  const now = { key, findings, schedule, digests: new Map() };
  known.set(spec, now);
  return now;
}

/** Digest of all that a Job is made from: the spec with the image that the dump runs in, and the executor's memory where it has grown. */
export function specDigest(backup: DatabaseBackup, image: string): string {
  const { digests } = derived(backup);
  const memory = executorMemory(backup);
  const key = `${memory} ${image}`;
  const known = digests.get(key);
  if (known !== undefined) return known;
  const { spec } = backup;
  const meant = image === spec.database?.image ? spec : { ...spec, database: { ...spec.database, image } };
  const digest = specHash(memory === usualMemory ? meant : { ...meant, executorMemory: memory });
  digests.set(key, digest);
  return digest;
}
