// Retention without a backup before it: the same rules, and whatever speaks against deleting is a failure that tells what was done until then.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PruneFailed, pruneAlone } from '../../executor/prune.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { dump, storeSnapshot } from './stored-snapshot.ts';

let bare: BareRun;
let storage: Storage;
let ids: string[];

beforeEach(async () => {
  const retention = { keepLast: 2, maxDeletesPerRun: 2 };
  bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}, { retention }), {
    now: () => new Date('2026-03-31T00:00:00Z'),
  });
  storage = await openStorage(bare.run);
  ids = [];
  for (const day of [1, 2, 3, 4, 5]) ids.unshift((await storeSnapshot(bare.run, storage, { day, plain: dump(1) })).id);
});
afterEach(() => bare.remove());

const names = async () => (await readdir(join(bare.run.folders.volume, bare.run.prefix))).sort();
const both = (...kept: (string | undefined)[]) => kept.flatMap((id) => [`${id}.snap`, `${id}.snap.json`]).sort();
const failing = (over: Partial<Storage>, newest = '') =>
  pruneAlone(bare.run, Object.assign(storage, over), newest).catch((error: unknown) => error);

test('deletes what no rule keeps, as many as one run may, and counts', async () => {
  expect(await pruneAlone(bare.run, storage, ids[0] ?? '')).toMatchObject({ count: 3, deleted: 2, pruneError: '' });
  expect(await names()).toEqual(both(ids[0], ids[1], ids[2]));
  expect(await pruneAlone(bare.run, storage, '')).toMatchObject({ count: 2, deleted: 1 });
  expect(await pruneAlone(bare.run, storage, '')).toMatchObject({ count: 2, deleted: 0 });
  expect(await names()).toEqual(both(ids[0], ids[1]));
});

test('deletes nothing when the listing lacks the newest snapshot that is known', async () => {
  const error = await failing({}, '20260306T010000Z-1a2b3c4d');
  expect(error).toBeInstanceOf(PruneFailed);
  expect(error).toMatchObject({
    reason: 'SnapshotNotFound',
    message: expect.stringContaining('does not show "20260306T010000Z-1a2b3c4d", the newest that is known'),
    inventory: { count: 5, deleted: 0 },
  });
  expect(await names()).toEqual(both(...ids));
});

test.each([400_000, -400_000])('deletes nothing when the clocks are %d ms apart', async (ahead) => {
  const error = await failing({ clockAhead: () => ahead }, ids[0]);
  expect(error).toMatchObject({ reason: 'ConfigInvalid', inventory: { count: 5, deleted: 0 } });
  expect(await names()).toEqual(both(...ids));
});

test('tells what it had deleted when the store refuses the rest', async () => {
  const remove = storage.delete.bind(storage);
  const error = await failing({
    delete: async (key) => {
      if (key.includes(ids[3] ?? '')) throw Object.assign(new Error('refused'), { code: 'EACCES' });
      await remove(key);
    },
  });
  expect(error).toMatchObject({ reason: 'StorageDenied', inventory: { count: 4, deleted: 1 } });
  expect(await names()).toEqual(both(ids[0], ids[1], ids[2], ids[3]));
});
