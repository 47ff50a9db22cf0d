// Pruning on a volume, which has no clock of its own and may know no links: ages count from the run's own time, and what was killed between
// a name and its content is no commit.
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { snapshotId } from '../../crds/rules/names.ts';
import { abortLeftUploads } from '../../executor/leftovers.ts';
import { prune } from '../../executor/prune.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { dump, storeSnapshot } from './stored-snapshot.ts';

const day = 86_400_000;
/** Of the run's window. */
const time = '2026-03-31T01:00:00Z';

let bare: BareRun;
let storage: Storage;
let folder: string;

async function begin(now: Date): Promise<void> {
  const retention = { keepWithin: '20d', maxDeletesPerRun: 10 };
  bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}, { time, retention }), {
    now: () => now,
  });
  storage = await openStorage(bare.run);
  folder = join(bare.run.folders.volume, bare.run.prefix);
}

afterEach(() => bare.remove());

const snapshot = async (ofMarch: number): Promise<string> =>
  (await storeSnapshot(bare.run, storage, { day: ofMarch, plain: dump(1) })).id;
const both = (...ids: string[]) => ids.flatMap((id) => [`${id}.snap`, `${id}.snap.json`]);
const files = async () => (await readdir(folder)).sort();

/** A file that was last written so many days before the window. */
async function leave(name: string, content: string, days: number): Promise<string> {
  await writeFile(join(folder, name), content);
  const then = new Date(Date.parse(time) - days * day);
  await utimes(join(folder, name), then, then);
  return name;
}

describe('on a node whose clock is a year ahead', () => {
  beforeEach(() => begin(new Date(Date.parse(time) + 365 * day)));

  test('deletes nothing that is young by the time of the run', async () => {
    const [old, ...young] = [await snapshot(10), await snapshot(12), await snapshot(20), await snapshot(31)];
    expect(await prune(bare.run, storage, young[2] ?? '')).toMatchObject({ count: 3, deleted: 1, pruneError: '' });
    expect(await files()).toEqual(both(...young).sort());
    expect(old).toMatch(/^20260310/);
  });

  test("leaves another backup's data and its upload, which may be under way", async () => {
    const newest = await snapshot(31);
    const other = { ...bare.run.task.owner, name: 'orders-hourly' };
    const id = snapshotId(new Date(time), other, '0001');
    const left = [await leave(`${id}.snap`, 'data', 0), await leave(`.${id}.snap.part`, 'half', 0)];
    await abortLeftUploads(bare.run, storage);
    await prune(bare.run, storage, newest);
    expect(await files()).toEqual([...both(newest), ...left].sort());
  });
});

test('without links, a manifest whose writer was killed before it had its content is no commit', async () => {
  await begin(new Date(time));
  const newest = await snapshot(31);
  const id = snapshotId(new Date('2026-03-02T01:00:00Z'), bare.run.task.owner, '0001');
  const data = await leave(`${id}.snap`, 'data', 29);
  // The name was taken, and the file with the content has not got it yet.
  await leave(`${id}.snap.json`, '', 29);
  await leave(`.${id}.snap.json.part`, '{"formatVersion":1}', 29);
  await abortLeftUploads(bare.run, storage);
  expect(await files()).toEqual([...both(newest), data].sort());
  await prune(bare.run, storage, newest);
  expect(await files()).toEqual(both(newest).sort());
});
