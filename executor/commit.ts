// Makes a stored dump a snapshot: the manifest is written last, and only while the data object is there in its full size.

import type { Success } from '../crds/rules/contract.ts';
import { engines } from '../crds/rules/engines/table.ts';
import { decodeManifest, encodeManifest, type Manifest, manifestLimit } from '../crds/rules/manifest.ts';
import { dataKey, manifestKey } from '../crds/rules/names.ts';
import { RunError } from './errors.ts';
import { readFacts } from './exchange.ts';
import { recipe } from './recipe.ts';
import type { Run } from './run.ts';
import { identitySince } from './stock.ts';
import { ObjectExists, type Storage } from './storage/storage.ts';

/** What passed through the stream. */
export interface Passed {
  id: string;
  plainSize: number;
  plainSha256: string;
  storedSize: number;
  storedSha256: string;
}

/** Retention asks for it when a database was made anew. Not knowing it fails no backup: the change then counts from this dump on. */
async function sinceWhen(run: Run, storage: Storage, identity: string, dumpStartedAt: string): Promise<string> {
  try {
    return (await identitySince(run, storage, identity)) ?? dumpStartedAt;
  } catch (error) {
    run.log.warn({ detail: error instanceof Error ? error.message : '' }, 'earlier snapshots were not read');
    return dumpStartedAt;
  }
}

/** @param startedAt stands in for the dump's own word on when it started */
export async function describe(run: Run, storage: Storage, passed: Passed, startedAt: Date): Promise<Manifest> {
  const { task } = run;
  const facts = await readFacts(run.folders.run);
  const compression = task.compression.algorithm;
  const encryption = task.recipients.length > 0 ? 'age' : 'none';
  const dumpStartedAt = Number.isNaN(Date.parse(facts.startedAt)) ? startedAt.toISOString() : facts.startedAt;
  return {
    formatVersion: 1,
    ...passed,
    key: dataKey(run.prefix, passed.id),
    owner: task.owner,
    cluster: task.cluster,
    time: task.time,
    trigger: task.trigger,
    jobUid: run.jobUid,
    lockEpoch: run.lockEpoch,
    dumpStartedAt,
    committedAt: run.now().toISOString(),
    engine: task.engine,
    dumpFormat: engines[task.engine].dumpFormat(task.database),
    image: task.image,
    serverVersion: facts.serverVersion,
    toolVersion: facts.toolVersion,
    identity: facts.identity,
    ...(facts.identity === '' ? {} : { identitySince: await sinceWhen(run, storage, facts.identity, dumpStartedAt) }),
    database: task.database.name ?? '',
    ...(task.database.allDatabases === undefined ? {} : { allDatabases: true as const }),
    compression,
    encryption,
    recipients: task.recipients,
    dbbackupVersion: run.version,
    restore: recipe({
      id: passed.id,
      engine: task.engine,
      database: task.database,
      compression,
      encryption,
      storedSha256: passed.storedSha256,
    }),
  };
}

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
