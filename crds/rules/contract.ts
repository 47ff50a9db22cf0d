// What the controller hands to a Job's pod and what comes back: the files of the pod, the task, the result. Both sides encode and
// decode here, so that no name is written twice.
import type { DatabaseTask } from './engines/engine.ts';
import type { EngineName } from './engines/table.ts';
import type { Owner } from './names.ts';
import { isReason, type Reason } from './reasons.ts';
import type { RetentionPolicy } from './retention.ts';
import { isTime } from './time.ts';

/** Files and folders that the pod's containers share. */
export const paths = {
  /** Shared by all containers: the FIFO and what the two sides tell each other. */
  run: '/dbbackup/run',
  /** Keys of the database's Secret; only in the dump container. */
  databaseSecret: '/dbbackup/database',
  /** The authorities of the database's certificate, as ca.crt; only in the dump container. */
  databaseAuthorities: '/dbbackup/database-ca',
  /** A service account token for the database's own login (OpenBao), as token; only in the dump container. */
  databaseToken: '/dbbackup/database-token',
  /** Keys of the storage's Secret; only in executor containers. */
  storageSecret: '/dbbackup/storage',
  /** The authorities of the store's certificate, as ca.crt; only in executor containers. */
  storageAuthorities: '/dbbackup/storage-ca',
  /** A service account token for the cloud's own token service, as token; only in executor containers. */
  cloudToken: '/dbbackup/cloud-token',
  /** The claim of storage.pvc; only in executor containers. */
  volume: '/dbbackup/volume',
  /** The age identity that opens snapshots, one file; only in executor containers that read. */
  identity: '/dbbackup/identity',
  /** Private to the dump container. */
  dumpTemporary: '/tmp',
} as const;

/** Names below paths.run. Each is written by one side only, under a temporary name and renamed, so that no half of it is read. */
export const runFiles = {
  /** Made by prepare, written by dump, read by executor. */
  fifo: 'dump.fifo',
  /** dump -> executor: `key=value` lines, see DumpFacts. Exists before the first byte. */
  facts: 'facts',
  /**
   * dump -> executor: `<exit code> <reason or ->`. Exists once the dump tool has ended. A restore that was to overwrite and has destroyed nothing
   * adds the word of `untouched`.
   */
  exit: 'exit',
  /** dump -> executor: the last of the tool's complaint, at most 1,000 bytes. */
  error: 'error',
  /** executor -> dump: a number that grows every few seconds. One that stands still for a minute ends the dump. */
  heartbeat: 'heartbeat',
  /** executor -> dump: exists once the executor has given up. */
  abort: 'abort',
  /** prepare -> dump and executor: this Job's snapshot is committed already; holds its manifest. */
  committed: 'committed.json',
  /** restore -> executor: a number that grows while it lives, also when the tool takes no bytes. */
  alive: 'alive',
  /**
   * executor -> restore: what to do, one word of Verdict. The restore container touches nothing before it. Where something is restored,
   * ifNotEmpty, the name of the database that was dumped and the version of the tool that dumped it follow, a line each.
   */
  verdict: 'verdict',
  /** executor -> restore: exists once every byte was given and is what the manifest tells. Only then does the tool see the end. */
  complete: 'complete',
} as const;

/** The last word of runFiles.exit of a restore that failed before anything of its target was gone. */
export const untouched = 'untouched';

export const containers = { prepare: 'prepare', dump: 'dump', restore: 'restore', executor: 'executor' } as const;

/** A file below paths.storageSecret; the Secret's name is for messages. */
export interface SecretKeyTask {
  secret: string;
  key: string;
}

export interface S3Task {
  kind: 's3';
  bucket: string;
  region: string;
  endpoint?: string;
  forcePathStyle: boolean;
  /** Where the authorities of paths.storageAuthorities come from, for messages. They are trusted, and no others. */
  authorities?: { kind: 'ConfigMap' | 'Secret'; name: string; key: string };
  /** What AWS asks for, or only what the operation needs, which compatible stores understand. */
  checksums?: 'auto' | 'required';
  storageClass?: string;
  serverSideEncryption?: { algorithm: 'AES256' | 'aws:kms'; kmsKeyId?: string };
  /** Each object is locked for so many days from its upload on. */
  objectLock?: { mode: 'GOVERNANCE' | 'COMPLIANCE'; days: number };
  /** Names of files below paths.storageSecret, and the Secret's name for messages; absent: the SDK's own chain. */
  secret?: { name: string; accessKeyId: string; secretAccessKey: string; sessionToken: string };
  /** Role that is taken with the token of paths.cloudToken; the SDK reads both from variables of its own. */
  roleArn?: string;
}

export interface GcsTask {
  kind: 'gcs';
  bucket: string;
  project?: string;
  endpoint?: string;
  /** A service account's key as JSON; absent: application default credentials (metadata server, workload identity). */
  keyFile?: SecretKeyTask;
}

export interface AzureTask {
  kind: 'azure';
  container: string;
  account: string;
  endpoint?: string;
  auth:
    | { kind: 'accountKey' | 'connectionString' | 'sasToken'; secretKey: SecretKeyTask }
    | { kind: 'managedIdentity'; clientId?: string }
    /** With both ids the token of paths.cloudToken is used; what is absent comes from the variables that the cluster's webhook sets. */
    | { kind: 'workloadIdentity'; clientId?: string; tenantId?: string };
}

export interface DirectoryTask {
  kind: 'directory';
  claimName: string;
  subPath?: string;
}

export type StorageTask = S3Task | GcsTask | AzureTask | DirectoryTask;

/** One backup run, as the executor needs it. Holds no secret. */
export interface Task {
  version: 1;
  owner: Owner;
  /** Lock name and segment of the key. */
  cluster: string;
  pathPrefix?: string;
  trigger: 'Schedule' | 'Manual' | 'Gate';
  /** The window's time, or when the manual trigger was seen; RFC 3339. */
  time: string;
  engine: EngineName;
  image: string;
  database: DatabaseTask;
  storage: StorageTask;
  compression: { algorithm: 'zstd' | 'gzip' | 'none'; level: number };
  /** age public keys; empty means not encrypted. */
  recipients: string[];
  /** Adopted are uids of other Kubernetes clusters whose snapshots of this namespace and name are ours, too. */
  retention: RetentionPolicy & { adopt?: readonly string[]; maxDeletesPerRun: number };
  limits: {
    /** Seconds from the executor's start to the dump's first byte. */
    firstByteSeconds: number;
    /** Seconds without a byte after the first. */
    stallSeconds: number;
    /** Seconds one pod may take; leftovers younger than twice this are not touched. */
    deadlineSeconds: number;
  };
}

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: { fieldRef: { fieldPath: string } };
}

const taskVariable = 'DBBACKUP_TASK';
const jobUidVariable = 'DBBACKUP_JOB_UID';
const lockEpochVariable = 'DBBACKUP_LOCK_EPOCH';
const lastSizeVariable = 'DBBACKUP_LAST_SIZE';

/** Text that Kubernetes hands on as it stands: it would expand $(NAME) in values and arguments. */
export function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** The executor's variables. What is known only when the Job starts comes from the pod's own labels and annotations. */
export function encodeTask(task: Task, annotations: { lockEpoch: string; lastSize: string }): EnvVar[] {
  const field = (name: string, fieldPath: string): EnvVar => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  return [
    { name: taskVariable, value: literal(JSON.stringify(task)) },
    field(jobUidVariable, "metadata.labels['batch.kubernetes.io/controller-uid']"),
    field(lockEpochVariable, `metadata.annotations['${annotations.lockEpoch}']`),
    field(lastSizeVariable, `metadata.annotations['${annotations.lastSize}']`),
  ];
}

export interface DecodedTask {
  task: Task;
  jobUid: string;
  /** leaseTransitions at the start; recorded, never relied upon. */
  lockEpoch: number;
  /** Stored bytes of the newest snapshot, 0 when unknown. */
  lastSize: number;
}

/** Reads the executor's variables. Throws an Error that names the variable. */
export function decodeTask(env: Readonly<Record<string, string | undefined>>): DecodedTask {
  const text = env[taskVariable];
  if (text === undefined || text === '')
    throw new Error(`read ${taskVariable}: it is not set: start this program as a Job of dbbackup`);
  let task: Task | null;
  try {
    task = JSON.parse(text) as Task | null;
  } catch {
    throw new Error(`read ${taskVariable}: it is not JSON: start this program as a Job of dbbackup`);
  }
  if (task?.version !== 1)
    throw new Error(
      `read ${taskVariable}: version ${JSON.stringify(task?.version)}: this executor understands 1; use controller and executor of one release`,
    );
  const jobUid = env[jobUidVariable] ?? '';
  if (jobUid === '') throw new Error(`read ${jobUidVariable}: it is not set: start this program as a Job of dbbackup`);
  return {
    task,
    jobUid,
    lockEpoch: Number(env[lockEpochVariable] ?? '') || 0,
    lastSize: Number(env[lastSizeVariable] ?? '') || 0,
  };
}

/** What the dump container tells before its first byte. */
export interface DumpFacts {
  startedAt: string;
  serverVersion: string;
  toolVersion: string;
  /** Empty where the engine has none or the login may not read it. */
  identity: string;
  /** Roles and tablespaces were dumped, and no database. */
  onlyRoles: boolean;
}

export function decodeFacts(text: string): DumpFacts {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) values.set(line.slice(0, at), printable(line.slice(at + 1)).slice(0, 128));
  }
  const get = (key: string): string => values.get(key) ?? '';
  return {
    startedAt: get('startedAt'),
    serverVersion: get('serverVersion'),
    toolVersion: get('toolVersion'),
    identity: get('identity'),
    onlyRoles: get('only') === 'roles',
  };
}

export interface Success {
  outcome: 'Succeeded';
  id: string;
  key: string;
  size: number;
  storedSize: number;
  /** Digest of the stored bytes, hex. */
  sha256: string;
  dumpStartedAt: string;
  durationSeconds: number;
  engineVersion: string;
  identity: string;
  encrypted: boolean;
}

export interface Failure {
  outcome: 'Failed';
  reason: Reason;
  message: string;
}

/** What storage holds of this owner after the run. When it could not be listed all but pruneError is absent: nobody knows. */
export interface Inventory {
  /** The newest, newest first, at most 25. */
  snapshots?: { id: string; size: number }[];
  count?: number;
  deleted?: number;
  /** Committed snapshots of other Kubernetes clusters below the same prefix. */
  foreign?: number;
  /** Snapshots that no rule keeps and that the bucket does not let go of yet; absent where there are none. */
  locked?: number;
  /** Why pruning failed; empty when it went well. */
  pruneError: string;
}

export interface Result {
  run: Success | Failure;
  inventory?: Inventory;
}

/** The kubelet divides 12 KiB by all containers, injected ones too: more than this may be cut. */
export const resultLimit = 2048;

/**
 * The termination message: the run on the first line, valid by itself, the inventory on the second, shortened to fit resultLimit.
 */
export function encodeResult(result: Result): string {
  const run = result.run.outcome === 'Failed' ? { ...result.run, message: cut(result.run.message, 700) } : result.run;
  return withInventory(JSON.stringify(run), result.inventory);
}

/** The first line, and the inventory as a second one with as many snapshots as fit. */
export function withInventory(first: string, whole: Inventory | undefined): string {
  if (whole === undefined) return first;
  const { snapshots, ...rest } = whole;
  for (let keep = Math.min(25, snapshots?.length ?? 0); keep >= 0; keep--) {
    const inventory = {
      ...rest,
      pruneError: cut(whole.pruneError, 200),
      ...(snapshots && { snapshots: snapshots.slice(0, keep).map(({ id, size }) => [id, size]) }),
    };
    const text = `${first}\n${JSON.stringify(inventory)}`;
    if (Buffer.byteLength(text) <= resultLimit) return text;
  }
  return first;
}

/** Without control characters and halves of characters, each of which JSON would write with six bytes. */
function printable(text: string): string {
  return text.toWellFormed().replace(/\p{Cc}/gu, ' ');
}

export function cut(text: string, bytes: number): string {
  const clean = printable(text);
  const buffer = Buffer.from(clean);
  return buffer.length <= bytes
    ? clean
    : `${buffer
        .subarray(0, bytes - 4)
        .toString()
        .replace(/\uFFFD+$/, '')} ...`;
}

/** Reads a termination message back. A second line that was cut is passed over; undefined when the first is none of ours. */
export function decodeResult(message: string): Result | undefined {
  const [first = '', second] = message.split('\n', 2);
  const run = object(first);
  if (run === undefined) return undefined;
  if (run['outcome'] === 'Failed' && typeof run['reason'] === 'string') {
    const reason: Reason = isReason(run['reason']) ? run['reason'] : 'Unknown';
    const message = typeof run['message'] === 'string' ? run['message'] : '';
    return { run: { outcome: 'Failed', reason, message }, ...inventoryOf(second) };
  }
  return isSuccess(run) ? { run, ...inventoryOf(second) } : undefined;
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/** Every field is there, in the form that status takes: the API server would refuse the write, and the run would never end. */
function isSuccess(run: object): run is Success {
  const {
    outcome,
    id,
    key,
    size,
    storedSize,
    sha256,
    dumpStartedAt,
    durationSeconds,
    engineVersion,
    identity,
    encrypted,
  } = run as Partial<Record<keyof Success, unknown>>;
  return (
    outcome === 'Succeeded' &&
    [id, key, sha256, engineVersion, identity].every((value) => typeof value === 'string') &&
    [size, storedSize, durationSeconds].every(isWhole) &&
    typeof encrypted === 'boolean' &&
    typeof dumpStartedAt === 'string' &&
    isTime(dumpStartedAt)
  );
}

export function inventoryOf(line: string | undefined): { inventory?: Inventory } {
  const value = object(line ?? '');
  if (value === undefined) return {};
  const pruneError = typeof value['pruneError'] === 'string' ? value['pruneError'] : '';
  const list = value['snapshots'];
  if (!Array.isArray(list)) return list === undefined && pruneError !== '' ? { inventory: { pruneError } } : {};
  const snapshots = list
    .filter(
      (entry): entry is [string, number] => Array.isArray(entry) && typeof entry[0] === 'string' && isWhole(entry[1]),
    )
    .map(([id, size]) => ({ id, size }));
  const number = (key: string): number => (isWhole(value[key]) ? value[key] : 0);
  return {
    inventory: {
      snapshots,
      count: number('count'),
      deleted: number('deleted'),
      foreign: number('foreign'),
      ...(number('locked') === 0 ? {} : { locked: number('locked') }),
      pruneError,
    },
  };
}

export function object(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
