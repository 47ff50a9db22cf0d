// All that lies below the prefix, whoever owns it: whole snapshots with their manifests, data without one, and manifests that cannot be relied
// upon, with the reason. Reads and never writes.
import { decodeManifest, type Manifest, manifestLimit } from '../crds/rules/manifest.ts';
import { dataKey, manifestKey, parseSnapshotId } from '../crds/rules/names.ts';
import type { Run } from './run.ts';
import { inTurn, type Pair, pairs } from './stock.ts';
import type { Storage, StoredObject } from './storage/storage.ts';

/** Why a manifest makes no snapshot. */
export interface Flaw {
  reason: 'SnapshotNotFound' | 'DigestMismatch';
  why: string;
}

export interface Broken {
  id: string;
  key: string;
  why: string;
}

const missing = (why: string): Flaw => ({ reason: 'SnapshotNotFound', why });

export interface Survey {
  /** The newest window first. */
  snapshots: Manifest[];
  orphans: (StoredObject & { id: string })[];
  broken: Broken[];
}

/** What makes the pair no snapshot, or its manifest. */
async function judge(run: Run, storage: Storage, { id, data, manifest: found }: Pair): Promise<Manifest | Flaw> {
  // Asked before it is read: whatever goes wrong then is the store's failure and no fault of the snapshot.
  if (found !== undefined && found.size > manifestLimit)
    return missing(`its manifest has ${found.size} bytes, at most ${manifestLimit} are expected`);
  const bytes = await storage.getSmall(manifestKey(run.prefix, id), manifestLimit);
  if (bytes === undefined) return missing('its manifest was deleted while storage was listed');
  let manifest: Manifest;
  try {
    manifest = decodeManifest(bytes.toString('utf8'), dataKey(run.prefix, id));
  } catch (error) {
    return missing(error instanceof Error ? error.message : 'its manifest cannot be read');
  }
  if (data === undefined) return missing('its data is gone');
  if (data.size === manifest.storedSize) return manifest;
  const why = `its data has ${data.size} bytes, the manifest tells ${manifest.storedSize}`;
  return { reason: 'DigestMismatch', why };
}

async function judgeAll(run: Run, storage: Storage, all: readonly Pair[]): Promise<Omit<Survey, 'orphans'>> {
  const snapshots: Manifest[] = [];
  const broken: Broken[] = [];
  const judged = await inTurn(all, async (pair) => ({ pair, verdict: await judge(run, storage, pair) }));
  for (const { pair, verdict } of judged) {
    if ('why' in verdict) broken.push({ id: pair.id, key: manifestKey(run.prefix, pair.id), why: verdict.why });
    else snapshots.push(verdict);
  }
  return { snapshots, broken };
}

export async function survey(run: Run, storage: Storage): Promise<Survey> {
  const all = await pairs(run, storage);
  const committed = all.filter(({ manifest }) => manifest !== undefined);
  const orphans = all.flatMap(({ id, data, manifest }) =>
    manifest === undefined && data !== undefined ? [{ id, ...data }] : [],
  );
  return { ...(await judgeAll(run, storage, committed)), orphans };
}

/** One snapshot by its id, without listing. */
export async function lookAt(run: Run, storage: Storage, id: string): Promise<Manifest | Flaw> {
  const parsed = parseSnapshotId(id);
  if (parsed === undefined) return missing(`"${id}" is not the id of a snapshot`);
  const data = await storage.head(dataKey(run.prefix, id));
  const manifest = await storage.head(manifestKey(run.prefix, id));
  if (manifest === undefined)
    return missing(data === undefined ? 'there is none' : 'it has no manifest: it was never committed');
  const pair = { id, digits: parsed.ownerDigits, time: parsed.time.getTime(), manifest };
  return judge(run, storage, data === undefined ? pair : { ...pair, data });
}
