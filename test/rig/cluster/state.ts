// Where a rig keeps what it made, and the record another process reads to use, reuse or remove it.
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';

/** The addresses of one rig with a node; all of them belong to this rig alone. */
export interface Network {
  /** The host's end of the cable, and its device name. */
  readonly host: string;
  readonly device: string;
  readonly node: string;
  readonly pods: string;
  readonly services: string;
  /** The first address of `services`, which Kubernetes gives the API server. */
  readonly apiService: string;
}

/** What is recorded of a rig; the pids of a built one are beside it, each written by the process itself. */
export type RigState = KindState | BuiltState;

interface AnyState {
  readonly name: string;
  /** Written first and last: a rig found `starting` by a later process was left by a crash. */
  readonly phase: 'starting' | 'ready';
  readonly hasNode: boolean;
}

export interface KindState extends AnyState {
  readonly provider: 'kind';
}

export interface BuiltState extends AnyState {
  readonly provider: 'built';
  readonly apiHost: string;
  readonly apiPort: number;
  readonly network: Network | null;
}

/** The rig that is meant when none is named. */
export const DEFAULT_NAME = 'main';

/** Names go into device, cgroup and host names, so they are short and plain. */
export function checkRigName(name: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$/.test(name)) return;
  throw new Error(
    `name the rig: "${name}" is not 1 to 24 of a-z, 0-9 and "-", with no "-" at the ends; choose another`,
  );
}

export function rigsDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_STATE_HOME'] || env['XDG_CACHE_HOME'] || path.join(env['HOME'] || homedir(), '.cache');
  return path.resolve(base, 'dbbackup', 'rig');
}

export const rigDirectory = (name: string): string => path.join(rigsDirectory(), name);
export const kubeconfigFile = (name: string): string => path.join(rigDirectory(name), 'kubeconfig');
/** Held while a rig is started or removed. It stays when the rig goes: removing a lock file is a race of its own. */
export const lockFile = (name: string): string => path.join(rigsDirectory(), `.${name}.lock`);

/** What sets this rig's devices and cgroups apart from those of a rig of the same name in another directory. */
export const rigId = (name: string): string =>
  createHash('sha256').update(rigDirectory(name)).digest('hex').slice(0, 8);

export async function rigNames(): Promise<string[]> {
  try {
    const entries = await readdir(rigsDirectory(), { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** The record of a rig, or null where there is none that can be read, which is the same as a crash before the first. */
export async function readState(name: string): Promise<RigState | null> {
  try {
    return JSON.parse(await readFile(path.join(rigDirectory(name), 'state.json'), 'utf8')) as RigState;
  } catch {
    return null;
  }
}

export async function writeState(state: RigState): Promise<void> {
  const file = path.join(rigDirectory(state.name), 'state.json');
  await writeFile(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  await rename(`${file}.new`, file);
}
