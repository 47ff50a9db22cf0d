// What list tells of a place with everything in it, and what verify finds wrong with a snapshot. On a real directory; nothing is ever written.
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Inventory } from '../../crds/rules/contract.ts';
import type { Listed, Verified, VerifyOrder } from '../../crds/rules/contract-commands.ts';
import type { Manifest } from '../../crds/rules/manifest.ts';
import { list } from '../../executor/list.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { verify } from '../../executor/verify.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';
import { dump, type Stored, storeSnapshot } from './stored-snapshot.ts';

let bare: BareRun;
let storage: Storage;
beforeEach(async () => {
  bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}));
  storage = await openStorage(bare.run);
});
afterEach(() => bare.remove());

const store = (wanted?: Stored): Promise<Manifest> => storeSnapshot(bare.run, storage, wanted);
const fileOf = (key: string): string => join(bare.run.folders.volume, key);

/** Every file of the volume with its time and digest. */
async function everything(): Promise<string[]> {
  const entries = await readdir(bare.run.folders.volume, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.sort().map(async (file) => {
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      return `${file} ${(await stat(file)).mtimeMs} ${digest}`;
    }),
  );
}

async function listed(): Promise<{ told: Listed; inventory: Inventory; lines: Record<string, unknown>[] }> {
  const before = await everything();
  let result: { told: Listed; inventory: Inventory } | undefined;
  await list(bare.run, (told, inventory) => {
    result = { told, inventory };
  });
  expect(await everything()).toEqual(before);
  if (result === undefined) throw new Error('nothing was told');
  return { ...result, lines: bare.lines.filter((line) => 'listed' in line) };
}

const withKey = async (identity: string): Promise<VerifyOrder> => {
  await writeFile(join(bare.run.folders.identity, 'key.txt'), `${identity}\n`);
  return { command: 'verify', choice: { latest: true }, identity: { secret: 'age-identity', key: 'key.txt' } };
};

async function verified(order: VerifyOrder = { command: 'verify', choice: { latest: true } }): Promise<Verified> {
  const before = await everything();
  let result: Verified | undefined;
  try {
    await verify(bare.run, order, (told) => {
      result = told;
    });
  } finally {
    expect(await everything()).toEqual(before);
  }
  if (result === undefined) throw new Error('nothing was told');
  return result;
}

describe('list', () => {
  test('tells every snapshot with whose it is, and what is none and why', async () => {
    const { owner } = bare.run.task;
    const old = await store({ day: 1 });
    const encrypted = await store({ day: 3, recipients: [await identityToRecipient(await generateIdentity())] });
    const foreign = await store({ day: 2, owner: { ...owner, clusterUid: 'uid-of-another' } });
    const neighbour = await store({ day: 4, owner: { ...owner, name: 'orders-hourly' } });
    const short = await store({ day: 5 });
    await truncate(fileOf(short.key), 10);
    const lost = await store({ day: 6 });
    await rm(fileOf(lost.key));
    const orphan = await store({ day: 7 });
    await rm(fileOf(`${orphan.key}.json`));
    const edited = await store({ day: 8, over: { key: '../../etc/passwd' } });
    const huge = await store({ day: 9 });
    await writeFile(fileOf(`${huge.key}.json`), ' '.repeat(70_000));
    await writeFile(join(fileOf(bare.run.prefix), 'notes.txt'), 'not ours');

    const { told, inventory, lines } = await listed();
    expect(told).toEqual({
      ...{ outcome: 'Succeeded', command: 'list', own: 2, foreign: 1, neighbours: 1, orphans: 1, broken: 4 },
      storedBytes: old.storedSize + encrypted.storedSize,
    });
    expect(inventory).toMatchObject({
      snapshots: [
        { id: encrypted.id, size: encrypted.storedSize },
        { id: old.id, size: old.storedSize },
      ],
      ...{ count: 2, deleted: 0, foreign: 1 },
    });
    const byId = Object.fromEntries(lines.map((line) => [line['id'], line]));
    expect(byId[old.id]).toMatchObject({
      ...{ listed: 'own', key: old.key, owner, window: old.time, size: old.plainSize, sha256: old.storedSha256 },
      encrypted: false,
    });
    expect(byId[encrypted.id]).toMatchObject({ listed: 'own', encrypted: true });
    expect(byId[foreign.id]).toMatchObject({ listed: 'foreign', owner: { clusterUid: 'uid-of-another' } });
    expect(byId[neighbour.id]).toMatchObject({ listed: 'neighbour', owner: { name: 'orders-hourly' } });
    expect(byId[orphan.id]).toMatchObject({ listed: 'orphan', storedSize: orphan.storedSize });
    expect(byId[short.id]).toMatchObject({ listed: 'broken', why: expect.stringContaining('its data has 10 bytes') });
    expect(byId[lost.id]).toMatchObject({ listed: 'broken', why: 'its data is gone' });
    expect(byId[edited.id]).toMatchObject({ listed: 'broken', why: expect.stringContaining('another key') });
    expect(byId[huge.id]).toMatchObject({ listed: 'broken', why: expect.stringContaining('70000 bytes') });
    expect(lines).toHaveLength(9);
  });

  test('tells of nothing where nothing is, and names 25 at most in its result', async () => {
    expect((await listed()).told).toMatchObject({ own: 0, broken: 0, storedBytes: 0 });
    for (let day = 1; day <= 28; day += 1) await store({ day, plain: dump(1) });
    const { told, inventory, lines } = await listed();
    expect(told.own).toBe(28);
    expect(inventory.snapshots).toHaveLength(25);
    expect(inventory.count).toBe(28);
    expect(lines).toHaveLength(28);
  });
});

describe('verify', () => {
  const failing = (order?: VerifyOrder) => verified(order).catch((error: unknown) => error);

  test.each(['zstd', 'gzip', 'none'] as const)(
    'a whole snapshot packed with %s is opened to its end',
    async (compression) => {
      await store({ day: 1 });
      const newest = await store({ day: 2, compression });
      expect(await verified()).toMatchObject({ id: newest.id, opened: true, sha256: newest.storedSha256 });
    },
  );

  test('an encrypted one is opened with an identity, and compared without one', async () => {
    const identity = await generateIdentity();
    const { id } = await store({ recipients: [await identityToRecipient(identity)] });
    expect(await verified()).toMatchObject({ id, opened: false });
    expect(await verified(await withKey(identity))).toMatchObject({ id, opened: true });
  });

  test('one is named by its id, whoever owns it', async () => {
    const mine = await store({ day: 1 });
    const foreign = await store({ day: 2, owner: { ...bare.run.task.owner, clusterUid: 'uid-of-another' } });
    for (const { id } of [mine, foreign])
      expect(await verified({ command: 'verify', choice: { snapshot: id } })).toMatchObject({ id });
  });

  test('the newest of our own is meant, also while snapshots of an old identity are there', async () => {
    const { owner } = bare.run.task;
    await store({ day: 1 });
    const { id } = await store({ day: 2, over: { identity: '7300000000000000002/16384' } });
    await store({ day: 3, owner: { ...owner, clusterUid: 'uid-of-another' } });
    expect(await verified()).toMatchObject({ id });
    expect(await verified({ command: 'verify', choice: { asOf: '2026-03-03T12:00:00Z' } })).toMatchObject({ id });
  });

  test('bytes that are others than were committed are found with and without an identity', {
    timeout: 60_000,
  }, async () => {
    const identity = await generateIdentity();
    const flip = (bytes: Buffer): Buffer => {
      const flipped = Buffer.from(bytes);
      flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 1;
      return flipped;
    };
    const recipients = [await identityToRecipient(identity)];
    // In the large one the broken block is opened long before the digest of all is known.
    for (const [day, plain] of [dump(), Buffer.alloc(9_000_000)].entries()) {
      await store({ day: day + 1, plain, compression: 'none', recipients, change: flip });
      expect(await failing()).toMatchObject({ reason: 'DigestMismatch' });
      expect(await failing(await withKey(identity))).toMatchObject({ reason: 'DigestMismatch' });
    }
  });

  test('an object that is shorter or longer than its manifest tells is no snapshot', async () => {
    const { id } = await store({ change: (bytes) => bytes.subarray(1) });
    expect(await failing({ command: 'verify', choice: { snapshot: id } })).toMatchObject({
      reason: 'DigestMismatch',
    });
    expect(await failing()).toMatchObject({ reason: 'SnapshotNotFound' });
    const longer = await store({ day: 2, change: (bytes) => Buffer.concat([bytes, bytes]) });
    expect(await failing({ command: 'verify', choice: { snapshot: longer.id } })).toMatchObject({
      reason: 'DigestMismatch',
    });
  });

  test('a snapshot that opens to other bytes than were dumped is found', async () => {
    await store({ over: { plainSha256: 'f'.repeat(64) } });
    expect(await failing()).toMatchObject({
      reason: 'DigestMismatch',
      message: expect.stringContaining('plain bytes'),
    });
    await store({ day: 2, over: { plainSize: 1_000_000 } });
    expect(await failing()).toMatchObject({ reason: 'DigestMismatch' });
  });

  test('a bomb is refused when it has more bytes than its manifest tells', async () => {
    await store({ plain: Buffer.alloc(50_000_000), over: { plainSize: 10 } });
    expect(await failing()).toMatchObject({
      reason: 'DigestMismatch',
      message: expect.stringContaining('more than the 10 bytes'),
    });
  });

  test('what was stored whole and is no whole dump is found by its end marker', async () => {
    await store({ plain: dump().subarray(0, -1) });
    expect(await failing()).toMatchObject({
      reason: 'VerifyFailed',
      message: expect.stringContaining('before its last block'),
    });
    await store({ day: 2, plain: Buffer.from('select 1;') });
    expect(await failing()).toMatchObject({ reason: 'VerifyFailed' });
  });

  test('another identity is told before anything is opened, a wrong Secret before anything is read', async () => {
    const { recipients } = await store({ recipients: [await identityToRecipient(await generateIdentity())] });
    expect(await failing(await withKey(await generateIdentity()))).toMatchObject({
      reason: 'DecryptFailed',
      message: expect.stringContaining(recipients[0] ?? 'no recipient'),
    });
    const recipient = await identityToRecipient(await generateIdentity());
    expect(await failing(await withKey(recipient))).toMatchObject({
      reason: 'SecretInvalid',
      message: expect.stringContaining('holds a recipient'),
    });
    const order = await withKey('x');
    await rm(join(bare.run.folders.identity, 'key.txt'));
    expect(await failing(order)).toMatchObject({
      reason: 'SecretInvalid',
      message: 'read Secret "age-identity": key "key.txt" is missing or empty',
    });
  });

  test('none there, and what is none, are told as such', async () => {
    expect(await failing()).toMatchObject({
      reason: 'SnapshotNotFound',
      message: expect.stringContaining('there is none'),
    });
    const { id, key } = await store();
    await rm(fileOf(`${key}.json`));
    const ask = (snapshot: string) => failing({ command: 'verify', choice: { snapshot } });
    expect(await ask(id)).toMatchObject({ message: expect.stringContaining('never committed') });
    expect(await ask('20260301T010000Z-ffffffff')).toMatchObject({ message: expect.stringContaining('there is none') });
    expect(await ask('../../etc/passwd')).toMatchObject({
      message: expect.stringContaining('not the id of a snapshot'),
    });
  });
});
