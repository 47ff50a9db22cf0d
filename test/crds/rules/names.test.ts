// Every name that dbbackup makes: its length, its inverse, and what is not taken for one.
import { describe, expect, test } from 'vitest';
import {
  canonical,
  clusterPrefix,
  dataKey,
  leaseName,
  manifestKey,
  type Owner,
  ownerDigits,
  parseKey,
  parseSnapshotId,
  snapshotId,
  specHash,
  timestamp,
  triggerJobName,
  windowJobName,
} from '../../../crds/rules/names.ts';
import { repeatedly } from '../seeded.ts';

const owner: Owner = { clusterUid: 'c0ffee', namespace: 'shop', name: 'orders' };
const hex = '0123456789abcdef';

describe('a key in storage', () => {
  test('is read back as what it was made of', () => {
    repeatedly(500, (random) => {
      const time = new Date(Math.floor((random.below(2 ** 31) / 1000) * 1000) * 1000);
      const prefix = clusterPrefix(random.pick(['', 'a', 'postgres/daily']), 'shop', 'orders-db');
      const digits = Array.from({ length: 4 }, () => random.pick([...hex])).join('');
      const id = snapshotId(time, owner, digits);
      const read = { id, time, ownerDigits: ownerDigits(owner) };
      expect(parseKey(prefix, dataKey(prefix, id))).toEqual({ ...read, kind: 'data' });
      expect(parseKey(prefix, manifestKey(prefix, id))).toEqual({ ...read, kind: 'manifest' });
      expect(parseSnapshotId(id)).toEqual({ time, ownerDigits: read.ownerDigits });
    });
  });

  test('has no slash at its front without a prefix, and one behind each part', () => {
    expect(clusterPrefix(undefined, 'shop', 'orders-db')).toBe('shop/orders-db/');
    expect(clusterPrefix('', 'shop', 'orders-db')).toBe('shop/orders-db/');
    expect(clusterPrefix('a/b', 'shop', 'orders-db')).toBe('a/b/shop/orders-db/');
  });

  const prefix = 'shop/orders/';
  const id = '20250327T010000Z-1a2b3c4d';

  test.each([
    ['of a deeper place', `${prefix}daily/${id}.snap`],
    ['of a neighbour', `shop/orders-2/${id}.snap`],
    ['of the prefix itself', prefix],
    ['without a prefix', `${id}.snap`],
    ['that climbs up', `${prefix}../${id}.snap`],
    ['with a slash before the name', `${prefix}/${id}.snap`],
    ['of another kind', `${prefix}${id}.tmp`],
    ['of a manifest of a manifest', `${prefix}${id}.snap.json.snap.json`],
    ['with a suffix behind', `${prefix}${id}.snap.bak`],
    ['in capitals', `${prefix}${id.toUpperCase()}.snap`],
    ['with three random digits', `${prefix}${id.slice(0, -1)}.snap`],
    ['with five random digits', `${prefix}${id}0.snap`],
    ['with a newline', `${prefix}${id}\n.snap`],
    ['with month 13', `${prefix}20251327T010000Z-1a2b3c4d.snap`],
    ['with 30 February', `${prefix}20250230T010000Z-1a2b3c4d.snap`],
    ['with hour 24', `${prefix}20250327T240000Z-1a2b3c4d.snap`],
    ['with second 60', `${prefix}20250327T235960Z-1a2b3c4d.snap`],
    ['in Arabic digits', `${prefix}\u0662\u0660250327T010000Z-1a2b3c4d.snap`],
    ['of one suffix', `${prefix}.snap`],
    ['of nothing', ''],
  ])('%s is none of ours', (_name, key) => {
    expect(parseKey(prefix, key)).toBeUndefined();
  });

  test('that is any text at all is refused without an error', () => {
    const parts = [prefix, id, '.snap', '.json', '/', '..', '\0', '20250327T', 'Z-', '\ud800', '%2e', '9'];
    repeatedly(2000, (random) => {
      const key = Array.from({ length: random.below(6) }, () => random.pick(parts)).join('');
      const read = parseKey(prefix, key);
      if (read !== undefined) expect([dataKey(prefix, read.id), manifestKey(prefix, read.id)]).toContain(key);
    });
  });
});

describe('a snapshot id', () => {
  test('sorts by time as text', () => {
    const ids = [0, 1, 59, 3600, 86_400, 2 ** 31].map((seconds) => snapshotId(new Date(seconds * 1000), owner, '0000'));
    expect([...ids].sort()).toEqual(ids);
  });

  test.each(['', 'abc', 'abcde', 'ABCD', 'wxyz', '12 4'])('is not made of the random part %j', (random) => {
    expect(() => snapshotId(new Date(0), owner, random)).toThrow(`random "${random}": must be 4 hex digits`);
  });

  test('carries other digits for another cluster, namespace or name, also where the parts join alike', () => {
    const others = [
      { ...owner, clusterUid: 'other' },
      { ...owner, namespace: 'shop2' },
      { ...owner, name: 'orders2' },
      { clusterUid: 'c0ffee', namespace: 'shopo', name: 'rders' },
    ];
    expect(new Set([owner, ...others].map(ownerDigits)).size).toBe(5);
    expect(ownerDigits(owner)).toMatch(/^[0-9a-f]{4}$/);
  });
});

describe('the name of a Job', () => {
  const longest = 'a'.repeat(48);

  test('fits into a label for the longest backup', () => {
    expect(windowJobName(longest, new Date('2025-03-27T01:02:03Z'))).toBe(`${longest}-20250327010203`);
    expect(windowJobName(longest, new Date(0))).toHaveLength(63);
    expect(triggerJobName(longest, 'uid-1', 'Manual', 'token', '')).toHaveLength(61);
  });

  test('of a trigger stays the same while it waits and changes once another was handled', () => {
    const name = (uid: string, token: string, previous: string) =>
      triggerJobName('orders', uid, 'Manual', token, previous);
    expect(name('uid-1', 'a', '')).toBe(name('uid-1', 'a', ''));
    expect(name('uid-1', 'a', '')).toMatch(/^orders-t-[0-9a-f]{10}$/);
    const different = [
      name('uid-1', 'a', ''),
      name('uid-1', 'a', 'job-1'), // The token used again later.
      name('uid-1', 'b', ''),
      name('uid-2', 'a', ''), // An object made anew.
      name('uid-1a', '', ''),
      triggerJobName('orders', 'uid-1', 'Gate', 'a', ''),
    ];
    expect(new Set(different).size).toBe(different.length);
  });

  test('of a trigger is a name whatever the token holds', () => {
    for (const token of ['', '../x', 'A B', '漢'.repeat(10_000), '\0', '\ud800'])
      expect(triggerJobName('orders', 'uid-1', 'Manual', token, '')).toMatch(/^orders-t-[0-9a-f]{10}$/);
  });

  test('of a window is in UTC and to the second', () => {
    expect(timestamp(new Date('2025-03-27T01:02:03.999+02:00'))).toBe('20250326T230203Z');
    expect(windowJobName('orders', new Date('2025-03-27T01:00:00+02:00'))).toBe('orders-20250326230000');
  });

  test('of a lock fits for the longest cluster', () => {
    expect(leaseName('c'.repeat(48)).length).toBeLessThanOrEqual(63);
  });
});

describe('the digest of a spec', () => {
  test('does not depend on the order of its fields or on what is undefined', () => {
    expect(specHash({ a: 1, b: { c: [1, 2], d: 'x' } })).toBe(
      specHash({ b: { d: 'x', c: [1, 2], e: undefined }, a: 1 }),
    );
    expect(specHash({ a: 1 })).toMatch(/^[0-9a-f]{16}$/);
  });

  test('depends on values, on the order of lists and on the place of each', () => {
    const specs = [{}, { a: 1 }, { a: '1' }, { a: [1, 2] }, { a: [2, 1] }, { a: null }, { b: 1 }, { a: {} }, { a: [] }];
    expect(new Set(specs.map(specHash)).size).toBe(specs.length);
  });

  test('is made of text that JSON reads back', () => {
    const value = { text: '"\\\n漢\u{1f4be}', list: [1, null, { deep: false }], 'a"b': 1e21 };
    expect(JSON.parse(canonical(value))).toEqual(value);
  });
});
