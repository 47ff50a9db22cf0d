// Writes archives as pg_dump's custom format frames them, of any version and size, for tests that need one without a server.
// As a program it writes one of about so many bytes: `node archive.ts 2147483648`.
import { createHash } from 'node:crypto';

const integerSize = 4;
const offsetSize = 8;

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(1 + integerSize);
  bytes[0] = value < 0 ? 1 : 0;
  bytes.writeUInt32LE(Math.abs(value), 1);
  return bytes;
}

function text(value: string | undefined): Buffer {
  return value === undefined ? integer(-1) : Buffer.concat([integer(Buffer.byteLength(value)), Buffer.from(value)]);
}

export interface Entry {
  id: number;
  /** Rows of a table, or large objects with their chunks; absent: an entry without data. */
  rows?: Buffer[];
  largeObjects?: { oid: number; chunks: Buffer[] }[];
}

function header(minor: number): Buffer {
  const fixed = Buffer.from([...Buffer.from('PGDMP'), 1, minor, 0, integerSize, offsetSize, 1]);
  const compression = minor >= 15 ? Buffer.from([0]) : integer(0);
  return Buffer.concat([
    fixed,
    compression,
    ...Array(7).fill(integer(1)),
    text('orders'),
    text('15.14'),
    text('15.14'),
  ]);
}

function tocEntry({ id, rows, largeObjects }: Entry, minor: number): Buffer {
  const hasData = rows !== undefined || largeObjects !== undefined;
  return Buffer.concat([
    integer(id),
    integer(hasData ? 1 : 0),
    ...['1259', String(16_000 + id), `table_${id}`, hasData ? 'TABLE DATA' : 'TABLE'].map(text),
    integer(3),
    ...[`CREATE TABLE table_${id} (x text);`, '', 'COPY', 'public', undefined].map(text),
    ...(minor >= 14 ? [text('heap')] : []),
    ...(minor >= 16 ? [integer(114)] : []),
    ...['postgres', 'false', '7', '12', undefined].map(text),
    Buffer.from([hasData ? 1 : 3]),
    Buffer.alloc(offsetSize),
  ]);
}

const chunk = (bytes: Buffer): Buffer => Buffer.concat([integer(bytes.length), bytes]);

function block({ id, rows, largeObjects }: Entry): Buffer[] {
  if (rows !== undefined) return [Buffer.from([1]), integer(id), ...rows.map(chunk), integer(0)];
  if (largeObjects === undefined) return [];
  const objects = largeObjects.flatMap(({ oid, chunks }) => [integer(oid), ...chunks.map(chunk), integer(0)]);
  return [Buffer.from([3]), integer(id), ...objects, integer(0)];
}

/** An archive in pieces: its framing's own units, so that a test knows every boundary. */
export function archivePieces(entries: Entry[], minor = 14): Buffer[] {
  return [
    header(minor),
    integer(entries.length),
    ...entries.map((one) => tocEntry(one, minor)),
    ...entries.flatMap(block),
  ];
}

export function archive(entries: Entry[], minor = 14): Buffer {
  return Buffer.concat(archivePieces(entries, minor));
}

/** Rows that compress about 3:1, as real tables do: words, numbers and some random characters. */
export function row(number: number): Buffer {
  const random = createHash('sha256').update(String(number)).digest('base64').slice(0, 20);
  const words = `order ${number}\tcustomer ${number % 9973}\tshipped ${number % 7}\twarehouse north\t${number * 31}\t`;
  return Buffer.from(`${words}${random}\n`);
}

async function writeLarge(bytes: number): Promise<void> {
  const write = (part: Buffer) =>
    new Promise<void>((done, fail) => process.stdout.write(part, (error) => (error ? fail(error) : done())));
  const [head = Buffer.alloc(0), count = Buffer.alloc(0), toc = Buffer.alloc(0)] = archivePieces([{ id: 1, rows: [] }]);
  await write(Buffer.concat([head, count, toc, Buffer.from([1]), integer(1)]));
  // Rows made once and sent again and again: making them all would take longer than the backup.
  const rows = Buffer.concat(Array.from({ length: 200_000 }, (_, n) => chunk(row(n))));
  for (let sent = 0; sent < bytes; sent += rows.length) await write(rows);
  await write(integer(0));
}

if (import.meta.main) await writeLarge(Number(process.argv[2]));
