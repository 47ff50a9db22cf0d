// F39 to F41: two runs at one key, listings that are older than the store, and deletions that stop anywhere or happen twice. What is left is
// always a snapshot as a whole, or none.
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { commit } from '../../executor/commit.ts';
import { describe as describeSnapshot } from '../../executor/describe.ts';
import { prune } from '../../executor/prune.ts';
import type { Run } from '../../executor/run.ts';
import type { Storage, StoredObject } from '../../executor/storage/storage.ts';
import {
  archiveOf,
  type BarePlace,
  isDelete,
  isList,
  isManifest,
  type Store,
  startStore,
} from '../executor/bare-backup.ts';
import type { BareRun } from '../executor/bare-run.ts';

/** What a run draws for its key, where a test says so. */
const drawn = vi.hoisted(() => ({ next: undefined as Buffer | undefined }));
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof import('node:crypto')>();
  return { ...real, randomBytes: (size: number) => drawn.next?.subarray(0, size) ?? real.randomBytes(size) };
});

let store: Store;

beforeAll(async () => {
  store = await startStore();
});
afterAll(async () => store?.stop());
afterEach(() => {
  drawn.next = undefined;
  store.proxy.onRequest = () => 'pass';
});

const raw: Partial<Task> = { compression: { algorithm: 'none', level: 0 } };
const retention = { keepLast: 2, maxDeletesPerRun: 10 };
const on = (day: number): Partial<Task> => ({ time: `2026-03-0${day}T01:00:00Z` });
const both = (ids: string[]): string[] => ids.flatMap((id) => [`${id}.snap`, `${id}.snap.json`]).sort();
const idOf = (day: number): string => `2026030${day}T010000Z-aaaa000${day}`;

/** A committed snapshot of a few bytes. */
async function snapshot({ run }: BareRun, storage: Storage, day: number): Promise<string> {
  const id = idOf(day).replace('aaaa', ownDigits);
  const dayRun: Run = { ...run, task: { ...run.task, ...on(day) } };
  const passed = { id, plainSize: 4, plainSha256: '0'.repeat(64), storedSize: 4, storedSha256: '0'.repeat(64) };
  await storage.putSmall(`${run.prefix}${id}.snap`, 'data');
  await commit(dayRun, storage, await describeSnapshot(dayRun, storage, passed, new Date(dayRun.task.time)));
  return id;
}

/** What a store answers to a question for a listing. */
function listingOf(objects: readonly StoredObject[]): string {
  const contents = objects.map(
    ({ key, size, modifiedAt }) =>
      `<Contents><Key>${key}</Key><Size>${size}</Size><LastModified>${modifiedAt.toISOString()}</LastModified></Contents>`,
  );
  const head = `<Name>backups</Name><KeyCount>${objects.length}</KeyCount><IsTruncated>false</IsTruncated>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>${head}${contents.join('')}</ListBucketResult>`;
}

let ownDigits = '';

beforeAll(async () => {
  const { run } = await store.place().run();
  const { ownerDigits } = await import('../../crds/rules/names.ts');
  ownDigits = ownerDigits(run.task.owner);
});

describe('F41 pruning', () => {
  const days = [1, 2, 3, 4, 5];
  const deletes = 6;

  async function stocked(place: BarePlace, bare: BareRun): Promise<string[]> {
    const { storage } = await place.look();
    const ids: string[] = [];
    for (const day of days) ids.push(await snapshot(bare, storage, day));
    return ids;
  }

  /** No manifest without its data: what looks like a snapshot is one. */
  function expectWhole(names: string[], what: string): void {
    const alone = names.filter((name) => name.endsWith('.json') && !names.includes(name.replace(/\.json$/, '')));
    expect(alone, what).toEqual([]);
  }

  test.each(['reset', 'lose-answer'] as const)(
    'F41 that dies at any of its deletions, %s, leaves whole snapshots, and the next one ends its work',
    async (fault) => {
      for (let last = 1; last <= deletes; last++) {
        const what = `dies at deletion ${last}`;
        const place = store.place();
        const bare = await place.run({ ...raw, retention });
        const ids = await stocked(place, bare);
        let seen = 0;
        // From the fault on nothing arrives any more: to the store that is a process that has died.
        store.proxy.onRequest = (request) => {
          if (isDelete(request)) seen += 1;
          if (seen < last) return 'pass';
          return seen === last && isDelete(request) ? fault : 'reset';
        };
        const dying = await prune(bare.run, await place.storage(bare, 1), ids.at(-1) ?? '');
        expect(dying.pruneError, what).not.toBe('');
        store.proxy.onRequest = () => 'pass';
        const half = await place.names();
        expectWhole(half, what);
        expect(half, what).toEqual(expect.arrayContaining(both(ids.slice(-2))));

        const again = await prune(bare.run, await place.storage(bare), ids.at(-1) ?? '');
        expect(again, what).toMatchObject({ pruneError: '', count: 2 });
        const left = await place.names();
        expect(
          left.filter((name) => name.endsWith('.json')),
          what,
        ).toEqual(ids.slice(-2).map((id) => `${id}.snap.json`));
        // Data that lost its manifest is no snapshot; it goes when nobody can be writing it any more.
        expect(left.length - 4, what).toBeLessThanOrEqual(1);
        const old = new Date(Date.now() - 9 * 86_400_000);
        for (const name of left.slice(0, -4))
          await utimes(join(store.s3.directory, 'backups', bare.run.prefix, name), old, old);
        await prune(bare.run, await place.storage(bare), ids.at(-1) ?? '');
        expect(await place.names(), what).toEqual(both(ids.slice(-2)));
      }
    },
  );

  test('F41 that runs twice at once deletes what one would, and neither fails', async () => {
    const place = store.place();
    const bare = await place.run({ ...raw, retention });
    const ids = await stocked(place, bare);
    const storages = [await place.storage(bare), await place.storage(bare)];
    const ends = await Promise.all(storages.map((storage) => prune(bare.run, storage, ids.at(-1) ?? '')));
    for (const end of ends) expect(end).toMatchObject({ pruneError: '', count: 2 });
    expect(await place.names()).toEqual(both(ids.slice(-2)));
  });

  test('F41, attack 7: that meets a backup under way leaves its data and its upload alone', async () => {
    const place = store.place();
    const bare = await place.run({ ...raw, retention });
    const ids = await stocked(place, bare);
    const { storage, prefix } = await place.look();
    // Of an older window than all that is kept, and of another owner below the same prefix.
    const strange = `20200101T000000Z-${ownDigits === 'ffff' ? '0000' : 'ffff'}0001.snap`;
    const committing = `20200101T000000Z-${ownDigits}0001.snap`;
    for (const name of [strange, committing]) await storage.putSmall(prefix + name, 'data');
    const callOff = new AbortController();
    const begun = Promise.withResolvers<void>();
    async function* dump(): AsyncGenerator<Buffer, void, void> {
      yield Buffer.alloc(9 * 1_048_576);
      begun.resolve();
      await new Promise((_, fail) => callOff.signal.addEventListener('abort', fail, { once: true }));
    }
    const options = { signal: callOff.signal, expectedBytes: 0 };
    const uploading = storage.put(`${prefix}20200101T000000Z-${ownDigits}0002.snap`, dump(), options).catch(() => {});
    await begun.promise;
    await vi.waitFor(async () => expect(await place.pending()).toBe(1), { timeout: 30_000 });
    expect(await prune(bare.run, await place.storage(bare), ids.at(-1) ?? '')).toMatchObject({ deleted: 3 });
    expect(await place.names()).toEqual([...both(ids.slice(-2)), strange, committing].sort());
    expect(await place.pending()).toBe(1);
    callOff.abort(new Error('over'));
    await uploading;
  });
});

describe('F40 a cache before the store', () => {
  test('F40 that lists what was there before the commit has nothing deleted', async () => {
    const place = store.place({ ...raw, retention: { keepLast: 1, maxDeletesPerRun: 10 } });
    const played = { bytes: archiveOf(100_000), exit: '0 -' };
    await place.backup(await place.run(on(1)), played);
    const bare = await place.run(on(2));
    const storage = await place.storage(bare);
    for await (const _ of storage.list(bare.run.prefix));
    store.proxy.onRequest = (request) => (isList(request) ? 'stale' : 'pass');
    const told = await place.backup(bare, played);
    expect(told?.inventory).toMatchObject({ deleted: 0, pruneError: expect.stringContaining('does not show') });
    expect(await place.names()).toHaveLength(4);
  });

  test('F40 that lists snapshots which are gone counts none of them as kept', async () => {
    const place = store.place();
    const bare = await place.run({ ...raw, retention });
    const { storage } = await place.look();
    const ids: string[] = [];
    for (const day of [1, 2, 3, 4]) ids.push(await snapshot(bare, storage, day));
    const seen = await place.storage(bare);
    for await (const _ of seen.list(bare.run.prefix));
    // Gone since: the two before the newest. With them there would be two to keep without the oldest.
    for (const id of ids.slice(1, 3)) for (const name of both([id])) await storage.delete(`${bare.run.prefix}${name}`);
    store.proxy.onRequest = (request) => (isList(request) ? 'stale' : 'pass');
    expect(await prune(bare.run, seen, ids[3] ?? '')).toMatchObject({ deleted: 0, count: 2 });
    expect(await place.names()).toEqual(both([ids[0] ?? '', ids[3] ?? '']));
  });
});

test('F40 a listing that leaves one old manifest out costs its data nothing', async () => {
  const place = store.place();
  const bare = await place.run({ ...raw, retention: { keepLast: 9, maxDeletesPerRun: 10 } });
  const { storage, prefix } = await place.look();
  const ids: string[] = [];
  for (const day of [1, 2, 3]) ids.push(await snapshot(bare, storage, day));
  const [hidden = '', orphan = '', newest = ''] = ids;
  await storage.delete(`${prefix}${orphan}.snap.json`);
  const old = new Date(Date.now() - 9 * 86_400_000);
  for (const id of [hidden, orphan]) await utimes(join(store.s3.directory, 'backups', `${prefix}${id}.snap`), old, old);
  const objects: StoredObject[] = [];
  for await (const object of storage.list(prefix))
    if (object.key !== `${prefix}${hidden}.snap.json`) objects.push(object);
  store.proxy.onRequest = (request) => (isList(request) ? { status: 200, body: listingOf(objects) } : 'pass');
  const left = { pruneError: '', deleted: 0, count: 1 };
  expect(await prune(bare.run, await place.storage(bare), newest)).toMatchObject(left);
  expect(await place.names()).toEqual(both([hidden, newest]));
  expect(bare.lines).toContainEqual(expect.objectContaining({ key: `${prefix}${hidden}.snap`, level: 40 }));
});

describe('F39 two executors that draw the same key', () => {
  test.each([
    ['of one piece', 100_000],
    ['in parts', 9 * 1_048_576],
  ])('F39 and race with objects %s: one is whole, the other fails and touches nothing', async (_what, size) => {
    drawn.next = Buffer.from([0x0a, 0x0b]);
    const place = store.place(raw);
    const runs = [await place.run(on(1)), await place.run(on(1))];
    const ends = await Promise.allSettled(
      runs.map((bare, n) => place.backup(bare, { bytes: archiveOf(size * (n + 1)), exit: '0 -' })),
    );
    const won = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value?.run] : []));
    const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    expect(won).toMatchObject([{ outcome: 'Succeeded' }]);
    expect(lost).toMatchObject([{ reason: 'UploadFailed', message: expect.stringContaining('the name is taken') }]);
    const [winner] = won;
    if (winner?.outcome !== 'Succeeded') throw new Error('nobody won');
    expect(await place.names()).toEqual(both([winner.id]));
    const { storage } = await place.look();
    expect((await storage.head(winner.key))?.size).toBe(winner.storedSize);
    expect(await place.pending()).toBe(0);
  });

  test('F39 and meet at the manifest: the second leaves what the first committed', async () => {
    const place = store.place(raw);
    const bare = await place.run();
    const { storage } = await place.look();
    const id = await snapshot(bare, storage, 1);
    const before = await storage.getSmall(`${bare.run.prefix}${id}.snap.json`, 65_536);
    const other = await place.run();
    const passed = { id, plainSize: 9, plainSha256: '1'.repeat(64), storedSize: 4, storedSha256: '1'.repeat(64) };
    const late = await describeSnapshot({ ...other.run, jobUid: 'job-2' }, storage, passed, new Date());
    await expect(commit(other.run, await place.storage(other), late)).rejects.toMatchObject({ reason: 'UploadFailed' });
    expect(await place.names()).toEqual(both([id]));
    expect(await storage.getSmall(`${bare.run.prefix}${id}.snap.json`, 65_536)).toEqual(before);
  });
});

test('attack 38: a prefix that begins like ours, and what lies deeper, is no part of our stock', async () => {
  const place = store.place({ ...raw, pathPrefix: 'x', retention: { keepLast: 1, maxDeletesPerRun: 10 } });
  const bare = await place.run();
  const { storage } = await place.look();
  const id = await snapshot(bare, storage, 5);
  const { run } = await place.run({ pathPrefix: bare.run.prefix.slice(0, -1) });
  const deeper = { ...bare, run };
  const beside = { ...bare, run: { ...bare.run, prefix: `${bare.run.prefix.slice(0, -1)}-2/` } };
  const others = [await snapshot(deeper, storage, 1), await snapshot(beside, storage, 1)];
  const from = store.proxy.seen.length;
  expect(await prune(bare.run, await place.storage(bare), id)).toMatchObject({ count: 1, deleted: 0, foreign: 0 });
  for (const [n, { run: other }] of [deeper, beside].entries())
    expect(await storage.head(`${other.prefix}${others[n]}.snap`)).toBeDefined();
  const read = store.proxy.seen.slice(from).filter(isManifest);
  expect(read.map(({ path }) => path.includes(`/${bare.run.prefix}${id}`))).toEqual([true]);
});
