// Reads the fields of a small BSON document that a header of a mongodump archive is: texts, numbers, truth; others are passed over.
// The format: bsonspec.org, version 1.1.

export type BsonValue = string | number | bigint | boolean | null;

/** Bytes of values of a fixed length, by the type before them. */
const fixed: Readonly<Record<number, number>> = { 1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16 };
const stringType = 2;
const binaryType = 5;
const embedded = new Set([3, 4]);

function value(document: Buffer, type: number, at: number): { value: BsonValue; next: number } {
  if (type === stringType) {
    const length = document.readInt32LE(at);
    if (length < 1 || at + 4 + length > document.length) throw new Error('read a document: a text is longer than it');
    return { value: document.toString('utf8', at + 4, at + 3 + length), next: at + 4 + length };
  }
  if (embedded.has(type)) return { value: null, next: at + Math.max(5, document.readInt32LE(at)) };
  if (type === binaryType) return { value: null, next: at + 5 + Math.max(0, document.readInt32LE(at)) };
  const size = fixed[type];
  if (size === undefined) throw new Error(`read a document: type ${type} is not expected`);
  const next = at + size;
  if (type === 8) return { value: document.readUInt8(at) === 1, next };
  if (type === 16) return { value: document.readInt32LE(at), next };
  if (type === 18) return { value: document.readBigInt64LE(at), next };
  return { value: null, next };
}

/** Throws when the bytes are no document. */
export function readFields(document: Buffer): Map<string, BsonValue> {
  const found = new Map<string, BsonValue>();
  let at = 4;
  for (;;) {
    const type = document.readUInt8(at);
    if (type === 0) break;
    const end = document.indexOf(0, at + 1);
    if (end < 0) throw new Error('read a document: a name does not end');
    const read = value(document, type, end + 1);
    found.set(document.toString('utf8', at + 1, end), read.value);
    at = read.next;
  }
  if (at !== document.length - 1) throw new Error('read a document: it ends before its length');
  return found;
}
