// Every name that dbbackup makes: Jobs, Leases, labels, annotations, keys in storage. The only place that concatenates them.
import { createHash } from 'node:crypto';

export const group = 'dbbackup.io';
export const version = 'v1alpha1';
export const plural = 'databasebackups';

export const labels = {
  /** On Jobs and pods: name of the DatabaseBackup. */
  backup: 'dbbackup.io/name',
  /** On Jobs and pods: Schedule, Manual, Gate or Restore. */
  trigger: 'dbbackup.io/trigger-kind',
  managedBy: 'app.kubernetes.io/managed-by',
} as const;

/** On a ServiceAccount: backups of its namespace may run as it. */
export const serviceAccountLabel = { key: 'dbbackup.io/backup', value: 'allowed' } as const;

export const annotations = {
  /** On a DatabaseBackup: a new value asks for a backup now. */
  trigger: 'dbbackup.io/trigger',
  /** On a DatabaseBackup: who set the trigger. */
  triggeredBy: 'dbbackup.io/triggered-by',
  /** On a Job: the window it is for, RFC 3339. */
  slot: 'dbbackup.io/slot',
  /** On a Job: the trigger annotation's value it is for. */
  token: 'dbbackup.io/token',
  /** On a Job: the gate's token it is for. */
  gate: 'dbbackup.io/gate-token',
  /** On a Job: digest of the spec it was made from. */
  specHash: 'dbbackup.io/spec-hash',
  /** On a Job: it has been unsuspended once. Suspended again, it was canceled. */
  started: 'dbbackup.io/started',
  /** On a pod: leaseTransitions at the start, for the manifest. */
  lockEpoch: 'dbbackup.io/lock-epoch',
  /** On a pod: stored size of the newest snapshot in bytes; sizes the parts. */
  lastSize: 'dbbackup.io/last-size',
  /** On a Lease: name and uid of the Job that holds it. Where the uid is not the holder's, the holder is foreign. */
  job: 'dbbackup.io/job',
  jobUid: 'dbbackup.io/job-uid',
} as const;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** `yyyymmddThhmmssZ` in UTC. Takes an instant, gives the form used in keys. */
export function timestamp(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/** Name of a window's Job: `<backup>-<yyyymmddhhmmss>`; at most 63 characters, since backups have at most 48. */
export function windowJobName(backup: string, window: Date): string {
  return `${backup}-${timestamp(window).replace(/[TZ]/g, '')}`;
}

/**
 * Name of the Job of a manual run or a gate. It holds the uid of the Job recorded for the token of that kind handled before, so that
 * it cannot change while a token waits and that a token used again later gets a new one.
 */
export function triggerJobName(
  backup: string,
  objectUid: string,
  kind: 'Manual' | 'Gate',
  token: string,
  previousJobUid: string,
): string {
  return `${backup}-t-${sha256(JSON.stringify([objectUid, kind, token, previousJobUid])).slice(0, 10)}`;
}

/** Name of the lock of a database cluster within a namespace. */
export function leaseName(cluster: string): string {
  return `dbbackup-${cluster}`;
}

/** Digest of a spec as the API server stores it; Jobs made from another spec are not started. */
export function specHash(spec: object): string {
  return sha256(canonical(spec)).slice(0, 16);
}

/** JSON with sorted keys, so that equal values give equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}

/** Who a snapshot belongs to: one backup object of one Kubernetes cluster. It survives the object being made anew. */
export interface Owner {
  /** uid of the kube-system namespace. */
  clusterUid: string;
  namespace: string;
  name: string;
}

/** First four hex digits of every id of this owner. */
export function ownerDigits(owner: Owner): string {
  return sha256(JSON.stringify([owner.clusterUid, owner.namespace, owner.name])).slice(0, 4);
}

/**
 * Id of a snapshot: `<timestamp>-<4 hex of the owner><4 random hex>`.
 * @param time the window's or the trigger's time
 * @param random four hex digits, new for each pod
 */
export function snapshotId(time: Date, owner: Owner, random: string): string {
  if (!/^[0-9a-f]{4}$/.test(random)) throw new Error(`make a snapshot id: random "${random}": must be 4 hex digits`);
  return `${timestamp(time)}-${ownerDigits(owner)}${random}`;
}

/** Prefix of the keys of one database cluster, with a final slash. */
export function clusterPrefix(pathPrefix: string | undefined, namespace: string, cluster: string): string {
  return `${pathPrefix === undefined || pathPrefix === '' ? '' : `${pathPrefix}/`}${namespace}/${cluster}/`;
}

export const dataSuffix = '.snap';
export const manifestSuffix = '.snap.json';

export function dataKey(prefix: string, id: string): string {
  return `${prefix}${id}${dataSuffix}`;
}

export function manifestKey(prefix: string, id: string): string {
  return `${prefix}${id}${manifestSuffix}`;
}

export interface ParsedKey {
  id: string;
  kind: 'data' | 'manifest';
  /** The window's or trigger's time that the id carries. */
  time: Date;
  ownerDigits: string;
}

const idPattern = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-([0-9a-f]{4})[0-9a-f]{4}$/;

/** Reads an id back; undefined when it is not one. */
export function parseSnapshotId(id: string): { time: Date; ownerDigits: string } | undefined {
  const match = idPattern.exec(id);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, digits] = match;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time.getTime()) || digits === undefined || !id.startsWith(timestamp(time))) return undefined;
  return { time, ownerDigits: digits };
}

/** The inverse of dataKey and manifestKey: only direct children of the prefix with names that we make; undefined for all else. */
export function parseKey(prefix: string, key: string): ParsedKey | undefined {
  if (!key.startsWith(prefix)) return undefined;
  const name = key.slice(prefix.length);
  const kind = name.endsWith(manifestSuffix) ? 'manifest' : 'data';
  const suffix = kind === 'manifest' ? manifestSuffix : dataSuffix;
  if (!name.endsWith(suffix)) return undefined;
  const id = name.slice(0, -suffix.length);
  const parsed = parseSnapshotId(id);
  return parsed === undefined ? undefined : { id, kind, ...parsed };
}
