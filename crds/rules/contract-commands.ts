// What the executor's commands beside `prepare` and `backup` are told and what they tell: list, prune, verify, restore. The task is that
// of the backup whose snapshots they read (contract.ts); the order says what to do with them.
import {
  cut,
  type EnvVar,
  type Failure,
  type Inventory,
  inventoryOf,
  literal,
  object,
  type SecretKeyTask,
  withInventory,
} from './contract.ts';
import { isReason, type Reason } from './reasons.ts';
import type { Choice } from './selection.ts';

/** What the executor decides about the target, as it stands in runFiles.verdict. */
export type Verdict = 'restore' | 'overwrite' | 'refuse' | 'skip';

export interface PruneOrder {
  command: 'prune';
  /** Id of the newest snapshot that status knows; a listing that does not show it is stale. Empty: none is known. */
  newest: string;
}

export interface ListOrder {
  command: 'list';
}

/** Below paths.identity, a file of age identities as age-keygen writes it; absent: snapshots are not opened. */
interface Reading {
  choice: Choice;
  identity?: SecretKeyTask;
}

export interface VerifyOrder extends Reading {
  command: 'verify';
}

export interface RestoreOrder extends Reading {
  command: 'restore';
  /** Read the whole object and compare its digest before the first byte reaches the database. */
  verifyFirst: boolean;
  ifNotEmpty: 'Skip' | 'Fail' | 'Overwrite';
  ifNoSnapshot: 'Fail' | 'Skip';
  /** RFC 3339. After it nothing is touched. Overwrite has to have it. */
  notAfter?: string;
}

export type Order = PruneOrder | ListOrder | VerifyOrder | RestoreOrder;

const orderVariable = 'DBBACKUP_ORDER';

/** Beside the variables of encodeTask. Holds no secret. */
export function encodeOrder(order: Order): EnvVar {
  return { name: orderVariable, value: literal(JSON.stringify(order)) };
}

/** Reads the order for a command. Throws an Error that names the variable. */
export function decodeOrder<C extends Order['command']>(
  env: Readonly<Record<string, string | undefined>>,
  command: C,
): Extract<Order, { command: C }> {
  const text = env[orderVariable] ?? '';
  if (text === '') throw new Error(`read ${orderVariable}: it is not set: start this program as a Job of dbbackup`);
  const order = object(text) as Order | undefined;
  if (order?.command !== command)
    throw new Error(`read ${orderVariable}: it is for ${JSON.stringify(order?.command)}, not for "${command}"`);
  return order as Extract<Order, { command: C }>;
}

/** What the restore container tells before it waits for the verdict, beside the facts of a dump. */
export interface TargetFacts {
  serverVersion: string;
  toolVersion: string;
  /** Of the database as it is now; empty where the engine has none or the login may not read it. */
  identity: string;
  /** How many things a restore would meet; 0 when the target is empty. */
  contents: number;
}

export interface ListedSnapshot {
  /** Of this backup; of another Kubernetes cluster; of another backup that shares the place. */
  listed: 'own' | 'foreign' | 'neighbour';
  id: string;
  key: string;
  owner: { clusterUid: string; namespace: string; name: string };
  /** The window's or trigger's time. */
  window: string;
  dumpStartedAt: string;
  size: number;
  storedSize: number;
  sha256: string;
  engine: string;
  engineVersion: string;
  identity: string;
  encrypted: boolean;
}

/** Data without a manifest: no snapshot. */
export interface ListedOrphan {
  listed: 'orphan';
  id: string;
  key: string;
  storedSize: number;
  modifiedAt: string;
}

/** A manifest that cannot be relied upon. */
export interface ListedBroken {
  listed: 'broken';
  id: string;
  key: string;
  why: string;
}

/** What `list` writes to standard output, one JSON object a line, with a log line's level, time and msg beside it. */
export type ListLine = ListedSnapshot | ListedOrphan | ListedBroken;

export interface Listed {
  outcome: 'Succeeded';
  command: 'list';
  own: number;
  foreign: number;
  neighbours: number;
  orphans: number;
  broken: number;
  /** Bytes of own snapshots. */
  storedBytes: number;
}

export interface Pruned {
  outcome: 'Succeeded';
  command: 'prune';
}

export interface Verified {
  outcome: 'Succeeded';
  command: 'verify';
  id: string;
  key: string;
  storedSize: number;
  sha256: string;
  /** Whether it was also decrypted, decompressed and seen to be a whole dump; otherwise the stored bytes are right. */
  opened: boolean;
  durationSeconds: number;
}

export interface Restored {
  outcome: 'Succeeded';
  command: 'restore';
  id: string;
  key: string;
  size: number;
  storedSize: number;
  sha256: string;
  dumpStartedAt: string;
  durationSeconds: number;
  engineVersion: string;
}

/** Nothing was done, and that is well. */
export interface Skipped {
  outcome: 'Skipped';
  command: 'restore';
  why: 'TargetNotEmpty' | 'NoSnapshot' | 'Expired';
  message: string;
}

export type Told = Listed | Pruned | Verified | Restored | Skipped;

export interface Report {
  run: Told | Failure;
  /** Of list and prune. */
  inventory?: Inventory;
}

/** The termination message: the outcome on the first line, valid by itself, at most resultLimit bytes in all. */
export function encodeReport({ run, inventory }: Report): string {
  const short = 'message' in run ? { ...run, message: cut(run.message, 700) } : run;
  return withInventory(JSON.stringify(short), inventory);
}

const wholeNumbers = [
  'own',
  'foreign',
  'neighbours',
  'orphans',
  'broken',
  'storedBytes',
  'storedSize',
  'size',
  'durationSeconds',
];
const fieldsOf: Record<Told['command'], readonly string[]> = {
  list: ['own', 'foreign', 'neighbours', 'orphans', 'broken', 'storedBytes'],
  prune: [],
  verify: ['id', 'key', 'storedSize', 'sha256', 'opened', 'durationSeconds'],
  restore: ['id', 'key', 'size', 'storedSize', 'sha256', 'dumpStartedAt', 'durationSeconds', 'engineVersion'],
};

function isField(name: string, value: unknown): boolean {
  if (wholeNumbers.includes(name)) return Number.isSafeInteger(value) && Number(value) >= 0;
  return name === 'opened' ? typeof value === 'boolean' : typeof value === 'string';
}

function isTold(run: Record<string, unknown>): boolean {
  const command = run['command'];
  if (typeof command !== 'string' || !Object.hasOwn(fieldsOf, command)) return false;
  if (run['outcome'] === 'Skipped')
    return (
      ['TargetNotEmpty', 'NoSnapshot', 'Expired'].includes(String(run['why'])) && typeof run['message'] === 'string'
    );
  const fields = fieldsOf[command as Told['command']];
  return run['outcome'] === 'Succeeded' && fields.every((name) => isField(name, run[name]));
}

/** Reads a termination message of these commands back; undefined when its first line is none of theirs. */
export function decodeReport(message: string): Report | undefined {
  const [first = '', second] = message.split('\n', 2);
  const run = object(first);
  if (run === undefined) return undefined;
  if (run['outcome'] === 'Failed' && typeof run['reason'] === 'string') {
    const reason: Reason = isReason(run['reason']) ? run['reason'] : 'Unknown';
    const detail = typeof run['message'] === 'string' ? run['message'] : '';
    return { run: { outcome: 'Failed', reason, message: detail }, ...inventoryOf(second) };
  }
  return isTold(run) ? { run: run as unknown as Told, ...inventoryOf(second) } : undefined;
}
