// The manifest of a run: what the task says, what the dump told and what passed through the stream. Whether it fits is known before any of it.
import type { DumpFacts } from '../crds/rules/contract.ts';
import { engines } from '../crds/rules/engines/table.ts';
import { encodeManifest, type Manifest, manifestLimit } from '../crds/rules/manifest.ts';
import { dataKey } from '../crds/rules/names.ts';
import { isTime } from '../crds/rules/time.ts';
import { RunError } from './errors.ts';
import { readFacts } from './exchange.ts';
import { recipe } from './recipe.ts';
import type { Run } from './run.ts';
import { identitySince } from './stock.ts';
import type { Storage } from './storage/storage.ts';

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

function manifestOf(run: Run, passed: Passed, facts: DumpFacts, since: string): Manifest {
  const { task } = run;
  const compression = task.compression.algorithm;
  const encryption = task.recipients.length > 0 ? 'age' : 'none';
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
    dumpStartedAt: facts.startedAt,
    committedAt: run.now().toISOString(),
    engine: task.engine,
    dumpFormat: engines[task.engine].dumpFormat(task.database),
    image: task.image,
    serverVersion: facts.serverVersion,
    toolVersion: facts.toolVersion,
    identity: facts.identity,
    ...(since === '' ? {} : { identitySince: since }),
    database: task.database.name ?? '',
    ...(task.database.allDatabases === undefined ? {} : { allDatabases: true as const }),
    ...(facts.onlyRoles ? { onlyRoles: true as const } : {}),
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

/** @param startedAt stands in for the dump's own word on when it started */
export async function describe(run: Run, storage: Storage, passed: Passed, startedAt: Date): Promise<Manifest> {
  const told = await readFacts(run.folders.run);
  const facts = { ...told, startedAt: isTime(told.startedAt) ? told.startedAt : startedAt.toISOString() };
  const since = facts.identity === '' ? '' : await sinceWhen(run, storage, facts.identity, facts.startedAt);
  return manifestOf(run, passed, facts, since);
}

/** As long as decodeFacts lets one be: each letter takes the most bytes that one can. */
const longestFact = '\uffff'.repeat(128);

/** Fields that the spec fills with as much as it wants. */
const written: readonly [keyof Manifest, string][] = [
  ['restore', 'spec.database.restoreCommand'],
  ['recipients', 'spec.encryption.age.recipients'],
  ['key', 'spec.storage.pathPrefix'],
  ['image', 'spec.database.image'],
  ['database', 'spec.database.name'],
];

/** Refuses a run whose manifest no later run would read, whatever the dump tells. */
export function checkLength(run: Run, id: string): void {
  const [size, sha256] = [Number.MAX_SAFE_INTEGER, '0'.repeat(64)];
  const passed = { id, plainSize: size, plainSha256: sha256, storedSize: size, storedSha256: sha256 };
  const [startedAt, serverVersion, toolVersion, identity] = [longestFact, longestFact, longestFact, longestFact];
  const facts = { startedAt, serverVersion, toolVersion, identity, onlyRoles: true };
  const manifest = manifestOf(run, passed, facts, longestFact);
  const bytes = Buffer.byteLength(encodeManifest(manifest));
  if (bytes <= manifestLimit) return;
  const sizes = written.map(([field, name]) => ({ name, bytes: Buffer.byteLength(JSON.stringify(manifest[field])) }));
  const longest = sizes.reduce((most, one) => (one.bytes > most.bytes ? one : most));
  throw new RunError(
    'ConfigInvalid',
    `write the manifest: it may come to ${bytes} bytes, at most ${manifestLimit} are read: shorten ${longest.name}, which takes ${longest.bytes} of them`,
  );
}
