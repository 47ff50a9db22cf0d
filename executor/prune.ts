// Deletes what retention no longer keeps, after a newer snapshot is committed, and tells what storage holds. It can fail without the
// backup failing.
import type { Inventory } from '../crds/rules/contract.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { dataKey, manifestKey } from '../crds/rules/names.ts';
import { deletions, type RetainedSnapshot, retain } from '../crds/rules/retention.ts';
import { RunError, toRunError } from './errors.ts';
import { clockToleranceMilliseconds, deleteOrphans, trustedNow } from './leftovers.ts';
import type { Run } from './run.ts';
import { type Stock, takeStock } from './stock.ts';
import { ObjectLocked, type Storage } from './storage/storage.ts';

const inventoryLength = 25;
/** Each locked snapshot costs one request a run: at 50 ms they take under a minute. */
const lockedLookedAt = 1000;

/** What became of the snapshots that no rule keeps. */
interface Pruned {
  gone: Set<string>;
  /** Ids that the store does not let go of yet. */
  locked: Set<string>;
}

function inventory(stock: Stock | undefined, { gone, locked }: Pruned, pruneError: string): Inventory {
  if (stock === undefined) return { pruneError };
  const left = stock.ours.filter(({ id }) => !gone.has(id));
  return {
    snapshots: left.slice(0, inventoryLength).map(({ id, storedSize }) => ({ id, size: storedSize })),
    count: left.length,
    deleted: gone.size,
    foreign: stock.foreign,
    ...(locked.size === 0 ? {} : { locked: locked.size }),
    pruneError,
  };
}

/** As the rules need it. A manifest's identity is one of many lines that anyone may have edited: a false one keeps a snapshot longer. */
function retained({ id, time, identity, identitySince }: Manifest): RetainedSnapshot {
  return {
    id,
    time: new Date(time),
    identity,
    ...(identitySince === undefined ? {} : { identitySince: new Date(identitySince) }),
  };
}

/** Ids that no rule keeps, the oldest first; each verdict is logged with its reasons. */
function judge(run: Run, now: Date, ours: readonly Manifest[], committed: string): string[] {
  const { retention } = run.task;
  const verdicts = retain(retention, ours.map(retained), now).map((verdict) =>
    verdict.id === committed ? { ...verdict, keep: [...verdict.keep, 'just committed'] } : verdict,
  );
  const missing = (retention.pin ?? []).filter((id) => !ours.some((one) => one.id === id));
  if (missing.length > 0) run.log.warn({ missing }, 'pinned snapshots are not in storage');
  for (const { id, keep } of verdicts) if (keep.length > 0) run.log.info({ id, keep }, 'a snapshot is kept');
  return deletions(verdicts, verdicts.length);
}

/** A snapshot that must be in any listing that is not stale. */
interface Known {
  id: string;
  /** Why it must, as the rest of a sentence. */
  because: string;
}

/** What speaks against deleting anything in this run. */
function objection(storage: Storage, stock: Stock, known: Known | undefined): RunError | undefined {
  const ahead = storage.clockAhead() ?? 0;
  if (Math.abs(ahead) > clockToleranceMilliseconds)
    return new RunError(
      'ConfigInvalid',
      `this node's clock is ${Math.round(ahead / 1000)} s ahead of the store's: nothing was deleted`,
    );
  if (known !== undefined && !stock.ours.some(({ id }) => id === known.id))
    return new RunError(
      'SnapshotNotFound',
      `the listing does not show "${known.id}", ${known.because}: nothing was deleted`,
    );
  return undefined;
}

/**
 * The manifest goes first: without it the data is no snapshot, so a run that dies in between leaves no half one. It stays where the data
 * is held: a legal hold may be on the data alone.
 */
async function remove(run: Run, storage: Storage, id: string, gone: Set<string>): Promise<void> {
  const lock = await storage.locked(dataKey(run.prefix, id));
  if (lock !== undefined) throw lock;
  await storage.delete(manifestKey(run.prefix, id));
  gone.add(id);
  await storage.delete(dataKey(run.prefix, id));
  run.log.info({ id }, 'a snapshot was deleted: no rule keeps it');
}

/** Deletes the oldest first, as many as one run may. A locked one does not count, so that it does not stand before those that can go. */
async function removeAll(run: Run, storage: Storage, unwanted: readonly string[], pruned: Pruned): Promise<void> {
  const { maxDeletesPerRun } = run.task.retention;
  for (const id of unwanted) {
    run.signal.throwIfAborted();
    if (pruned.gone.size >= maxDeletesPerRun || pruned.locked.size >= lockedLookedAt) {
      run.log.info({ id, maxDeletesPerRun }, 'a snapshot is left to a later run');
      continue;
    }
    try {
      await remove(run, storage, id, pruned.gone);
    } catch (error) {
      if (!(error instanceof ObjectLocked)) throw error;
      pruned.locked.add(id);
      run.log.info({ id, until: error.until }, 'a snapshot is still locked by the bucket: a later run deletes it');
    }
  }
}

/** What was found and deleted, also when it ended early, and why it did. */
interface Swept extends Pruned {
  /** undefined when the listing failed. */
  stock: Stock | undefined;
  failure?: RunError;
}

async function sweep(run: Run, storage: Storage, committed: string, known: Known | undefined): Promise<Swept> {
  let stock: Stock | undefined;
  const pruned: Pruned = { gone: new Set(), locked: new Set() };
  try {
    stock = await takeStock(run, storage);
    const failure = objection(storage, stock, known);
    if (failure !== undefined) return { stock, ...pruned, failure };
    await removeAll(run, storage, judge(run, trustedNow(run, storage), stock.ours, committed), pruned);
    await deleteOrphans(run, storage, stock.orphans);
    return { stock, ...pruned };
  } catch (cause) {
    return { stock, ...pruned, failure: toRunError(cause, 'delete what retention does not keep', 'Unknown') };
  }
}

/**
 * @param committed id of this run's snapshot, which is never deleted
 * @returns what is left; a failure is told in its pruneError
 */
export async function prune(run: Run, storage: Storage, committed: string): Promise<Inventory> {
  const known = { id: committed, because: 'which was just committed' };
  const { stock, failure, ...pruned } = await sweep(run, storage, committed, known);
  if (failure === undefined) return inventory(stock, pruned, '');
  const detail = `prune: ${failure.message}`;
  run.log.warn({ reason: failure.reason, detail }, 'pruning failed');
  return inventory(stock, pruned, detail);
}

/** Retention alone did not end well; what it had deleted until then is told with it. */
export class PruneFailed extends RunError {
  readonly inventory: Inventory;

  constructor(failure: RunError, inventory: Inventory) {
    super(failure.reason, `prune: ${failure.message}`, { cause: failure });
    this.inventory = inventory;
  }
}

/**
 * Retention without a backup before it.
 * @param newest id of the newest snapshot that is known, empty when none is; a listing that lacks it is stale
 */
export async function pruneAlone(run: Run, storage: Storage, newest: string): Promise<Inventory> {
  const known = newest === '' ? undefined : { id: newest, because: 'the newest that is known' };
  const { stock, failure, ...pruned } = await sweep(run, storage, '', known);
  const left = inventory(stock, pruned, failure?.message ?? '');
  if (failure !== undefined) throw new PruneFailed(failure, left);
  run.log.info({ kept: left.count, deleted: left.deleted, foreign: left.foreign }, 'retention was applied');
  return left;
}
