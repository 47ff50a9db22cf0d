// The snapshots that a DatabaseBackup's status knows of, and the choice of one of them. Pure.
import type { DatabaseBackup, LastSnapshot } from '../crds/databasebackup.gen.ts';
import { effective } from '../crds/rules/effective.ts';
import { clusterPrefix, dataKey, parseSnapshotId } from '../crds/rules/names.ts';
import { CommandError, UsageError } from './errors.ts';
import { timeOf } from './output/quantities.ts';

export interface Snapshot {
  id: string;
  /** What it holds is at least as new as this: the dump's start where status has it, else the window's or trigger's time. */
  time: Date;
  /** True when `time` is the dump's own start. */
  isExact: boolean;
  /** Key of the data object. */
  key: string;
  storedSize: number | undefined;
  /** What status says of the newest one only. */
  details: LastSnapshot | undefined;
  /** False for an id that the user gave and status does not list. */
  isListed: boolean;
}

/** Namespace and name as they stand in keys and messages. */
export function fullName({ metadata }: DatabaseBackup): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

export function prefixOf(backup: DatabaseBackup): string {
  const { pathPrefix } = backup.spec.storage;
  return clusterPrefix(pathPrefix, backup.metadata.namespace ?? '', effective(backup).cluster);
}

function snapshotOf(backup: DatabaseBackup, id: string, storedSize: number | undefined): Snapshot | undefined {
  const parsed = parseSnapshotId(id);
  if (parsed === undefined) return undefined;
  const last = backup.status?.lastSnapshot;
  const details = last?.id === id ? last : undefined;
  const dumpStartedAt = timeOf(details?.dumpStartedAt);
  const computed = dataKey(prefixOf(backup), id);
  return {
    id,
    time: dumpStartedAt ?? parsed.time,
    isExact: dumpStartedAt !== undefined,
    // The recorded key outlives a change of pathPrefix.
    key: details?.key?.endsWith(dataKey('/', id)) === true ? details.key : computed,
    storedSize: details?.storedSize ?? storedSize,
    details,
    isListed: true,
  };
}

/** Newest first. Ids that we would not have made are left out: nothing can be restored by them. */
export function snapshotsOf(backup: DatabaseBackup): Snapshot[] {
  const sizes = new Map<string, number | undefined>();
  const last = backup.status?.lastSnapshot;
  if (last?.id !== undefined) sizes.set(last.id, last.storedSize);
  for (const { id, size } of backup.status?.snapshots ?? []) sizes.set(id, size);
  return [...sizes]
    .map(([id, size]) => snapshotOf(backup, id, size))
    .filter((snapshot) => snapshot !== undefined)
    .sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** How many there are in all; status lists the newest of them. */
export function totalOf(backup: DatabaseBackup, listed: number): number {
  return Math.max(backup.status?.snapshotCount ?? 0, listed);
}

export interface Choice {
  snapshot?: string | undefined;
  asOf?: string | undefined;
}

/** The one that the user means; the newest when nothing is said. Throws when there is none. */
export function choose(backup: DatabaseBackup, { snapshot, asOf }: Choice): Snapshot {
  const all = snapshotsOf(backup);
  if (snapshot !== undefined) {
    const listed = all.find((one) => one.id === snapshot) ?? snapshotOf(backup, snapshot, undefined);
    if (listed === undefined)
      throw new UsageError(`--snapshot "${snapshot}": not the id of a snapshot: list-snapshots shows the ids`);
    return { ...listed, isListed: all.some((one) => one.id === snapshot) };
  }
  const [newest] = all;
  if (newest === undefined) throw new CommandError(`${fullName(backup)} has no snapshot yet: nothing can be restored`);
  if (asOf === undefined) return newest;
  const limit = timeOf(asOf);
  if (limit === undefined || !/^\d{4}-\d{2}-\d{2}/.test(asOf))
    throw new UsageError(`--as-of "${asOf}": not a time: write it as 2025-03-27T01:00:00Z`);
  const found = all.find((one) => one.time.getTime() <= limit.getTime());
  if (found !== undefined) return found;
  const oldest = all.at(-1)?.time.toISOString() ?? '';
  const hidden = totalOf(backup, all.length) - all.length;
  const more = hidden > 0 ? `; ${hidden} older ones are in storage, name one with --snapshot` : '';
  throw new CommandError(`no listed snapshot is from before ${limit.toISOString()}, the oldest is of ${oldest}${more}`);
}
