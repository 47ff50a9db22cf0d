// The end marker of mongodump archives: whole ones pass however they are cut into chunks, anything less, more or other is refused.
import { expect, test } from 'vitest';
import { mongodbArchive } from '../../crds/rules/engines/mongodb-archive.ts';
import { randomOf } from '../crds/seeded.ts';
import { archive, type Collection, document, pieces } from './mongodb-archive.ts';
import { push } from './spent.ts';

const some = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, n) =>
    document({ _id: n, text: 'x'.repeat(n * 7), sum: BigInt(n) ** 3n, odd: n % 2 === 1 }),
  );

const collections: Collection[] = [
  { db: 'shop', collection: 'orders', documents: some(5) },
  { db: 'shop', collection: 'empty', documents: [] },
  { db: 'shop', collection: 'größe.漢字 "x"', documents: some(3) },
  { db: 'shop', collection: 'totals', type: 'view', documents: [] },
  { db: 'shop', collection: 'weather', type: 'timeseries', blocks: 'system.buckets.weather', documents: some(2) },
  { db: 'shop', collection: 'climate', type: 'timeseries', documents: some(2) },
  { db: 'other', collection: 'orders', documents: some(1) },
  { db: '', collection: 'oplog', documents: some(4) },
];
const whole = archive(collections);

function watch(bytes: Buffer, size = bytes.length): void {
  const marker = mongodbArchive();
  for (let at = 0; at < bytes.length; at += size) void push(marker, bytes.subarray(at, at + size));
  void marker.end();
}

test('a whole archive passes in chunks of every size', () => {
  for (let size = 1; size <= 200; size++) watch(whole, size);
  watch(whole);
});

test('an archive of nothing is whole', () => {
  watch(archive([]), 3);
});

test('an archive that is cut off anywhere is refused', () => {
  for (let length = 0; length < whole.length; length++)
    expect(() => watch(whole.subarray(0, length), 97), `${length} bytes`).toThrow(
      /^read the archive near byte \d+: it ends/,
    );
});

test('an archive that is cut off after any of its pieces is refused', () => {
  const parts = pieces(collections);
  for (let count = 0; count < parts.length; count++)
    expect(() => watch(Buffer.concat(parts.slice(0, count)))).toThrow(/it ends/);
});

test('an archive that lost a piece of its middle is refused', () => {
  const parts = pieces(collections);
  for (let lost = 0; lost < parts.length; lost++) {
    const left = parts.filter((_, index) => index !== lost);
    // A block that lost its only document is refused by the sum; one that had none says nothing by its absence.
    const isEmptyHeader =
      parts[lost]?.equals(document({ db: 'shop', collection: 'empty', EOF: false, CRC: 0n })) === true;
    if (!isEmptyHeader) expect(() => watch(Buffer.concat(left)), `piece ${lost}`).toThrow(/^read the archive/);
  }
});

test('bytes of a document that are not those of its sum are refused', () => {
  const at = whole.indexOf('xxxxxxx');
  const broken = Buffer.from(whole);
  broken[at] = 0x79;
  expect(() => watch(broken)).toThrow(/the documents of "shop.orders" do not have the sum/);
});

test.each([
  ['a byte', Buffer.from([0])],
  ['a second end', Buffer.from('ffffffff', 'hex')],
  ['a block of a collection that is closed', archive([collections[0] as Collection]).subarray(-100)],
])('%s behind the end is refused', (_what, more) => {
  expect(() => watch(Buffer.concat([whole, more]))).toThrow(/^read the archive/);
});

test.each([
  ['text', Buffer.from('Failed: error connecting to db server'), /does not begin as an archive of mongodump/],
  ['gzip', Buffer.from('1f8b0800000000000003', 'hex'), /does not begin as an archive of mongodump/],
  [
    'a later version',
    Buffer.concat([whole.subarray(0, 4), document({ version: '0.2' }), Buffer.from('ffffffff', 'hex')]),
    /version "0.2" is not 0.1/,
  ],
  [
    'an impossible length',
    Buffer.concat([whole.subarray(0, 4), Buffer.from('ffffff7f', 'hex')]),
    /neither the length of a document/,
  ],
])('%s is refused', (_what, bytes, message) => {
  expect(() => watch(bytes)).toThrow(message);
});

test('2,000 archives with random damage are refused or the same, and nothing else is thrown', () => {
  const random = randomOf(7);
  for (let turn = 0; turn < 2000; turn++) {
    const broken = Buffer.from(whole);
    for (let count = 1 + random.below(4); count > 0; count--) broken[random.below(broken.length)] = random.below(256);
    const damage = random.chance(3) ? broken.subarray(0, random.below(broken.length)) : broken;
    try {
      watch(damage, 1 + random.below(300));
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      expect((error as Error).message).toMatch(/^read the archive near byte \d+: /);
    }
  }
});
