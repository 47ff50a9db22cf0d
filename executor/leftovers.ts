// What runs that were killed left behind: uploads that never ended, and data without a manifest. An upload of this owner can be taken
// back at once, since the lock is ours; everything else only when nobody can be writing it any more.
import { ownerDigits, parseKey } from '../crds/rules/names.ts';
import type { Run } from './run.ts';
import { ObjectLocked, type Storage, type StoredObject } from './storage/storage.ts';

const weekMilliseconds = 7 * 86_400_000;
export const clockToleranceMilliseconds = 300_000;

/** Whether so much time has passed by the store's clock that no run of any backup here can still be at it. */
function isForsaken(run: Run, storage: Storage, since: Date): boolean {
  const now = run.now().getTime() - (storage.clockAhead() ?? 0);
  return now - since.getTime() > Math.max(weekMilliseconds, 2000 * run.task.limits.deadlineSeconds);
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

/** Gives how many were deleted. */
export async function deleteOrphans(run: Run, storage: Storage, orphans: readonly StoredObject[]): Promise<number> {
  const forsaken = orphans.filter(({ modifiedAt }) => isForsaken(run, storage, modifiedAt));
  const now = forsaken.slice(0, run.task.retention.maxDeletesPerRun);
  for (const { key, modifiedAt } of now) {
    try {
      await storage.delete(key);
      run.log.info({ key, modifiedAt }, 'data without a manifest was deleted');
    } catch (error) {
      if (!(error instanceof ObjectLocked)) throw error;
      run.log.info({ key, modifiedAt, until: error.until }, 'data without a manifest is still locked by the bucket');
    }
  }
  return now.length;
}
