// The manifest beside every snapshot: its commit record. It is written last, create-only; a data object without it is no snapshot.
import type { EngineName } from './engines/table.ts';
import { dataSuffix, type Owner, timestamp } from './names.ts';

export interface Manifest {
  formatVersion: 1;
  id: string;
  /** Key of the data object. */
  key: string;
  owner: Owner;
  cluster: string;
  /** The window or the trigger's time, RFC 3339. */
  time: string;
  trigger: 'Schedule' | 'Manual' | 'Gate';
  jobUid: string;
  lockEpoch: number;
  dumpStartedAt: string;
  committedAt: string;
  engine: EngineName;
  dumpFormat: string;
  image: string;
  serverVersion: string;
  toolVersion: string;
  /** Empty where the engine has none. */
  identity: string;
  /** RFC 3339. The start of the first dump that found this identity; absent where there is none. */
  identitySince?: string;
  /** Its name; empty for all databases and for engines that have none. */
  database: string;
  allDatabases?: true;
  /** It holds roles and tablespaces alone. */
  onlyRoles?: true;
  compression: 'zstd' | 'gzip' | 'none';
  encryption: 'age' | 'none';
  recipients: string[];
  /** Bytes that the dump wrote, and their digest. */
  plainSize: number;
  plainSha256: string;
  /** Bytes in storage, and their digest. */
  storedSize: number;
  storedSha256: string;
  dbbackupVersion: string;
  /** How to restore with stock tools, a line a step. */
  restore: string[];
}

/** Bytes of a manifest at the most: ours have some 3,000. */
export const manifestLimit = 65_536;

/** One field a line, so that a shell can read one with sed. */
export function encodeManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isSize = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** Reads a manifest that anyone may have edited. Throws an Error that says what is wrong; nothing is assumed about the rest. */
export function decodeManifest(text: string, expectedKey: string): Manifest {
  const fail = (detail: string): Error => new Error(`read manifest of "${expectedKey}": ${detail}`);
  const bytes = Buffer.byteLength(text);
  if (bytes > manifestLimit) throw fail(`it has ${bytes} bytes, at most ${manifestLimit} are expected`);
  let value: Partial<Manifest> | null;
  try {
    value = JSON.parse(text) as Partial<Manifest> | null;
  } catch {
    throw fail('it is not JSON');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw fail('it is not an object');
  if (value.formatVersion !== 1) throw fail(`format version ${JSON.stringify(value.formatVersion)} is not 1`);
  if (value.key !== expectedKey) throw fail(`it speaks of another key, ${JSON.stringify(value.key)}`);
  const owner = value.owner;
  if (typeof owner?.clusterUid !== 'string' || typeof owner.namespace !== 'string' || typeof owner.name !== 'string')
    throw fail('it names no owner');
  if (!isDigest(value.storedSha256) || !isDigest(value.plainSha256)) throw fail('a digest is missing');
  if (!isSize(value.storedSize) || !isSize(value.plainSize)) throw fail('a size is missing');
  for (const field of ['id', 'time', 'dumpStartedAt', 'jobUid', 'cluster', 'database', 'engine', 'identity'] as const)
    if (typeof value[field] !== 'string') throw fail(`${field} is missing`);
  if (!['zstd', 'gzip', 'none'].includes(String(value.compression)))
    throw fail(`compression ${JSON.stringify(value.compression)} is unknown`);
  if (!['age', 'none'].includes(String(value.encryption)))
    throw fail(`encryption ${JSON.stringify(value.encryption)} is unknown`);
  if (expectedKey.split('/').at(-1) !== `${value.id}${dataSuffix}`)
    throw fail(`it has the id of another, ${JSON.stringify(value.id)}`);
  if (value.identity !== undefined && typeof value.identity !== 'string') throw fail('identity is not a text');
  for (const field of ['time', 'dumpStartedAt', 'identitySince'] as const)
    if ((field !== 'identitySince' || value[field] !== undefined) && Number.isNaN(Date.parse(value[field] ?? '')))
      throw fail(`${field} is not a time`);
  if (timestamp(new Date(value.time ?? '')) !== value.id?.split('-')[0])
    throw fail(`its time ${JSON.stringify(value.time)} is not that of its id`);
  return value as Manifest;
}
