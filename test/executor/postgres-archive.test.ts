// The end marker of PostgreSQL archives: whole ones pass however they are cut into chunks, anything less or more is refused.
import { describe, expect, test } from 'vitest';
import { postgresArchive } from '../../crds/rules/engines/postgres-archive.ts';
import { archive, archivePieces, type Entry } from './archive.ts';
import { push } from './spent.ts';

const rows = Array.from({ length: 5 }, (_, n) => Buffer.from(`${n}\t${'x'.repeat(n * 40)}\n`));
const entries: Entry[] = [
  { id: 1 },
  { id: 2, rows },
  { id: 3, rows: [] },
  {
    id: 4,
    largeObjects: [
      { oid: 16_400, chunks: rows },
      { oid: -5, chunks: [] },
    ],
  },
  { id: 5, largeObjects: [] },
  { id: 6 },
];

function watch(bytes: Buffer, chunkSize: number): void {
  const marker = postgresArchive();
  for (let at = 0; at < bytes.length; at += chunkSize) push(marker, bytes.subarray(at, at + chunkSize));
  marker.end();
}

describe.each([12, 13, 14, 15, 16])('archive version 1.%d', (minor) => {
  const whole = archive(entries, minor);

  test('passes in chunks of every size', () => {
    for (let size = 1; size <= whole.length; size++) expect(() => watch(whole, size)).not.toThrow();
  });

  test('is refused when a single byte is missing at its end, and at every other length', () => {
    for (let length = 0; length < whole.length; length++)
      expect(() => watch(whole.subarray(0, length), 97), `${length} bytes`).toThrow('ends before');
  });

  test('is refused when it is cut at the end of any of its pieces', () => {
    const pieces = archivePieces(entries, minor);
    for (let count = 0; count < pieces.length; count++)
      expect(() => watch(Buffer.concat(pieces.slice(0, count)), 65_536)).toThrow('ends before');
  });

  test('is refused when anything follows', () => {
    for (const more of [Buffer.from([0]), Buffer.from('x'), whole])
      for (const size of [1, whole.length, whole.length + 1])
        expect(() => watch(Buffer.concat([whole, more]), size)).toThrow('bytes follow its end');
  });
});

test('a database without a table, and one without an entry, are whole', () => {
  expect(() => watch(archive([{ id: 1 }, { id: 2 }]), 7)).not.toThrow();
  expect(() => watch(archive([]), 7)).not.toThrow();
});

test('nothing at all is not an archive', () => {
  expect(() => watch(Buffer.alloc(0), 1)).toThrow('ends before');
});

test('empty chunks change nothing', () => {
  const marker = postgresArchive();
  for (const byte of archive(entries)) {
    marker.push(Buffer.alloc(0));
    marker.push(Buffer.from([byte]));
  }
  marker.push(Buffer.alloc(0));
  marker.end();
});

test.each([
  ['text', Buffer.from('-- PostgreSQL database dump\n'), 'does not begin with PGDMP'],
  ['a message', Buffer.from('pg_dump: error'), 'does not begin with PGDMP'],
  ['a later version', archive(entries, 17), 'archive version 1.17 is not one of'],
  ['another format', Buffer.from([...Buffer.from('PGDMP'), 1, 14, 0, 4, 8, 3]), 'archive format 3'],
  ['integers of no size', Buffer.from([...Buffer.from('PGDMP'), 1, 14, 0, 0, 8, 1]), 'integers of 0 bytes'],
])('%s is refused at once', (_what, bytes, message) => {
  expect(() => postgresArchive().push(bytes)).toThrow(message);
});

test('a block for an entry without data, a second one for the same entry, or one of another kind is refused', () => {
  const [head = Buffer.alloc(0), count = Buffer.alloc(0), ...rest] = archivePieces([
    { id: 1 },
    { id: 2, rows: [] },
    { id: 3, rows: [] },
  ]);
  const toc = Buffer.concat([head, count, ...rest.slice(0, 3)]);
  const block = (kind: number, id: number) => Buffer.from([kind, 0, id, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(() => watch(Buffer.concat([toc, block(1, 1)]), 5)).toThrow('entry 1');
  expect(() => watch(Buffer.concat([toc, block(1, 2), block(1, 2)]), 5)).toThrow('entry 2');
  expect(() => watch(Buffer.concat([toc, block(2, 2)]), 5)).toThrow('block type 2');
});

test('the place of a fault is told in bytes from the beginning', () => {
  const whole = archive(entries);
  const marker = postgresArchive();
  for (const byte of whole) marker.push(Buffer.from([byte]));
  expect(() => marker.push(Buffer.from('x'))).toThrow(`near byte ${whole.length}`);
});
