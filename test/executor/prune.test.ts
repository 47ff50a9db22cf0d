// What is deleted after a commit, and above all what is not. On a real directory, with snapshots of every owner and state in it.
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { encodeManifest, type Manifest } from '../../crds/rules/manifest.ts';
import { dataKey, manifestKey, type Owner, snapshotId } from '../../crds/rules/names.ts';
import { abortLeftUploads } from '../../executor/leftovers.ts';
import { prune } from '../../executor/prune.ts';
import { identitySince } from '../../executor/stock.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';

const day = 86_400_000;
const now = new Date('2026-03-31T02:00:00Z');
const daysAgo = (days: number) => new Date(now.getTime() - days * day);

let bare: BareRun;
let storage: Storage;

async function begin(over: Partial<Task> = {}): Promise<void> {
  const task = taskFor(
    { kind: 'directory', claimName: 'backups' },
    {},
    { time: now.toISOString(), retention: { keepLast: 2, maxDeletesPerRun: 10 }, ...over },
  );
  bare = await bareRun(task, { now: () => now });
  storage = await openStorage(bare.run);
}

beforeEach(() => begin());
afterEach(() => bare.remove());

const me: Owner = taskFor({ kind: 'directory', claimName: 'backups' }, {}).owner;
let random = 0;

function idFor(days: number, owner: Owner): string {
  random += 1;
  return snapshotId(daysAgo(days), owner, random.toString(16).padStart(4, '0'));
}

interface Made {
  owner?: Owner;
  id?: string;
  over?: Partial<Manifest>;
  /** What is stored; absent: as the manifest tells. */
  data?: string;
}

/** A committed snapshot, its window so many days ago. */
async function snapshot(days: number, { owner = me, over = {}, data = 'data', ...rest }: Made = {}): Promise<string> {
  const id = rest.id ?? idFor(days, owner);
  const key = dataKey(bare.run.prefix, id);
  const manifest: Manifest = {
    formatVersion: 1,
    id,
    key,
    owner,
    cluster: 'orders-db',
    time: daysAgo(days).toISOString(),
    trigger: 'Schedule',
    jobUid: 'job',
    lockEpoch: 1,
    dumpStartedAt: daysAgo(days).toISOString(),
    committedAt: daysAgo(days).toISOString(),
    engine: 'postgres',
    dumpFormat: 'pg_dump-custom',
    image: 'postgres:15',
    serverVersion: '15',
    toolVersion: '15',
    identity: '',
    database: 'orders',
    compression: 'none',
    encryption: 'none',
    recipients: [],
    plainSize: 4,
    plainSha256: '0'.repeat(64),
    storedSize: 4,
    storedSha256: '0'.repeat(64),
    dbbackupVersion: 'test',
    restore: [],
    ...over,
  };
  await storage.putSmall(key, data);
  await storage.putSmall(manifestKey(bare.run.prefix, id), encodeManifest(manifest));
  return id;
}

async function left(): Promise<string[]> {
  const names: string[] = [];
  for await (const { key } of storage.list(bare.run.prefix)) names.push(key.slice(bare.run.prefix.length));
  return names.sort();
}

const both = (...ids: string[]) => ids.flatMap((id) => [`${id}.snap`, `${id}.snap.json`]).sort();

async function age(name: string, days: number): Promise<void> {
  await utimes(join(bare.run.folders.volume, bare.run.prefix, name), daysAgo(days), daysAgo(days));
}

describe('prune', () => {
  test('keeps what retention keeps and deletes the rest, with its reasons in the log', async () => {
    const [new_, kept, old, older] = [await snapshot(0), await snapshot(1), await snapshot(2), await snapshot(3)];
    const inventory = await prune(bare.run, storage, new_);
    expect(inventory).toEqual({
      snapshots: [
        { id: new_, size: 4 },
        { id: kept, size: 4 },
      ],
      count: 2,
      deleted: 2,
      foreign: 0,
      pruneError: '',
    });
    expect(await left()).toEqual(both(new_, kept));
    const lines = Object.fromEntries(bare.lines.map(({ id, keep, msg }) => [id, [msg, keep]]));
    expect(lines[new_]).toEqual(['a snapshot is kept', ['newest', 'keepLast 2', 'just committed']]);
    expect(lines[old]).toEqual(['a snapshot was deleted: no rule keeps it', undefined]);
    expect(lines[older]?.[0]).toContain('deleted');
  });

  test('F41 a second prune deletes nothing more', async () => {
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2)];
    await prune(bare.run, storage, ids[0] ?? '');
    expect(await prune(bare.run, storage, ids[0] ?? '')).toMatchObject({ deleted: 0, count: 2 });
  });

  test('deletes at most so many a run, the oldest first', async () => {
    await bare.remove();
    await begin({ retention: { keepLast: 1, maxDeletesPerRun: 2 } });
    const ids = [];
    for (const days of [0, 1, 2, 3, 4]) ids.push(await snapshot(days));
    expect(await prune(bare.run, storage, ids[0] ?? '')).toMatchObject({ deleted: 2, count: 3 });
    expect(await left()).toEqual(both(...ids.slice(0, 3)));
  });

  test('never deletes the one just committed, though its window is the oldest', async () => {
    const committed = await snapshot(9);
    for (const days of [0, 1, 2]) await snapshot(days);
    await prune(bare.run, storage, committed);
    expect(await left()).toEqual(expect.arrayContaining(both(committed)));
  });

  test('does not touch snapshots of other owners, of whatever cluster, name or digits', async () => {
    const committed = await snapshot(0);
    const neighbour: Owner = { ...me, name: 'orders-hourly' };
    const elsewhere: Owner = { ...me, clusterUid: 'another-cluster' };
    const theirs = [];
    for (const owner of [neighbour, elsewhere])
      for (const days of [1, 2, 30, 31]) theirs.push(await snapshot(days, { owner }));
    // Same digits as ours by chance; only the manifest tells.
    for (const days of [32, 33, 34]) theirs.push(await snapshot(days, { owner: elsewhere, id: idFor(days, me) }));
    const inventory = await prune(bare.run, storage, committed);
    expect(inventory).toMatchObject({ count: 1, deleted: 0, foreign: 4 });
    expect(await left()).toEqual(both(committed, ...theirs));
  });

  test('a snapshot that has lost its data, or part of it, does not count as kept', async () => {
    const committed = await snapshot(0);
    const broken = [await snapshot(1, { data: 'da' }), await snapshot(2)];
    await storage.delete(dataKey(bare.run.prefix, broken[1] ?? ''));
    const good = await snapshot(3);
    expect(await prune(bare.run, storage, committed)).toMatchObject({ count: 2, deleted: 0 });
    expect(await left()).toEqual(expect.arrayContaining(both(committed, good)));
  });

  test.each<[string, string]>([
    ['no JSON', '{'],
    ['another key', '{"formatVersion":1,"key":"../../etc/passwd"}'],
    ['a prototype', '{"__proto__":{"formatVersion":1}}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['too much', `"${'x'.repeat(60_000)}"`],
    ['more than is read', `"${'x'.repeat(70_000)}"`],
    ['more bytes than are read, in fewer letters', `"${'漢'.repeat(22_000)}"`],
  ])('a manifest that was edited to %s deletes nothing and is passed over', async (_what, text) => {
    const committed = await snapshot(0);
    const id = idFor(20, me);
    await storage.putSmall(dataKey(bare.run.prefix, id), 'data');
    await storage.putSmall(manifestKey(bare.run.prefix, id), text);
    expect(await prune(bare.run, storage, committed)).toMatchObject({ count: 1, deleted: 0, pruneError: '' });
    expect(await left()).toEqual(both(committed, id));
  });

  test('objects whose names are not ours stay, however old', async () => {
    const committed = await snapshot(0);
    for (const name of ['README', 'x.snap', '20200101T000000Z-zzzz0000.snap', '20200101T000000Z-00000000.snap.bak']) {
      await storage.putSmall(bare.run.prefix + name, '');
      await age(name, 400);
    }
    await storage.putSmall(`${bare.run.prefix}deeper/${idFor(400, me)}.snap`, '');
    await prune(bare.run, storage, committed);
    expect(await left()).toHaveLength(6);
  });

  test('does not run when the listing lacks what was just committed', async () => {
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2)];
    const inventory = await prune(bare.run, storage, idFor(0, me));
    expect(inventory).toMatchObject({
      count: 3,
      deleted: 0,
      pruneError: expect.stringContaining('listing does not show'),
    });
    expect(await left()).toEqual(both(...ids));
  });

  test.each([-6, 6])('does not run when the clocks are %d minutes apart', async (minutes) => {
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2)];
    const skewed: Storage = Object.create(storage, { clockAhead: { value: () => minutes * 60_000 } });
    // The directory has no clock of its own; everything else is the real one.
    for (const name of ['list', 'getSmall', 'delete', 'head'] as const)
      Object.assign(skewed, { [name]: storage[name].bind(storage) });
    const inventory = await prune(bare.run, skewed, ids[0] ?? '');
    expect(inventory).toMatchObject({ count: 3, deleted: 0, pruneError: expect.stringContaining('clock') });
  });

  test('tells a failure and what is left, and does not throw', async () => {
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2), await snapshot(3)];
    const failing: Storage = Object.create(storage);
    for (const name of ['list', 'getSmall', 'head', 'clockAhead'] as const)
      Object.assign(failing, { [name]: storage[name].bind(storage) });
    let deletes = 0;
    failing.delete = async (key) => {
      deletes += 1;
      if (deletes > 2) throw new Error('the store broke');
      await storage.delete(key);
    };
    const inventory = await prune(bare.run, failing, ids[0] ?? '');
    expect(inventory).toMatchObject({ count: 3, deleted: 1, pruneError: expect.stringContaining('the store broke') });
    expect(await left()).toEqual(both(...ids.slice(0, 3)));
  });
});

describe('data without a manifest', () => {
  test.each([
    [6, 3600, true],
    [8, 3600, false],
    [8, 5 * 86_400, true],
    [11, 5 * 86_400, false],
  ])('attack 7: of %d days, at a deadline of %d s, stays: %s', async (days, deadlineSeconds, stays) => {
    await bare.remove();
    await begin({ limits: { firstByteSeconds: 1, stallSeconds: 1, deadlineSeconds } });
    const committed = await snapshot(0);
    const orphan = `${idFor(90, { ...me, name: 'someone-else' })}.snap`;
    await storage.putSmall(bare.run.prefix + orphan, 'data');
    await age(orphan, days);
    await prune(bare.run, storage, committed);
    expect((await left()).includes(orphan)).toBe(stays);
  });
});

describe('unfinished uploads', () => {
  const leave = async (id: string, days: number): Promise<string> => {
    const name = `.${id}.snap.part`;
    await writeFile(join(bare.run.folders.volume, bare.run.prefix, name), 'half');
    await age(name, days);
    return name;
  };
  const files = () => readdir(join(bare.run.folders.volume, bare.run.prefix));

  test('F33, attack 7: of this owner go at once, of others when nobody can be at them any more, and nothing else does', async () => {
    const committed = await snapshot(0);
    const neighbour: Owner = { ...me, name: 'orders-hourly' };
    await leave(idFor(0, me), 0);
    const young = await leave(idFor(0, neighbour), 6);
    await leave(idFor(9, neighbour), 8);
    const strange = await leave('not-an-id', 400);
    await abortLeftUploads(bare.run, storage);
    expect((await files()).sort()).toEqual([strange, young, ...both(committed)].sort());
  });
});

describe('snapshots of a Kubernetes cluster that is gone', () => {
  const gone = { ...me, clusterUid: '0d0e0a0d-0000-4000-8000-000000000001' };
  const begun = (adopt: string[]) => begin({ retention: { keepLast: 2, adopt, maxDeletesPerRun: 10 } });

  test('attack 6: are counted and pruned as ours once they are adopted', async () => {
    await bare.remove();
    await begun([gone.clusterUid]);
    const ids = [await snapshot(0), await snapshot(1, { owner: gone }), await snapshot(2, { owner: gone })];
    expect(await prune(bare.run, storage, ids[0] ?? '')).toMatchObject({ count: 2, deleted: 1, foreign: 0 });
    expect(await left()).toEqual(both(...ids.slice(0, 2)));
  });

  test('attack 6: are never touched before, and are counted as foreign', async () => {
    await bare.remove();
    await begun(['0d0e0a0d-0000-4000-8000-000000000002']);
    const ids = [await snapshot(0)];
    for (const days of [1, 2, 3]) ids.push(await snapshot(days, { owner: gone }));
    expect(await prune(bare.run, storage, ids[0] ?? '')).toMatchObject({ count: 1, deleted: 0, foreign: 3 });
    expect(await left()).toEqual(both(...ids));
  });

  test('attack 6: of another namespace or name are not adopted with the cluster', async () => {
    await bare.remove();
    await begun([gone.clusterUid]);
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2, { owner: { ...gone, name: 'other' } })];
    expect(await prune(bare.run, storage, ids[0] ?? '')).toMatchObject({ count: 2, deleted: 0 });
    expect(await left()).toEqual(both(...ids));
  });
});

test('a pinned snapshot stays whatever its age, and a pin of one that is not there is told', async () => {
  await bare.remove();
  const pinned = idFor(300, me);
  await begin({ retention: { keepLast: 1, pin: [pinned, '20200101T000000Z-00000000'], maxDeletesPerRun: 10 } });
  const ids = [await snapshot(0), await snapshot(1), await snapshot(300, { id: pinned })];
  await prune(bare.run, storage, ids[0] ?? '');
  expect(await left()).toEqual(both(ids[0] ?? '', pinned));
  const told = bare.lines.find(({ msg }) => msg === 'pinned snapshots are not in storage');
  expect(told?.['missing']).toEqual(['20200101T000000Z-00000000']);
});

describe('a database that was made anew', () => {
  const of = (identity: string, since?: number): Made => ({
    over: { identity, ...(since === undefined ? {} : { identitySince: daysAgo(since).toISOString() }) },
  });

  test.each([
    [29, true],
    [31, false],
  ])('attack 23: %i days ago: the last snapshot of the one before is kept: %s', async (since, isKept) => {
    const ids = [
      await snapshot(0, of('new', since)),
      await snapshot(1, of('new', since)),
      await snapshot(40, of('old')),
    ];
    await prune(bare.run, storage, ids[0] ?? '');
    expect(await left()).toEqual(both(...ids.slice(0, isKept ? 3 : 2)));
  });

  test('is known from the manifests before, past those whose login could not read it', async () => {
    await snapshot(2, of('old', 9));
    await snapshot(1, of(''));
    expect(await identitySince(bare.run, storage, 'old')).toBe(daysAgo(9).toISOString());
    expect(await identitySince(bare.run, storage, 'new')).toBeUndefined();
  });

  test('counts from the dump that a manifest of before tells of, where it has no such line', async () => {
    await snapshot(5, of('old'));
    expect(await identitySince(bare.run, storage, 'old')).toBe(daysAgo(5).toISOString());
  });

  test('is not known from the snapshots of others', async () => {
    await snapshot(3, { ...of('old', 9), owner: { ...me, name: 'other' } });
    expect(await identitySince(bare.run, storage, 'old')).toBeUndefined();
  });
});
