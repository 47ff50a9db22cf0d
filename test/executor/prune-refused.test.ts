// Pruning where the store does not do as it is told: what it locks stays whole, and a failure tells what is known and no more.
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dataKey, manifestKey, snapshotId } from '../../crds/rules/names.ts';
import { RunError } from '../../executor/errors.ts';
import { prune } from '../../executor/prune.ts';
import { openStorage } from '../../executor/storage/open.ts';
import { ObjectLocked, type Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { storeSnapshot } from './stored-snapshot.ts';

const now = new Date('2026-03-31T02:00:00Z');

let bare: BareRun;
let storage: Storage;

async function begin(retention = { keepLast: 2, maxDeletesPerRun: 10 }): Promise<void> {
  const task = taskFor({ kind: 'directory', claimName: 'backups' }, {}, { time: now.toISOString(), retention });
  bare = await bareRun(task, { now: () => now });
  storage = await openStorage(bare.run);
}

beforeEach(() => begin());
afterEach(() => bare.remove());

/** The id of a snapshot whose window is so many days ago. */
const snapshot = async (days: number): Promise<string> =>
  (await storeSnapshot(bare.run, storage, { day: 31 - days })).id;

async function left(): Promise<string[]> {
  const names: string[] = [];
  for await (const { key } of storage.list(bare.run.prefix)) names.push(key.slice(bare.run.prefix.length));
  return names.sort();
}

async function age(name: string, days: number): Promise<void> {
  const then = new Date(now.getTime() - days * 86_400_000);
  await utimes(join(bare.run.folders.volume, bare.run.prefix, name), then, then);
}

const both = (...ids: string[]) => ids.flatMap((id) => [`${id}.snap`, `${id}.snap.json`]).sort();

describe('a store that fails', () => {
  test('leaves a snapshot deleted whose manifest went before its data could not be', async () => {
    const ids = [await snapshot(0), await snapshot(1), await snapshot(2)];
    const remove = storage.delete.bind(storage);
    storage.delete = async (key) => {
      if (key.endsWith('.snap')) throw new Error('the store broke');
      await remove(key);
    };
    const inventory = await prune(bare.run, storage, ids[0] ?? '');
    expect(inventory).toMatchObject({ count: 2, deleted: 1, pruneError: expect.stringContaining('the store broke') });
    expect(inventory.snapshots?.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  });

  test('leaves nothing to tell but that when it cannot list', async () => {
    const committed = await snapshot(0);
    storage.list = () => {
      throw new RunError('StorageUnreachable', 'list "p/": HTTP 503');
    };
    expect(await prune(bare.run, storage, committed)).toEqual({ pruneError: 'prune: list "p/": HTTP 503' });
  });
});

test('a listing that leaves a manifest out: its data stays, and that is said', async () => {
  const [newest, hidden, orphan] = [await snapshot(0), await snapshot(20), await snapshot(21)];
  for (const id of [hidden, orphan]) await age(`${id}.snap`, 20);
  await storage.delete(manifestKey(bare.run.prefix, orphan));
  const list = storage.list.bind(storage);
  storage.list = async function* (prefix) {
    for await (const object of list(prefix)) if (object.key !== manifestKey(prefix, hidden)) yield object;
  };
  expect(await prune(bare.run, storage, newest)).toMatchObject({ count: 1, deleted: 0, pruneError: '' });
  storage.list = list;
  expect(await left()).toEqual(both(newest, hidden));
  expect(bare.lines).toContainEqual(
    expect.objectContaining({ key: dataKey(bare.run.prefix, hidden), msg: expect.stringContaining('data is left') }),
  );
});

describe('a bucket that locks its objects', () => {
  const until = new Date('2026-04-30T00:00:00Z');

  /** The same store, whose delete finds these locked: what the S3 store does with a real lock is in the integration tests. */
  const locking = (ids: readonly string[]): Storage => {
    const remove = storage.delete.bind(storage);
    storage.delete = async (key) => {
      if (ids.some((id) => key.includes(id))) throw new ObjectLocked(key, until);
      await remove(key);
    };
    return storage;
  };

  test('keeps what it locks whole, and that is told and is no error', async () => {
    const [new_, kept, old, older] = [await snapshot(0), await snapshot(1), await snapshot(2), await snapshot(3)];
    const inventory = await prune(bare.run, locking([old]), new_);
    expect(inventory).toMatchObject({ count: 3, deleted: 1, locked: 1, pruneError: '' });
    expect(await left()).toEqual(both(new_, kept, old));
    expect(await left()).not.toContain(`${older}.snap`);
    expect(bare.lines).toContainEqual(
      expect.objectContaining({ id: old, until: until.toISOString(), msg: expect.stringContaining('still locked') }),
    );
  });

  test('does not let a locked one stand before those that can go', async () => {
    await bare.remove();
    await begin({ keepLast: 1, maxDeletesPerRun: 1 });
    const [new_, free, locked] = [await snapshot(0), await snapshot(2), await snapshot(3)];
    expect(await prune(bare.run, locking([locked]), new_)).toMatchObject({ deleted: 1, locked: 1 });
    expect(await left()).toEqual(both(new_, locked));
    expect(await left()).not.toContain(`${free}.snap`);
  });

  test('keeps a snapshot whole of which it holds the data alone', async () => {
    const [new_, kept, held] = [await snapshot(0), await snapshot(1), await snapshot(2)];
    const data = dataKey(bare.run.prefix, held);
    const remove = storage.delete.bind(storage);
    storage.locked = async (key) => (key === data ? new ObjectLocked(key) : undefined);
    storage.delete = async (key) => {
      if (key === data) throw new ObjectLocked(key);
      await remove(key);
    };
    const inventory = await prune(bare.run, storage, new_);
    expect(inventory).toMatchObject({ count: 3, deleted: 0, locked: 1, pruneError: '' });
    expect(await left()).toEqual(both(new_, kept, held));
  });

  test('keeps data without a manifest as long as it locks it', async () => {
    const new_ = await snapshot(0);
    const then = new Date(now.getTime() - 20 * 86_400_000);
    const orphan = snapshotId(then, bare.run.task.owner, 'ffff');
    await storage.putSmall(dataKey(bare.run.prefix, orphan), 'data');
    await age(`${orphan}.snap`, 20);
    expect(await prune(bare.run, locking([orphan]), new_)).toMatchObject({ pruneError: '' });
    expect(await left()).toContain(`${orphan}.snap`);
  });
});
