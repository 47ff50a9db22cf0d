// Which snapshot `latest` and `asOf` mean, above all what they must never mean: a dump of the empty database that is to be filled.
import { describe, expect, test } from 'vitest';
import { type Candidate, type Choice, select, type Wanted } from '../../../crds/rules/selection.ts';

const here = 'uid-here';
const lost = 'uid-lost';
const before = '7300000000000000001/16384';
const now = '7300000000000000002/16384';

function snapshot(day: number, identity: string, clusterUid = here, over: Partial<Candidate> = {}): Candidate {
  const date = `2026-03-${String(day).padStart(2, '0')}`;
  return {
    id: `${date.replaceAll('-', '')}T010000Z-1a2b${String(day).padStart(4, '0')}`,
    owner: { clusterUid, namespace: 'shop', name: 'orders' },
    dumpStartedAt: `${date}T01:00:05Z`,
    identity,
    database: 'orders',
    ...over,
  };
}

const ask = (candidates: Candidate[], choice: Choice = { latest: true }, target = '') =>
  into(candidates, { name: 'orders', identity: target }, choice);
const into = (candidates: Candidate[], target: NonNullable<Wanted['target']>, choice: Choice = { latest: true }) =>
  select(candidates, { choice, clusterUid: here, target });
const toRead = (candidates: Candidate[], choice: Choice = { latest: true }) =>
  select(candidates, { choice, clusterUid: here });
const idOf = (day: number) => ({ found: snapshot(day, '').id });

test('latest is the newest dump, in whatever order they are listed', () => {
  const all = [snapshot(2, before), snapshot(9, before), snapshot(5, before)];
  expect(ask(all)).toEqual(idOf(9));
  expect(ask(all.toReversed())).toEqual(idOf(9));
});

test('a window that waited counts by when its dump started, not by its name', () => {
  // Attack 4: the window of 01:00 waited for the lock until 03:00 and holds what was deleted at 02:00.
  const waited = snapshot(9, before, here, { dumpStartedAt: '2026-03-09T03:00:00Z' });
  const all = [snapshot(8, before), waited];
  expect(ask(all, { asOf: '2026-03-09T01:30:00Z' })).toEqual(idOf(8));
  expect(ask(all, { asOf: '2026-03-09T03:00:00Z' })).toEqual(idOf(9));
  expect(ask(all, { asOf: '2026-03-09T05:00:00+02:00' })).toEqual(idOf(9));
});

test('asOf before every dump finds none, and says how many there are', () => {
  expect(ask([snapshot(8, before)], { asOf: '2026-01-01T00:00:00Z' })).toEqual({
    reason: 'SnapshotNotFound',
    detail: 'none of 1 snapshots was dumped at or before 2026-01-01T00:00:00Z',
  });
  expect(ask([], { latest: true })).toMatchObject({ reason: 'SnapshotNotFound', detail: 'there is no snapshot' });
});

describe('attack 1: latest poisoned by an empty database', () => {
  test('dumps of the fresh database that is to be filled are passed over', () => {
    expect(ask([snapshot(7, before), snapshot(8, now), snapshot(9, now)], { latest: true }, now)).toEqual(idOf(7));
    expect(ask([snapshot(7, before), snapshot(8, now)], { asOf: '2026-03-30T00:00:00Z' }, now)).toEqual(idOf(7));
  });

  test('also when they are of the new cluster and the good ones of the lost one', () => {
    expect(ask([snapshot(7, before, lost), snapshot(9, now)], { latest: true }, now)).toEqual(idOf(7));
  });

  test('nothing but dumps of itself is nothing to restore', () => {
    expect(ask([snapshot(8, now), snapshot(9, now)], { latest: true }, now)).toMatchObject({
      reason: 'SnapshotNotFound',
      detail: expect.stringContaining('each of 2 snapshots is of the database that is to be filled'),
    });
  });

  test('two other databases are ambiguous, and the newest of each is named', () => {
    // The database was made anew twice: the newest dump that is not its own is of the first empty one.
    const all = [snapshot(7, before, lost), snapshot(8, 'empty/1'), snapshot(9, now)];
    expect(ask(all, { latest: true }, now)).toEqual({
      reason: 'SnapshotAmbiguous',
      detail: `snapshots of 2 databases: ${snapshot(8, '').id} (dumped 2026-03-08T01:00:05Z), ${snapshot(7, '').id} (dumped 2026-03-07T01:00:05Z)`,
    });
    expect(ask(all, { asOf: '2026-03-07T12:00:00Z' }, now)).toEqual(idOf(7));
  });

  test('a message names five databases at most', () => {
    const all = Array.from({ length: 9 }, (_, n) => snapshot(n + 1, `other/${n}`));
    expect(ask(all)).toMatchObject({ detail: expect.stringMatching(/^snapshots of 9 databases: .* and 4 more$/) });
  });

  test('a snapshot named by its id is taken, whatever its identity', () => {
    const all = [snapshot(7, before), snapshot(8, now), snapshot(9, 'x')];
    expect(ask(all, { snapshot: snapshot(8, '').id }, now)).toEqual(idOf(8));
    expect(ask(all, { snapshot: snapshot(1, '').id }, now)).toMatchObject({ reason: 'SnapshotNotFound' });
  });
});

describe('attack 6: two Kubernetes clusters in one place', () => {
  test('with one identity our own are meant', () => {
    expect(ask([snapshot(7, before), snapshot(9, before, lost)])).toEqual(idOf(7));
  });

  test('those of the lost cluster are taken where we have none', () => {
    expect(ask([snapshot(7, before, lost), snapshot(9, before, lost)])).toEqual(idOf(9));
  });

  test('two others are ambiguous', () => {
    const all = [snapshot(7, before, lost), snapshot(9, before, 'uid-third')];
    expect(ask(all)).toMatchObject({
      reason: 'SnapshotAmbiguous',
      detail: expect.stringContaining('snapshots of 2 Kubernetes clusters'),
    });
  });

  test('without an identity our own dumps may be of an empty database, so that they are not simply preferred', () => {
    expect(ask([snapshot(7, '', lost), snapshot(9, '')])).toMatchObject({ reason: 'SnapshotAmbiguous' });
    expect(ask([snapshot(7, ''), snapshot(9, '')])).toEqual(idOf(9));
    expect(ask([snapshot(7, '', lost)])).toEqual(idOf(7));
  });

  test('a snapshot that lacks its identity is not taken for one of a known database', () => {
    expect(ask([snapshot(7, before), snapshot(9, '')])).toMatchObject({ reason: 'SnapshotAmbiguous' });
  });
});

describe('a dump of another kind than the target', () => {
  const all = { database: '', allDatabases: true } as const;
  const one = { name: 'orders', identity: '' };

  test('is not meant: those of the kind are no other database beside it', () => {
    const both = [snapshot(6, '73/16384'), snapshot(7, '73/16384'), snapshot(9, '73', here, all)];
    expect(into(both, { allDatabases: true, identity: '' })).toEqual(idOf(9));
    expect(into(both, one, { asOf: '2026-03-08T00:00:00Z' })).toEqual(idOf(7));
  });

  test('is named with the target where nothing else is there', () => {
    expect(into([snapshot(7, '', here, all), snapshot(9, '', here, all)], one)).toEqual({
      reason: 'ConfigInvalid',
      detail: `the newest, ${snapshot(9, '').id} (dumped 2026-03-09T01:00:05Z), is a dump of all databases, the target is the database "orders": name one that fits by its id, or another target`,
    });
    expect(into([snapshot(9, '')], { allDatabases: true, identity: '' })).toMatchObject({
      reason: 'ConfigInvalid',
      detail: expect.stringContaining('is a dump of the database "orders", the target is all databases'),
    });
  });

  test('is no reason to take an older state for the latest', () => {
    expect(into([snapshot(2, ''), snapshot(9, '', here, all)], one)).toMatchObject({
      reason: 'ConfigInvalid',
      detail: expect.stringContaining(snapshot(9, '').id),
    });
    // What another cluster dumps says nothing of ours.
    expect(into([snapshot(2, before), snapshot(9, '73', lost, all)], one)).toEqual(idOf(2));
  });

  test('of another name is of the same kind: production is cloned to staging so', () => {
    expect(into([snapshot(9, before)], { name: 'staging', identity: now })).toEqual(idOf(9));
  });
});

describe('to read only', () => {
  test('the newest of our own is meant, also while those of an old identity are there', () => {
    expect(toRead([snapshot(7, before), snapshot(8, now), snapshot(9, now, lost)])).toEqual(idOf(8));
    expect(toRead([snapshot(7, before), snapshot(8, now)], { asOf: '2026-03-07T12:00:00Z' })).toEqual(idOf(7));
    expect(toRead([snapshot(7, ''), snapshot(9, '', lost)])).toEqual(idOf(7));
    expect(toRead([snapshot(7, before), snapshot(8, '7300', here, { allDatabases: true })])).toEqual(idOf(8));
  });

  test('of strangers one has to be meant', () => {
    expect(toRead([snapshot(7, before, lost), snapshot(9, before, lost)])).toEqual(idOf(9));
    expect(toRead([snapshot(7, before, lost), snapshot(9, now, lost)])).toMatchObject({ reason: 'SnapshotAmbiguous' });
  });
});

test('dumps that started at one instant have one order', () => {
  const same = { dumpStartedAt: '2026-03-09T01:00:00Z' };
  const all = [snapshot(8, before, here, same), snapshot(9, before, here, same)];
  expect(ask(all)).toEqual(idOf(9));
  expect(ask(all.toReversed())).toEqual(idOf(9));
});

test('an asOf that is no time finds nothing', () => {
  expect(ask([snapshot(8, before)], { asOf: 'yesterday' })).toMatchObject({ reason: 'SnapshotNotFound' });
});
