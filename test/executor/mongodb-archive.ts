// Archives as mongodump writes them, made here from the format's own description: its programs are not to be had where these tests run.
import { ecma, littleEndian, type Sum } from '../../crds/rules/engines/crc64.ts';

type Value = string | number | bigint | boolean;

/** A BSON document of plain fields. */
export function document(fields: Record<string, Value>): Buffer {
  const parts = Object.entries(fields).map(([name, value]) => {
    const head = (type: number) => Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`)]);
    if (typeof value === 'string') {
      const text = Buffer.from(`${value}\0`);
      const length = Buffer.alloc(4);
      length.writeInt32LE(text.length);
      return Buffer.concat([head(2), length, text]);
    }
    if (typeof value === 'boolean') return Buffer.concat([head(8), Buffer.from([value ? 1 : 0])]);
    const number = Buffer.alloc(typeof value === 'bigint' ? 8 : 4);
    if (typeof value === 'bigint') number.writeBigInt64LE(value);
    else number.writeInt32LE(value);
    return Buffer.concat([head(typeof value === 'bigint' ? 18 : 16), number]);
  });
  const body = Buffer.concat([Buffer.alloc(4), ...parts, Buffer.alloc(1)]);
  body.writeInt32LE(body.length);
  return body;
}

export interface Collection {
  db: string;
  collection: string;
  type?: 'view' | 'timeseries';
  documents: Buffer[];
  /** The name its blocks have, where it is another. */
  blocks?: string;
}

const magic = Buffer.from('6de29981', 'hex');
export const terminator = Buffer.from('ffffffff', 'hex');

function sumOf(documents: Buffer[]): bigint {
  const sum: Sum = { high: -1, low: -1 };
  for (const one of documents) ecma(sum, one);
  return littleEndian({ high: ~sum.high, low: ~sum.low }).readBigInt64LE();
}

/**
 * The pieces of an archive: each may be the last one of an archive that was cut off.
 * @param turn documents of a collection before the next one has its turn
 */
export function pieces(collections: Collection[], turn = 2): Buffer[] {
  const found = [
    magic,
    document({ concurrent_collections: 4, version: '0.1', server_version: '7.0.5', tool_version: '100.9.4' }),
  ];
  for (const { db, collection, type = '' } of collections)
    found.push(document({ db, collection, metadata: '{"indexes":[]}', size: 0, type }));
  found.push(terminator);
  const header = ({ db, collection, blocks }: Collection, over: Record<string, Value>) =>
    document({ db, collection: blocks ?? collection, EOF: false, CRC: 0n, ...over });
  const left = collections.map((one) => ({ one, rest: [...one.documents] }));
  while (left.length > 0)
    for (const entry of [...left]) {
      found.push(header(entry.one, {}), ...entry.rest.splice(0, turn), terminator);
      if (entry.rest.length > 0) continue;
      found.push(header(entry.one, { EOF: true, CRC: sumOf(entry.one.documents) }), terminator);
      left.splice(left.indexOf(entry), 1);
    }
  return found;
}

export const archive = (collections: Collection[], turn?: number): Buffer => Buffer.concat(pieces(collections, turn));
