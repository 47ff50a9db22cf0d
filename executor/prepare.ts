// The init container: makes the FIFO, looks whether storage will take the snapshot before anything is dumped, clears what killed runs
// left, and notices when this Job's snapshot is committed already.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, lstat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { encodeManifest, type Manifest } from '../crds/rules/manifest.ts';
import { dataKey, snapshotId } from '../crds/rules/names.ts';
import { codeOf, RunError } from './errors.ts';
import { clearRunFiles, runFile, writeRunFile } from './exchange.ts';
import { startHeartbeat } from './heartbeat.ts';
import { abortLeftUploads, clockToleranceMilliseconds } from './leftovers.ts';
import type { Run } from './run.ts';
import { findCommitted } from './stock.ts';
import { openStorage } from './storage/open.ts';
import type { Storage } from './storage/storage.ts';

const execute = promisify(execFile);
/** Node cannot make a FIFO. The image carries busybox, other places have coreutils. */
const makers = [['mkfifo'], ['/bin/busybox', 'mkfifo']] as const;
const fifoMode = 0o660;

async function makeFifo(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there?.isFIFO() !== true) await callMaker(path);
  // Said again: the mode given to mkfifo is narrowed by the umask.
  await chmod(path, fifoMode);
}

async function callMaker(path: string): Promise<void> {
  for (const [program, ...args] of makers) {
    try {
      await execute(program, [...args, path]);
      return;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT')
        throw new RunError('DumpFailed', `make the FIFO "${path}": ${program} failed`, { cause: error });
    }
  }
  throw new RunError('DumpFailed', `make the FIFO "${path}": the image has neither mkfifo nor /bin/busybox`);
}

/** A clock that is far off gives snapshots wrong ages, and retention then deletes the wrong ones. */
function compareClocks(run: Run, storage: Storage): void {
  const ahead = storage.clockAhead() ?? 0;
  if (Math.abs(ahead) <= clockToleranceMilliseconds) return;
  const here = run.now();
  const there = new Date(here.getTime() - ahead);
  throw new RunError(
    'ConfigInvalid',
    `compare clocks: it is ${here.toISOString()} on this node and ${there.toISOString()} in the store; they may differ by ${clockToleranceMilliseconds / 60_000} minutes`,
  );
}

async function preflight(run: Run, storage: Storage): Promise<Manifest | undefined> {
  const committed = await findCommitted(run, storage);
  // What is committed stays so whatever this node's clock says, by which retention deletes nothing then.
  if (committed !== undefined) return committed;
  compareClocks(run, storage);
  run.signal.throwIfAborted();
  const id = snapshotId(new Date(run.task.time), run.task.owner, randomBytes(2).toString('hex'));
  await storage.probe(dataKey(run.prefix, id));
  run.signal.throwIfAborted();
  await abortLeftUploads(run, storage);
  return undefined;
}

/** Before a restore: the FIFO, and whether storage can be read. Nothing is written there. */
export async function prepareRestore(run: Run): Promise<void> {
  await clearRunFiles(run.folders.run);
  await makeFifo(runFile(run.folders.run, 'fifo'));
  const storage = await openStorage(run);
  try {
    for await (const _object of storage.list(run.prefix)) break;
    run.log.info({ prefix: run.prefix }, 'storage can be read');
  } finally {
    storage.close();
  }
}

export async function prepare(run: Run): Promise<void> {
  await clearRunFiles(run.folders.run);
  await makeFifo(runFile(run.folders.run, 'fifo'));
  const stopHeartbeat = startHeartbeat(run.folders.run);
  const storage = await openStorage(run);
  try {
    const committed = await preflight(run, storage);
    if (committed === undefined) {
      run.log.info({ prefix: run.prefix }, 'storage is ready');
      return;
    }
    await writeRunFile(run.folders.run, 'committed', encodeManifest(committed));
    run.log.info({ id: committed.id }, 'this run is committed already');
  } finally {
    storage.close();
    stopHeartbeat();
  }
}
