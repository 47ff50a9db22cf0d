// Reads one snapshot and says whether it is what was committed; with an identity also whether it opens and holds a whole dump. Never writes.
import type { Verified, VerifyOrder } from '../crds/rules/contract-commands.ts';
import { engines } from '../crds/rules/engines/table.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import { chooseSnapshot } from './choose.ts';
import { RunError } from './errors.ts';
import { readIdentities } from './identity.ts';
import type { Run } from './run.ts';
import { openStorage } from './storage/open.ts';
import type { Storage } from './storage/storage.ts';
import { NotARecipient } from './stream/decrypt.ts';
import { checkStored, plain } from './whole.ts';

async function check(id: string, step: () => void | Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    throw new RunError('VerifyFailed', `verify "${id}": ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function checkDump(run: Run, storage: Storage, manifest: Manifest, identities: readonly string[]): Promise<void> {
  const { id, engine, allDatabases } = manifest;
  if (!Object.hasOwn(engines, engine))
    throw new RunError(
      'VerifyFailed',
      `verify "${id}": engine ${JSON.stringify(engine)} is unknown: use a newer dbbackup`,
    );
  const marker = engines[engine].endMarker(allDatabases === undefined ? {} : { allDatabases });
  for await (const chunk of plain(run, storage, manifest, identities)) await check(id, () => marker.push(chunk));
  await check(id, () => marker.end());
}

/**
 * Opens it to its end. Where that fails because of the bytes, they are read once more: whether they are what was committed says whether
 * the store or the dump is to blame.
 */
async function openWhole(run: Run, storage: Storage, manifest: Manifest, identities: readonly string[]): Promise<void> {
  try {
    await checkDump(run, storage, manifest, identities);
  } catch (error) {
    const isOfBytes = error instanceof RunError && ['DecryptFailed', 'VerifyFailed'].includes(error.reason);
    if (isOfBytes && !(error instanceof NotARecipient)) await checkStored(run, storage, manifest);
    throw error;
  }
}

export async function verify(run: Run, order: VerifyOrder, tell: (told: Verified) => void): Promise<void> {
  const startedAt = performance.now();
  const storage = await openStorage(run);
  try {
    // Read first: a wrong one is told before hours of reading.
    const identities = order.identity === undefined ? undefined : await readIdentities(run, order.identity);
    const manifest = await chooseSnapshot(run, storage, order.choice);
    const isOpen = manifest.encryption === 'none';
    const opened = isOpen || identities !== undefined;
    if (opened) await openWhole(run, storage, manifest, isOpen ? [] : (identities ?? []));
    else await checkStored(run, storage, manifest);
    const { id, key, storedSize, storedSha256: sha256 } = manifest;
    const durationSeconds = Math.round((performance.now() - startedAt) / 1000);
    run.log.info({ id, storedSize, opened }, 'the snapshot is what was committed');
    tell({ outcome: 'Succeeded', command: 'verify', id, key, storedSize, sha256, opened, durationSeconds });
  } finally {
    storage.close();
  }
}
