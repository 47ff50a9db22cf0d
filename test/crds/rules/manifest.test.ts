// The manifest beside a snapshot: both ways through, and what anyone with the bucket may have made of it.
import { describe, expect, test } from 'vitest';
import { decodeManifest, encodeManifest, type Manifest, manifestLimit } from '../../../crds/rules/manifest.ts';

const key = 'postgres/daily/shop/orders-db/20250327T010000Z-1a2b3c4d.snap';
const manifest: Manifest = {
  formatVersion: 1,
  id: '20250327T010000Z-1a2b3c4d',
  key,
  owner: { clusterUid: 'c0ffee', namespace: 'shop', name: 'orders' },
  cluster: 'orders-db',
  time: '2025-03-27T01:00:00Z',
  trigger: 'Schedule',
  jobUid: 'job-1',
  lockEpoch: 3,
  dumpStartedAt: '2025-03-27T01:00:03Z',
  committedAt: '2025-03-27T01:02:03Z',
  engine: 'postgres',
  dumpFormat: 'pg_dump-custom',
  image: 'postgres:16',
  serverVersion: '16.4',
  toolVersion: 'pg_dump (PostgreSQL) 16.4',
  identity: '7412345678901234567/16384',
  database: 'orders',
  compression: 'zstd',
  encryption: 'age',
  recipients: ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'],
  plainSize: 2 ** 40,
  plainSha256: 'a'.repeat(64),
  storedSize: 123,
  storedSha256: 'b'.repeat(64),
  dbbackupVersion: '0.1.0',
  restore: ['first line', 'pg_restore "$dump" # naïve 漢字'],
};

const edited = (change: object): string => JSON.stringify({ ...manifest, ...change });

test('a manifest comes back as it was written, one field a line', () => {
  const text = encodeManifest(manifest);
  expect(decodeManifest(text, key)).toEqual(manifest);
  expect(text).toMatch(/^ {2}"storedSha256": "b{64}",$/m);
  expect(text.endsWith('}\n')).toBe(true);
});

test('a manifest is as long as its bytes, whatever letters it has', () => {
  const filled = (bytes: number): string => {
    const rest = bytes - Buffer.byteLength(encodeManifest({ ...manifest, restore: [''] }));
    return encodeManifest({ ...manifest, restore: [`${'x'.repeat(rest % 3)}${'漢'.repeat(Math.floor(rest / 3))}`] });
  };
  expect(decodeManifest(filled(manifestLimit), key).id).toBe(manifest.id);
  expect(filled(manifestLimit + 1).length).toBeLessThan(manifestLimit);
  expect(() => decodeManifest(filled(manifestLimit + 1), key)).toThrow('it has 65537 bytes, at most 65536');
});

describe('a manifest is refused', () => {
  test.each([
    ['that is empty', '', 'it is not JSON'],
    ['that is cut short', encodeManifest(manifest).slice(0, 300), 'it is not JSON'],
    ['that is null', 'null', 'it is not an object'],
    ['that is a list', '[]', 'it is not an object'],
    ['that is a number', '1', 'it is not an object'],
    ['that is a deep nest', '['.repeat(60_000), 'read manifest'],
    ['that is huge', `"${'x'.repeat(65_536)}"`, 'it has 65538 bytes'],
    ['of another format', edited({ formatVersion: 2 }), 'format version 2 is not 1'],
    ['of a format in words', edited({ formatVersion: '1' }), 'format version "1" is not 1'],
    ['of another key', edited({ key: 'postgres/daily/shop/../../secret.snap' }), 'it speaks of another key'],
    ['without a key', edited({ key: undefined }), 'it speaks of another key'],
    ['with the id of another', edited({ id: '20250326T010000Z-1a2b3c4d' }), 'it has the id of another'],
    ['with an id that leaves its place', edited({ id: '../20250327T010000Z-1a2b3c4d' }), 'it has the id of another'],
    ['with an id in a list', edited({ id: [manifest.id] }), 'id is missing'],
    ['without an owner', edited({ owner: null }), 'it names no owner'],
    ['with half an owner', edited({ owner: { namespace: 'shop' } }), 'it names no owner'],
    ['with an owner that is a text', edited({ owner: 'shop' }), 'it names no owner'],
    ['with a size below zero', edited({ storedSize: -1 }), 'a size is missing'],
    ['with half a byte', edited({ plainSize: 1.5 }), 'a size is missing'],
    ['with a size beyond counting', edited({ storedSize: 2 ** 53 }), 'a size is missing'],
    ['with a size in words', edited({ storedSize: '123' }), 'a size is missing'],
    ['with a size of 1e999', edited({}).replace('"storedSize":123', '"storedSize":1e999'), 'a size is missing'],
    ['with a short digest', edited({ storedSha256: 'b'.repeat(63) }), 'a digest is missing'],
    ['with a digest in capitals', edited({ plainSha256: 'B'.repeat(64) }), 'a digest is missing'],
    ['with a digest and a newline', edited({ plainSha256: `${'b'.repeat(64)}\n` }), 'a digest is missing'],
    ['with a digest in a list', edited({ storedSha256: ['b'.repeat(64)] }), 'a digest is missing'],
    ['with a digest that is no text', edited({ storedSha256: { toString: 1 } }), 'a digest is missing'],
    ['without a time', edited({ time: undefined }), 'time is missing'],
    ['with a time that is none', edited({ dumpStartedAt: 'yesterday' }), 'dumpStartedAt is not a time'],
    ['with a uid that is a number', edited({ jobUid: 5 }), 'jobUid is missing'],
    ['whose fields are in __proto__', `{"__proto__":${JSON.stringify(manifest)}}`, 'format version undefined is not 1'],
  ])('%s', (_name, text, message) => {
    const read = (): Manifest => decodeManifest(text, key);
    expect(read).toThrow(`read manifest of "${key}"`);
    expect(read).toThrow(message);
  });
});

test('a manifest that names __proto__ beside its fields pollutes nothing', () => {
  const text = JSON.stringify(manifest).replace('{', '{"__proto__":{"polluted":true},');
  expect(decodeManifest(text, key).id).toBe(manifest.id);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
