// The executor container of a restore: chooses the snapshot, looks at the target through the restore container, and feeds the dump to it. The
// target is touched only when the snapshot is there, opens and, unless told otherwise, has the right digest as a whole.
import type { Task } from '../crds/rules/contract.ts';
import type { Restored, RestoreOrder, Skipped, TargetFacts } from '../crds/rules/contract-commands.ts';
import { isAtomic } from '../crds/rules/engines/restore-script.ts';
import { engines } from '../crds/rules/engines/table.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { extent, scopeOf } from '../crds/rules/selection.ts';
import { chooseSnapshot, NothingStored } from './choose.ts';
import { RunError } from './errors.ts';
import { type DumpExit, readExit, runFile } from './exchange.ts';
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

/** Why the target's tool would not put such a dump where the target is. */
function misfit({ engine, database: target }: Task, manifest: Manifest): string | undefined {
  const { dumpFormat, database } = manifest;
  if (engine !== manifest.engine)
    return `it is a dump of ${JSON.stringify(manifest.engine)}, the target is "${engine}": name a target of its kind`;
  const format = engines[engine].dumpFormat(target);
  const ofAll = target.allDatabases === true;
  if ((manifest.allDatabases === true) !== ofAll || dumpFormat !== format)
    return `it is a dump of ${extent(scopeOf(manifest))} (${dumpFormat}), the target is ${extent(target)} (${format}): name a target of its kind`;
  // It goes to the restore container as a line.
  if (engines[engine].hasDatabases && !ofAll && !/^\P{Cc}+$/u.test(database))
    return `its manifest names the database ${JSON.stringify(database)}, which none can be: name another snapshot`;
  return undefined;
}

function checkFit({ task }: Run, manifest: Manifest, { ifNotEmpty }: RestoreOrder): void {
  const wouldEmpty = manifest.onlyRoles === true && ifNotEmpty === 'Overwrite';
  const detail = wouldEmpty
    ? 'ifNotEmpty "Overwrite" would take all databases away, and it holds roles alone: restore it into an empty server, or by hand'
    : misfit(task, manifest);
  if (detail !== undefined) throw new RunError('ConfigInvalid', `restore "${manifest.id}": ${detail}`);
}

/** A failure of which the restore container said that nothing of the target was gone before. */
class Untouched extends RunError {}

function failed(exit: DumpExit): RunError {
  const failure = failureOf(exit);
  return exit.isUntouched ? new Untouched(failure.reason, failure.message) : failure;
}

/** What a failure means once the target may have been touched. Being told to stop has no other reason then either. */
function worsen(atomic: boolean): (failure: RunError) => RunError {
  return (failure) =>
    atomic || failure instanceof Untouched
      ? failure
      : new RunError('RestoreIncomplete', failure.message, { cause: failure });
}

/** What stands below the verdict. Anyone may have edited the manifest: each is one line. */
function details({ ifNotEmpty }: RestoreOrder, { database, toolVersion }: Manifest): string[] {
  return [ifNotEmpty, database, String(toolVersion ?? '').replace(/\p{Cc}/gu, ' ')];
}

async function* startingWith(
  first: IteratorResult<Buffer, void>,
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, void> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Gives the dump to the tool, and tells its end once it has ended well. */
async function give(run: Run, dump: AsyncIterable<Buffer>, begin: () => void): Promise<void> {
  const gone = new AbortController();
  const stopWatching = watchTarget(run, gone);
  try {
    await feed(
      dump,
      {
        path: runFile(run.folders.run, 'fifo'),
        openMilliseconds: run.task.limits.firstByteSeconds * 1000,
        signal: AbortSignal.any([run.signal, gone.signal]),
        ended: async () => (await readExit(run.folders.run)) !== undefined,
      },
      () => {
        begin();
        run.log.info('the first byte goes to the target');
      },
    );
    await writeComplete(run);
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error;
    const exit = await readEnd(run);
    if (exit.code !== 0 || exit.reason === 'TargetNotEmpty') throw failed(exit);
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
  // The last chunk comes only when all digests are right.
  const dump = lastHeldBack(plain(run, storage, manifest, identities));
  try {
    // Nothing of the target goes for a snapshot that does not open.
    const first = await dump.next();
    run.signal.throwIfAborted();
    // Asked again: the digest of a large snapshot takes its time.
    if (isExpired(run, order)) return expired(order);
    const begin = (): void => ear.begin(worsen(isAtomic(manifest.dumpFormat) && !overwrite));
    if (overwrite) begin();
    await writeVerdict(run, overwrite ? 'overwrite' : 'restore', details(order, manifest));
    // An empty target is looked at once more before it is opened, which may fail and touches nothing.
    await give(run, startingWith(first, dump), overwrite ? () => {} : begin);
  } catch (error) {
    const isLate = error instanceof RunError && error.reason === 'TargetNotEmpty';
    if (isLate && order.ifNotEmpty === 'Skip') return skipped('TargetNotEmpty', error.message);
    throw error;
  } finally {
    // Not awaited: in the middle of a chunk it answers only after that.
    dump.return().catch(() => {});
  }
  run.log.info({ id: manifest.id }, 'every byte was given and is right');
  const exit = await waitForEnd(run);
  if (exit.code !== 0) throw failed(exit);
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
    const identity = target.contents === 0 ? target.identity : '';
    manifest = await chooseSnapshot(run, storage, order.choice, { ...run.task.database, identity });
  } catch (error) {
    if (!(error instanceof NothingStored) || order.ifNoSnapshot === 'Fail') throw error;
    return skipped('NoSnapshot', error.message);
  }
  checkFit(run, manifest, order);
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
