// The executor container of a restore: chooses the snapshot, looks at the target through the restore container, and feeds the dump to it. The
// target is touched only when the snapshot is there and, unless told otherwise, its whole digest was right.
import type { Restored, RestoreOrder, Skipped, TargetFacts } from '../crds/rules/contract-commands.ts';
import { isAtomic } from '../crds/rules/engines/restore-script.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { chooseSnapshot, NothingStored } from './choose.ts';
import { RunError } from './errors.ts';
import { readExit, runFile } from './exchange.ts';
import { feed, ReaderGone } from './feed.ts';
import { identitiesFor } from './identity.ts';
import type { Run } from './run.ts';
import { openStorage } from './storage/open.ts';
import type { Storage } from './storage/storage.ts';
import { failureOf, readEnd, readTarget, waitForEnd, watchTarget, writeComplete, writeVerdict } from './target.ts';
import { checkStored, lastHeldBack, plain } from './whole.ts';

export interface Ear {
  tell(told: Restored | Skipped): void;
  /**
   * Called before the target is touched.
   * @param worsen what a failure from now on means for the target
   */
  begin(worsen: (failure: RunError) => RunError): void;
}

function skipped(why: Skipped['why'], message: string): Skipped {
  return { outcome: 'Skipped', command: 'restore', why, message };
}

function expired({ notAfter }: RestoreOrder): Skipped {
  return skipped('Expired', `it is after ${notAfter}: nothing was touched`);
}

function isExpired(run: Run, { notAfter }: RestoreOrder): boolean {
  return notAfter !== undefined && !(run.now().getTime() <= Date.parse(notAfter));
}

/** A reason to leave the target alone before storage is asked; what is in Git for ever meets a living database at every sync. */
async function reasonToSkip(run: Run, order: RestoreOrder, target: TargetFacts): Promise<Skipped | undefined> {
  if (isExpired(run, order)) return expired(order);
  if (target.contents === 0 || order.ifNotEmpty === 'Overwrite') return undefined;
  const detail = `the target holds ${target.contents} things that a restore would meet`;
  if (order.ifNotEmpty !== 'Fail') return skipped('TargetNotEmpty', detail);
  await writeVerdict(run, 'refuse');
  throw new RunError('TargetNotEmpty', detail);
}

function checkOrder(run: Run, order: RestoreOrder): void {
  const { choice, ifNotEmpty, notAfter } = order;
  if (ifNotEmpty === 'Overwrite' && (!('snapshot' in choice) || Number.isNaN(Date.parse(notAfter ?? ''))))
    throw new RunError('ConfigInvalid', 'ifNotEmpty "Overwrite": it needs a snapshot by its id and notAfter');
  run.log.info({ choice, ifNotEmpty, verifyFirst: order.verifyFirst }, 'a restore is ordered');
}

function checkEngine(run: Run, { id, engine }: Manifest): void {
  if (engine !== run.task.engine)
    throw new RunError(
      'ConfigInvalid',
      `restore "${id}": it is a dump of ${JSON.stringify(engine)}, the target is "${run.task.engine}"`,
    );
}

/** What a failure means once the target may have been touched. Being told to stop has no other reason then either. */
function worsen(atomic: boolean): (failure: RunError) => RunError {
  return (failure) => (atomic ? failure : new RunError('RestoreIncomplete', failure.message, { cause: failure }));
}

/** Gives the dump to the tool. The last chunk goes only when all digests are right, and the end is told only after it. */
async function give(run: Run, dump: AsyncIterable<Buffer>): Promise<void> {
  const gone = new AbortController();
  const stopWatching = watchTarget(run, gone);
  try {
    await feed(
      lastHeldBack(dump),
      {
        path: runFile(run.folders.run, 'fifo'),
        openMilliseconds: run.task.limits.firstByteSeconds * 1000,
        signal: AbortSignal.any([run.signal, gone.signal]),
        ended: async () => (await readExit(run.folders.run)) !== undefined,
      },
      () => run.log.info('the first byte goes to the target'),
    );
    await writeComplete(run);
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error;
    const exit = await readEnd(run);
    if (exit.code !== 0) throw failureOf(exit);
    throw new RunError('RestoreFailed', `feed the restore: ${error.message} and said that it had ended well`);
  } finally {
    stopWatching();
  }
}

/** @returns why nothing was done in the end */
async function restoreInto(
  run: Run,
  storage: Storage,
  order: RestoreOrder,
  { manifest, target }: { manifest: Manifest; target: TargetFacts },
  ear: Ear,
): Promise<Skipped | undefined> {
  const identities = await identitiesFor(run, manifest, order.identity);
  if (order.verifyFirst) {
    await checkStored(run, storage, manifest);
    run.log.info({ id: manifest.id }, 'the stored bytes are what was committed');
  }
  const overwrite = order.ifNotEmpty === 'Overwrite' && target.contents > 0;
  run.signal.throwIfAborted();
  // Asked again: the digest of a large snapshot takes its time.
  if (isExpired(run, order)) return expired(order);
  ear.begin(worsen(isAtomic(manifest.dumpFormat) && !overwrite));
  await writeVerdict(run, overwrite ? 'overwrite' : 'restore');
  await give(run, plain(run, storage, manifest, identities));
  run.log.info({ id: manifest.id }, 'every byte was given and is right');
  const exit = await waitForEnd(run);
  if (exit.code !== 0) throw failureOf(exit);
  return undefined;
}

async function decide(run: Run, storage: Storage, order: RestoreOrder, ear: Ear): Promise<Restored | Skipped> {
  const startedAt = performance.now();
  const target = await readTarget(run);
  run.log.info({ ...target }, 'the target answers');
  const skip = await reasonToSkip(run, order, target);
  if (skip !== undefined) return skip;
  let manifest: Manifest;
  try {
    manifest = await chooseSnapshot(run, storage, order.choice, target.contents === 0 ? target.identity : '');
  } catch (error) {
    if (!(error instanceof NothingStored) || order.ifNoSnapshot === 'Fail') throw error;
    return skipped('NoSnapshot', error.message);
  }
  checkEngine(run, manifest);
  const tooLate = await restoreInto(run, storage, order, { manifest, target }, ear);
  if (tooLate !== undefined) return tooLate;
  return {
    outcome: 'Succeeded',
    command: 'restore',
    id: manifest.id,
    key: manifest.key,
    size: manifest.plainSize,
    storedSize: manifest.storedSize,
    sha256: manifest.storedSha256,
    dumpStartedAt: manifest.dumpStartedAt,
    durationSeconds: Math.round((performance.now() - startedAt) / 1000),
    engineVersion: target.serverVersion,
  };
}

export async function restore(run: Run, order: RestoreOrder, ear: Ear): Promise<void> {
  checkOrder(run, order);
  const storage = await openStorage(run);
  try {
    const told = await decide(run, storage, order, ear);
    if (told.outcome === 'Skipped') await writeVerdict(run, 'skip');
    run.log.info({ ...told }, told.outcome === 'Skipped' ? 'nothing is restored' : 'the snapshot is restored');
    ear.tell(told);
  } finally {
    storage.close();
  }
}
