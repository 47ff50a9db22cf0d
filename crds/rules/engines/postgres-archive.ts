// Follows the framing of a pg_dump archive in custom format while its bytes pass, and knows where it must end: after the last block
// of the last entry that has data. `pg_restore -l` reads only the front and takes a truncated archive for a whole one.
// The format: src/bin/pg_dump/pg_backup_archiver.c (WriteHead, WriteToc) and pg_backup_custom.c of PostgreSQL.
import type { EndMarker } from './engine.ts';

const magic = 'PGDMP';
const customFormat = 1;
const dataBlock = 1;
const largeObjectsBlock = 3;

/** Archive versions 1.x whose table of contents is known here: PostgreSQL 9 to 18. A later one may have other fields. */
const oldestMinor = 12;
const newestMinor = 16;

/** The chunk in hand and how far it has been read. */
interface Input {
  bytes: Uint8Array;
  at: number;
  /** Bytes of all chunks before this one. */
  before: number;
}

const none = new Uint8Array();

interface Header {
  minor: number;
  integerSize: number;
  offsetSize: number;
}

/** Reads the input and stands still (yields) whenever it has used up the chunk in hand. */
type Walk<T> = Generator<undefined, T, undefined>;

function refuse(input: Input, detail: string): never {
  throw new Error(`read the archive near byte ${input.before + input.at}: ${detail}`);
}

function* byte(input: Input): Walk<number> {
  while (input.at >= input.bytes.length) yield;
  const value = input.bytes[input.at] ?? 0;
  input.at += 1;
  return value;
}

function* skip(input: Input, count: number): Walk<void> {
  let left = count;
  for (;;) {
    const here = Math.min(left, input.bytes.length - input.at);
    input.at += here;
    left -= here;
    if (left === 0) return;
    yield;
  }
}

/** An integer that lies whole in the chunk in hand; undefined when it does not. Rows come as one each, so this is the hot path. */
function quickInteger(input: Input, size: number): number | undefined {
  const { bytes, at } = input;
  if (at + size >= bytes.length) return undefined;
  let value = 0;
  for (let index = size; index > 0; index--) value = value * 256 + (bytes[at + index] ?? 0);
  input.at = at + size + 1;
  return signed(input, bytes[at] ?? 0, value);
}

function* slowInteger(input: Input, size: number): Walk<number> {
  const sign = yield* byte(input);
  let value = 0;
  for (let index = 0; index < size; index++) value += (yield* byte(input)) * 256 ** index;
  return signed(input, sign, value);
}

function signed(input: Input, sign: number, value: number): number {
  if (sign > 1) refuse(input, `the sign of a number is ${sign}, 0 or 1 is expected`);
  return sign === 0 ? value : -value;
}

function* integer(input: Input, size: number): Walk<number> {
  return quickInteger(input, size) ?? (yield* slowInteger(input, size));
}

/** Passes over a string; false for the null string. */
function* text(input: Input, size: number): Walk<boolean> {
  const length = yield* integer(input, size);
  if (length > 0) yield* skip(input, length);
  return length >= 0;
}

function* header(input: Input): Walk<Header> {
  for (const letter of magic)
    if ((yield* byte(input)) !== letter.charCodeAt(0)) refuse(input, `it does not begin with ${magic}`);
  const major = yield* byte(input);
  const minor = yield* byte(input);
  yield* byte(input);
  if (major !== 1 || minor < oldestMinor || minor > newestMinor)
    refuse(
      input,
      `archive version ${major}.${minor} is not one of 1.${oldestMinor} to 1.${newestMinor}: use a dbbackup that knows it`,
    );
  const integerSize = yield* byte(input);
  const offsetSize = yield* byte(input);
  if (integerSize < 1 || integerSize > 8) refuse(input, `integers of ${integerSize} bytes are not expected`);
  const format = yield* byte(input);
  if (format !== customFormat) refuse(input, `archive format ${format} is not the custom one`);
  // Compression: a byte since 1.15, before that a level.
  if (minor >= 15) yield* byte(input);
  else yield* integer(input, integerSize);
  for (const _field of ['sec', 'min', 'hour', 'mday', 'mon', 'year', 'isdst']) yield* integer(input, integerSize);
  for (const _field of ['database', 'server version', 'pg_dump version']) yield* text(input, integerSize);
  return { minor, integerSize, offsetSize };
}

/** One entry of the table of contents; its dump id when a block of data will follow for it. */
function* entry(input: Input, { minor, integerSize, offsetSize }: Header): Walk<number | undefined> {
  const id = yield* integer(input, integerSize);
  const hasData = (yield* integer(input, integerSize)) !== 0;
  for (const _field of ['table oid', 'oid', 'tag', 'description']) yield* text(input, integerSize);
  yield* integer(input, integerSize);
  for (const _field of ['definition', 'drop', 'copy', 'namespace', 'tablespace']) yield* text(input, integerSize);
  if (minor >= 14) yield* text(input, integerSize);
  if (minor >= 16) yield* integer(input, integerSize);
  for (const _field of ['owner', 'with oids']) yield* text(input, integerSize);
  while (yield* text(input, integerSize));
  yield* skip(input, 1 + offsetSize);
  return hasData ? id : undefined;
}

/** Chunks with their length in front, up to the one of length 0. */
function* chunks(input: Input, integerSize: number): Walk<void> {
  for (;;) {
    const length = quickInteger(input, integerSize) ?? (yield* slowInteger(input, integerSize));
    if (length === 0) return;
    if (length < 0) refuse(input, `a block of ${length} bytes is not possible`);
    if (input.at + length <= input.bytes.length) input.at += length;
    else yield* skip(input, length);
  }
}

function* block(input: Input, integerSize: number, expected: Set<number>): Walk<void> {
  const kind = yield* byte(input);
  const id = yield* integer(input, integerSize);
  if (!expected.delete(id)) refuse(input, `a block for entry ${id}, which has none to come`);
  if (kind === dataBlock) yield* chunks(input, integerSize);
  else if (kind === largeObjectsBlock)
    while ((yield* integer(input, integerSize)) !== 0) yield* chunks(input, integerSize);
  else refuse(input, `block type ${kind} is unknown`);
}

function* archive(input: Input): Walk<void> {
  const head = yield* header(input);
  const count = yield* integer(input, head.integerSize);
  if (count < 0) refuse(input, `${count} entries are not possible`);
  const expected = new Set<number>();
  for (let index = 0; index < count; index++) {
    const id = yield* entry(input, head);
    if (id !== undefined) expected.add(id);
  }
  while (expected.size > 0) yield* block(input, head.integerSize, expected);
}

/** Watches one archive pass. Its errors say where it is not whole. */
export function postgresArchive(): EndMarker {
  const input: Input = { bytes: none, at: 0, before: 0 };
  const walk = archive(input);
  let whole = walk.next().done === true;
  return {
    push(chunk) {
      input.bytes = chunk;
      if (!whole) whole = walk.next().done === true;
      if (whole && input.at < chunk.length) refuse(input, 'bytes follow its end');
      Object.assign(input, { bytes: none, at: 0, before: input.before + chunk.length });
    },
    end() {
      if (!whole) refuse(input, 'it ends before its last block does');
    },
  };
}
