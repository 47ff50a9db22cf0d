// Follows the framing of a mongodump archive while its bytes pass: a list of collections, then their documents in blocks that take turns, each
// collection closed by a block of its own with the sum of all its documents. It is whole when every collection of the list is closed.
// The format: common/archive (spec.md, multiplexer.go, parser.go, prelude.go) of the MongoDB database tools.
import { type BsonValue, readFields } from './bson.ts';
import { ecma, type Sum } from './crc64.ts';
import type { EndMarker } from './engine.ts';

const magic = 0x8199e26d;
const terminator = -1;
const smallestDocument = 5;
/** Of BSON; the tools take a little more than the server's 16 MiB, for what goes around a document. */
const largestDocument = 16 * 1024 * 1024 + 16 * 1024;

/** The chunk in hand and how far it has been read. */
interface Input {
  bytes: Buffer;
  at: number;
  /** Bytes of all chunks before this one. */
  before: number;
}

const none = Buffer.alloc(0);

/** Reads the input and stands still (yields) whenever it has used up the chunk in hand. */
type Walk<T> = Generator<undefined, T, undefined>;

function refuse(input: Input, detail: string): never {
  throw new Error(`read the archive near byte ${input.before + input.at}: ${detail}`);
}

function* integer(input: Input): Walk<number> {
  if (input.at + 4 <= input.bytes.length) {
    input.at += 4;
    return input.bytes.readInt32LE(input.at - 4);
  }
  let value = 0;
  for (let index = 0; index < 4; index++) {
    while (input.at >= input.bytes.length) yield;
    value |= (input.bytes[input.at] ?? 0) << (8 * index);
    input.at += 1;
  }
  return value;
}

function checkLength(input: Input, length: number): void {
  if (length < smallestDocument || length > largestDocument)
    refuse(input, `${length} is neither the length of a document nor the end of a block`);
}

/** Gives the rest of a document to `take` in pieces, its length before it. */
function* pieces(input: Input, length: number, take: (piece: Buffer) => void): Walk<void> {
  const head = Buffer.alloc(4);
  head.writeInt32LE(length);
  take(head);
  let last = 0;
  for (let left = length - 4; left > 0; ) {
    while (input.at >= input.bytes.length) yield;
    const piece = input.bytes.subarray(input.at, input.at + left);
    take(piece);
    input.at += piece.length;
    left -= piece.length;
    last = piece[piece.length - 1] ?? 0;
  }
  if (last !== 0) refuse(input, 'a document does not end with a zero byte');
}

/** The fields of a document, or undefined at the end of the block. One document at a time is in memory. */
function* fields(input: Input): Walk<Map<string, BsonValue> | undefined> {
  const length = yield* integer(input);
  if (length === terminator) return undefined;
  checkLength(input, length);
  const parts: Buffer[] = [];
  yield* pieces(input, length, (piece) => parts.push(Buffer.from(piece)));
  try {
    return readFields(Buffer.concat(parts));
  } catch {
    return refuse(input, 'a header is no document that can be read');
  }
}

const text = (value: BsonValue | undefined): string => (typeof value === 'string' ? value : '');
/** No name of a database or a collection holds a zero byte. */
const nameOf = (document: Map<string, BsonValue>): string =>
  `${text(document.get('db'))}\0${text(document.get('collection'))}`;
const shown = (name: string): string => JSON.stringify(name.replace('\0', '.'));

/** Names are kept while a collection is to come or open: at most 255 bytes each. */
interface State {
  expected: Set<string>;
  open: Map<string, Sum>;
}

/** A time series is listed by its own name and dumped by that of its buckets, which servers from 8.3 on do not have. */
const buckets = (name: string): string => name.replace('\0', '\0system.buckets.');

function* list(input: Input, state: State): Walk<void> {
  if ((yield* integer(input)) >>> 0 !== magic) refuse(input, 'it does not begin as an archive of mongodump');
  const header = yield* fields(input);
  const version = header?.get('version');
  if (version !== '0.1')
    refuse(input, `archive version ${JSON.stringify(version ?? '')} is not 0.1: use a dbbackup that knows it`);
  for (;;) {
    const document = yield* fields(input);
    if (document === undefined) return;
    const name = nameOf(document);
    state.expected.add(document.get('type') === 'timeseries' ? buckets(name) : name);
  }
}

function close(input: Input, state: State, name: string, sum: Sum, stored: BsonValue | undefined): void {
  const found = (BigInt(~sum.high >>> 0) << 32n) | BigInt(~sum.low >>> 0);
  if (typeof stored !== 'bigint' || BigInt.asUintN(64, stored) !== found)
    refuse(input, `the documents of ${shown(name)} do not have the sum that its end gives`);
  state.open.delete(name);
  if (!state.expected.delete(name)) state.expected.delete(buckets(name));
}

/** One block; false when the archive ends before it. */
function* block(input: Input, state: State): Walk<void> {
  const header = yield* fields(input);
  if (header === undefined) return refuse(input, 'a block begins with its end');
  const name = nameOf(header);
  const isEnd = header.get('EOF') === true;
  let sum = state.open.get(name);
  if (sum === undefined) {
    if (!state.expected.has(name) && !state.expected.has(buckets(name)))
      refuse(input, `a block of ${shown(name)}, of which none is to come`);
    sum = { high: -1, low: -1 };
    state.open.set(name, sum);
  }
  const { high, low } = sum;
  const total = sum;
  for (;;) {
    const length = yield* integer(input);
    if (length === terminator) break;
    checkLength(input, length);
    yield* pieces(input, length, (piece) => ecma(total, piece));
  }
  if (!isEnd) return;
  if (total.high !== high || total.low !== low) refuse(input, `documents follow the end of ${shown(name)}`);
  close(input, state, name, total, header.get('CRC'));
}

/** Watches one archive pass. Its errors say where it is not whole. */
export function mongodbArchive(): EndMarker {
  const input: Input = { bytes: none, at: 0, before: 0 };
  const state: State = { expected: new Set(), open: new Map() };
  /** At the end of a block, where the archive may end. */
  let between = false;
  function* archive(): Walk<void> {
    yield* list(input, state);
    for (;;) {
      between = true;
      while (input.at >= input.bytes.length) yield;
      between = false;
      yield* block(input, state);
    }
  }
  const walk = archive();
  walk.next();
  return {
    push(chunk) {
      input.bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      walk.next();
      Object.assign(input, { bytes: none, at: 0, before: input.before + chunk.length });
    },
    end() {
      if (!between) refuse(input, 'it ends within a block');
      const [open] = [...state.open.keys(), ...state.expected];
      if (open !== undefined) refuse(input, `it ends before ${shown(open)} does`);
    },
  };
}
