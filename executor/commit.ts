// Makes a stored dump a snapshot: the manifest is written last, and only while the data object is there in its full size.

import type { Success } from '../crds/rules/contract.ts';
import { decodeManifest, encodeManifest, type Manifest, manifestLimit } from '../crds/rules/manifest.ts';
import { manifestKey } from '../crds/rules/names.ts';
import { RunError } from './errors.ts';
import type { Run } from './run.ts';
import { ObjectExists, type Storage } from './storage/storage.ts';

async function confirm(storage: Storage, { key, storedSize }: Manifest): Promise<void> {
  const found = await storage.head(key);
  if (found === undefined) throw new RunError('UploadFailed', `look at "${key}": it was stored and is gone`);
  if (found.size !== storedSize)
    throw new RunError(
      'UploadFailed',
      `look at "${key}": the store holds ${found.size} bytes, ${storedSize} were sent`,
    );
}

/** Writes the manifest. A write that seems to have failed is looked up: its answer may have been lost. */
async function putManifest(storage: Storage, key: string, text: string): Promise<void> {
  try {
    await storage.putSmall(key, text);
  } catch (error) {
    const there = await storage.getSmall(key, manifestLimit).catch(() => undefined);
    if (there?.toString('utf8') === text) return;
    if (!(error instanceof ObjectExists)) throw error;
    throw new RunError('UploadFailed', `put "${key}": another manifest has this name; the next run takes a new one`);
  }
}

/** Takes back what was written, the manifest first. What another run has put there under this name stays. */
async function withdraw(storage: Storage, manifest: Manifest, key: string, text: string): Promise<void> {
  const there = await storage.getSmall(key, manifestLimit);
  if (there !== undefined) {
    if (there.toString('utf8') !== text) return;
    await storage.delete(key);
  }
  await storage.delete(manifest.key);
}

export async function commit(run: Run, storage: Storage, manifest: Manifest): Promise<void> {
  const text = encodeManifest(manifest);
  const key = manifestKey(run.prefix, manifest.id);
  try {
    decodeManifest(text, manifest.key);
    await confirm(storage, manifest);
    run.signal.throwIfAborted();
    await putManifest(storage, key, text);
    await confirm(storage, manifest);
  } catch (error) {
    // A store that fails here too keeps data without a manifest, which is no snapshot and goes when it is old, or a whole snapshot.
    await withdraw(storage, manifest, key, text).catch(() => {});
    throw error;
  }
}

export function success(manifest: Manifest): Success {
  const took = Date.parse(manifest.committedAt) - Date.parse(manifest.dumpStartedAt);
  return {
    outcome: 'Succeeded',
    id: manifest.id,
    key: manifest.key,
    size: manifest.plainSize,
    storedSize: manifest.storedSize,
    sha256: manifest.storedSha256,
    dumpStartedAt: manifest.dumpStartedAt,
    durationSeconds: Math.max(0, Math.round(took / 1000)),
    engineVersion: manifest.serverVersion,
    identity: manifest.identity,
    encrypted: manifest.encryption !== 'none',
  };
}
