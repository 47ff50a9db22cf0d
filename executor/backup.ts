// The executor container: takes the dump from the FIFO to storage, commits it, and prunes. Whoever calls it learns how it ended from what
// it throws; the first commit is told at once.
import { randomBytes } from 'node:crypto';
import type { Result } from '../crds/rules/contract.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { dataKey, snapshotId } from '../crds/rules/names.ts';
import { commit, success } from './commit.ts';
import { checkLength, describe, type Passed } from './describe.ts';
import { readDump } from './dump.ts';
import { RunError } from './errors.ts';
import { readCommitted } from './exchange.ts';
import { prune } from './prune.ts';
import type { Run } from './run.ts';
import { openStorage } from './storage/open.ts';
import { ObjectExists, type Storage } from './storage/storage.ts';
import { compress } from './stream/compress.ts';
import { encrypt } from './stream/encrypt.ts';
import { measure } from './stream/measure.ts';
import { lent } from './stream/release.ts';

const progressMilliseconds = 10_000;

/** Streams the dump into storage. Nothing is visible there unless this resolves. */
async function store(run: Run, storage: Storage, id: string): Promise<Passed> {
  const plain = measure();
  const stored = measure();
  const { task } = run;
  const dump = plain.pass(readDump(run, task.limits.firstByteSeconds * 1000));
  const packed = compress(lent(dump), task.compression);
  const sealed = stored.pass(encrypt(lent(packed), task.recipients));
  const progress = setInterval(
    () => run.log.info({ plain: plain.tally.bytes, stored: stored.tally.bytes }, 'progress'),
    progressMilliseconds,
  );
  try {
    const key = dataKey(run.prefix, id);
    const storedSize = await storage.put(key, lent(sealed), { signal: run.signal, expectedBytes: run.lastSize });
    if (storedSize !== stored.tally.bytes)
      throw new RunError('UploadFailed', `put "${key}": ${storedSize} of ${stored.tally.bytes} bytes were stored`);
  } finally {
    clearInterval(progress);
  }
  return {
    id,
    plainSize: plain.tally.bytes,
    plainSha256: plain.tally.sha256(),
    storedSize: stored.tally.bytes,
    storedSha256: stored.tally.sha256(),
  };
}

async function take(run: Run, storage: Storage): Promise<Manifest> {
  const startedAt = run.now();
  const id = snapshotId(new Date(run.task.time), run.task.owner, randomBytes(2).toString('hex'));
  checkLength(run, id);
  try {
    const manifest = await describe(run, storage, await store(run, storage, id), startedAt);
    await commit(run, storage, manifest);
    return manifest;
  } catch (error) {
    if (error instanceof ObjectExists)
      throw new RunError('UploadFailed', `put "${error.message}": the name is taken; the next run takes a new one`);
    throw error;
  }
}

/** @param tell called at commit and again after pruning; from the first call on the run has succeeded */
export async function backup(run: Run, tell: (result: Result) => void): Promise<void> {
  const committed = await readCommitted(run.folders.run);
  const storage = await openStorage(run);
  try {
    const manifest = committed ?? (await take(run, storage));
    tell({ run: success(manifest) });
    run.log.info({ id: manifest.id, size: manifest.plainSize, storedSize: manifest.storedSize }, 'committed');
    tell({ run: success(manifest), inventory: await prune(run, storage, manifest.id) });
  } finally {
    storage.close();
  }
}
