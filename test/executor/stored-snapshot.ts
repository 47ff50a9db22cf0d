// Puts a snapshot into a store as a backup would, without a database: its bytes go through the real stream, its manifest is a real one.
import { createHash } from 'node:crypto';
import { encodeManifest, type Manifest } from '../../crds/rules/manifest.ts';
import { dataKey, manifestKey, type Owner, snapshotId } from '../../crds/rules/names.ts';
import type { Run } from '../../executor/run.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { compress } from '../../executor/stream/compress.ts';
import { encrypt } from '../../executor/stream/encrypt.ts';
import { archive } from './archive.ts';

export interface Stored {
  /** Of March 2026. */
  day?: number;
  plain?: Buffer;
  compression?: Manifest['compression'];
  recipients?: string[];
  owner?: Owner;
  /** What the manifest says against the truth. */
  over?: Partial<Manifest>;
  /** What is stored in place of the true bytes. */
  change?: (bytes: Buffer) => Buffer;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A small whole dump. */
export const dump = (rows = 100): Buffer =>
  archive([{ id: 1, rows: Array.from({ length: rows }, (_, n) => Buffer.from(`row ${n}\tof many\n`)) }]);

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

async function pack(plain: Buffer, algorithm: Manifest['compression'], recipients: string[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of encrypt(compress(once(plain), { algorithm, level: 1 }), recipients)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

let random = 0;

/** @returns the manifest as it stands in the store */
export async function storeSnapshot(run: Run, storage: Storage, wanted: Stored = {}): Promise<Manifest> {
  const { day = 1, plain = dump(), compression = 'zstd', recipients = [], owner = run.task.owner } = wanted;
  const time = `2026-03-${String(day).padStart(2, '0')}T01:00:00Z`;
  random += 1;
  const id = snapshotId(new Date(time), owner, random.toString(16).padStart(4, '0'));
  const bytes = await pack(plain, compression, recipients);
  const manifest: Manifest = {
    formatVersion: 1,
    id,
    key: dataKey(run.prefix, id),
    owner,
    cluster: 'orders-db',
    time,
    trigger: 'Schedule',
    jobUid: 'job-1',
    lockEpoch: 1,
    dumpStartedAt: time,
    committedAt: time,
    engine: 'postgres',
    dumpFormat: 'pg_dump-custom',
    image: 'postgres:15',
    serverVersion: '15.14',
    toolVersion: 'pg_dump (PostgreSQL) 15.14',
    identity: '7300000000000000001/16384',
    database: 'orders',
    compression,
    encryption: recipients.length > 0 ? 'age' : 'none',
    recipients,
    plainSize: plain.length,
    plainSha256: sha256(plain),
    storedSize: bytes.length,
    storedSha256: sha256(bytes),
    dbbackupVersion: 'test',
    restore: [],
    ...wanted.over,
  };
  const signal = new AbortController().signal;
  await storage.put(dataKey(run.prefix, id), once(wanted.change?.(bytes) ?? bytes), { signal, expectedBytes: 0 });
  await storage.putSmall(manifestKey(run.prefix, id), encodeManifest(manifest));
  return manifest;
}
