// What runs that were killed left behind: uploads that never ended, and data without a manifest. An upload of this owner can be taken
// back at once, since the lock is ours; everything else only when nobody can be writing it any more.
import { manifestKey, ownerDigits, parseKey } from '../crds/rules/names.ts';
import type { Run } from './run.ts';
import { ObjectLocked, type Storage, type StoredObject } from './storage/storage.ts';

const weekMilliseconds = 7 * 86_400_000;
export const clockToleranceMilliseconds = 300_000;

/**
 * Now by the store's clock. Where it has none, as a volume, the run's own time, which is the controller's word: a node whose clock is a year
 * ahead must not find everything old.
 */
export function trustedNow({ now, task }: Pick<Run, 'now' | 'task'>, storage: Pick<Storage, 'clockAhead'>): Date {
  const here = now().getTime();
  const ahead = storage.clockAhead();
  return new Date(ahead === undefined ? Math.min(here, Date.parse(task.time)) : here - ahead);
}

/** Whether so much time has passed that no run of any backup here can still be at it. */
function isForsaken(run: Run, storage: Storage, since: Date): boolean {
  return (
    trustedNow(run, storage).getTime() - since.getTime() >
    Math.max(weekMilliseconds, 2000 * run.task.limits.deadlineSeconds)
  );
}

export async function abortLeftUploads(run: Run, storage: Storage): Promise<void> {
  const own = ownerDigits(run.task.owner);
  for (const upload of await storage.pending(run.prefix)) {
    const name = parseKey(run.prefix, upload.key);
    if (name === undefined) continue;
    if (name.ownerDigits !== own && !isForsaken(run, storage, upload.startedAt)) continue;
    await storage.abortPending(upload);
    run.log.info({ key: upload.key, startedAt: upload.startedAt }, 'an unfinished upload was taken back');
  }
}

/** A listing may leave out what is there: nothing of a snapshot goes because of that. */
async function isCommitted(run: Run, storage: Storage, key: string): Promise<boolean> {
  const name = parseKey(run.prefix, key);
  return name === undefined || (await storage.head(manifestKey(run.prefix, name.id))) !== undefined;
}

async function deleteOrphan(run: Run, storage: Storage, { key, modifiedAt }: StoredObject): Promise<void> {
  if (await isCommitted(run, storage, key)) {
    run.log.warn({ key, modifiedAt }, 'data is left: its manifest is there, and the listing did not show it');
    return;
  }
  try {
    await storage.delete(key);
    run.log.info({ key, modifiedAt }, 'data without a manifest was deleted');
  } catch (error) {
    if (!(error instanceof ObjectLocked)) throw error;
    run.log.info({ key, modifiedAt, until: error.until }, 'data without a manifest is still locked by the bucket');
  }
}

export async function deleteOrphans(run: Run, storage: Storage, orphans: readonly StoredObject[]): Promise<void> {
  const forsaken = orphans.filter(({ modifiedAt }) => isForsaken(run, storage, modifiedAt));
  for (const orphan of forsaken.slice(0, run.task.retention.maxDeletesPerRun)) await deleteOrphan(run, storage, orphan);
}
