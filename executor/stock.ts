// What storage holds below this run's prefix, sorted by whose it is. Names are only a hint: a snapshot is ours when its manifest says so,
// and it is a snapshot when its data is there in the size that the manifest tells.
import { decodeManifest, type Manifest, manifestLimit } from '../crds/rules/manifest.ts';
import { dataKey, manifestKey, type Owner, ownerDigits, parseKey, snapshotId } from '../crds/rules/names.ts';
import type { Run } from './run.ts';
import type { Storage, StoredObject } from './storage/storage.ts';

/** Manifests that are read at once. */
const readersAtOnce = 8;
/** Other owners below one prefix that are looked at: one backup has one prefix, so a few are many. */
const strangersLookedAt = 16;

export interface Stock {
  /** Whole snapshots of this owner, newest first. */
  ours: Manifest[];
  /** Snapshots of other Kubernetes clusters. */
  foreign: number;
  /** Data without a manifest: of a run that died, or of one that goes on. */
  orphans: StoredObject[];
}

export interface Pair {
  id: string;
  digits: string;
  time: number;
  data?: StoredObject;
  manifest?: StoredObject;
}

export async function pairs(run: Run, storage: Storage): Promise<Pair[]> {
  const byId = new Map<string, Pair>();
  for await (const object of storage.list(run.prefix)) {
    const name = parseKey(run.prefix, object.key);
    if (name === undefined) continue;
    const { id, ownerDigits: digits, time, kind } = name;
    const pair = byId.get(id) ?? { id, digits, time: time.getTime() };
    pair[kind] = object;
    byId.set(id, pair);
  }
  return [...byId.values()].sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1));
}

/** undefined when it is gone or says nothing that can be relied upon; that is logged, and such a one is never touched. */
async function readManifest(run: Run, storage: Storage, { id, manifest }: Pair): Promise<Manifest | undefined> {
  const size = manifest?.size ?? 0;
  if (size > manifestLimit) {
    run.log.warn({ id, detail: `it has ${size} bytes` }, 'a manifest is passed over');
    return undefined;
  }
  const bytes = await storage.getSmall(manifestKey(run.prefix, id), manifestLimit);
  if (bytes === undefined) return undefined;
  try {
    return decodeManifest(bytes.toString('utf8'), dataKey(run.prefix, id));
  } catch (error) {
    run.log.warn({ id, detail: error instanceof Error ? error.message : '' }, 'a manifest is passed over');
    return undefined;
  }
}

export async function inTurn<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await action(item);
    }
  };
  await Promise.all(Array.from({ length: readersAtOnce }, worker));
  return results;
}

/** This backup in this Kubernetes cluster and in those whose snapshots it has adopted. */
function owners({ task: { owner, retention } }: Run): Owner[] {
  return [owner.clusterUid, ...(retention.adopt ?? [])].map((clusterUid) => ({ ...owner, clusterUid }));
}

export function isOurs(run: Run, { owner }: Manifest): boolean {
  return owners(run).some(
    ({ clusterUid, namespace, name }) =>
      owner.clusterUid === clusterUid && owner.namespace === namespace && owner.name === name,
  );
}

function isWhole(run: Run, { id, data }: Pair, manifest: Manifest): boolean {
  if (data?.size === manifest.storedSize) return true;
  run.log.warn({ id, found: data?.size ?? 0, expected: manifest.storedSize }, 'a snapshot has lost its data');
  return false;
}

async function ours(run: Run, storage: Storage, committed: Pair[]): Promise<Manifest[]> {
  const read = await inTurn(committed, async (pair) => {
    const manifest = await readManifest(run, storage, pair);
    if (manifest === undefined || !isOurs(run, manifest)) return undefined;
    return isWhole(run, pair, manifest) ? manifest : undefined;
  });
  return read.filter((one) => one !== undefined);
}

/** Snapshots with the same digits have the same owner: one of them is read for all. */
async function foreign(run: Run, storage: Storage, committed: Pair[]): Promise<number> {
  const groups = [...Map.groupBy(committed, ({ digits }) => digits).values()].slice(0, strangersLookedAt);
  const known = owners(run).map(({ clusterUid }) => clusterUid);
  const counts = await inTurn(groups, async (group) => {
    const [first] = group;
    const manifest = first && (await readManifest(run, storage, first));
    return manifest !== undefined && !known.includes(manifest.owner.clusterUid) ? group.length : 0;
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

export async function takeStock(run: Run, storage: Storage): Promise<Stock> {
  const all = await pairs(run, storage);
  const digits = owners(run).map(ownerDigits);
  const committed = all.filter(({ manifest }) => manifest !== undefined);
  return {
    ours: await ours(
      run,
      storage,
      committed.filter((pair) => digits.includes(pair.digits)),
    ),
    foreign: await foreign(
      run,
      storage,
      committed.filter((pair) => !digits.includes(pair.digits)),
    ),
    orphans: all.flatMap(({ data, manifest }) => (manifest === undefined && data !== undefined ? [data] : [])),
  };
}

/** The snapshot that an earlier pod of this very Job committed, if one did. */
export async function findCommitted(run: Run, storage: Storage): Promise<Manifest | undefined> {
  const own = snapshotId(new Date(run.task.time), run.task.owner, '0000').slice(0, -4);
  const all = await pairs(run, storage);
  const candidates = all.filter(({ id, manifest }) => id.startsWith(own) && manifest !== undefined);
  const found = await ours(run, storage, candidates);
  return found.find(({ jobUid, time }) => jobUid === run.jobUid && Date.parse(time) === Date.parse(run.task.time));
}

/** How many of the newest snapshots are asked for an identity: a login that may not read it leaves gaps. */
const identitiesLookedAt = 8;

/**
 * Since when the database has this identity: what the newest snapshot that knows one says where it says the same, otherwise undefined.
 */
export async function identitySince(run: Run, storage: Storage, identity: string): Promise<string | undefined> {
  const digits = owners(run).map(ownerDigits);
  const committed = (await pairs(run, storage)).filter(
    (pair) => pair.manifest !== undefined && digits.includes(pair.digits),
  );
  for (const pair of committed.slice(0, identitiesLookedAt)) {
    const manifest = await readManifest(run, storage, pair);
    if (manifest === undefined || !isOurs(run, manifest) || !manifest.identity) continue;
    return manifest.identity === identity ? (manifest.identitySince ?? manifest.dumpStartedAt) : undefined;
  }
  return undefined;
}
