// What the tests of the built cluster share: rigs in a directory of the test's own, and a search for anything they leave.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { binary } from '../rig/binaries.ts';
import { builtCluster, startBuilt } from '../rig/cluster/built.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { type Recorded, recordedPrograms } from '../rig/cluster/processes.ts';
import { kubeconfigFile, rigDirectory, rigId } from '../rig/cluster/state.ts';
import { run } from '../rig/command.ts';

export const quiet = (): void => {};

/** Keeps the rigs of one test file apart from all others, the developer's own included. */
export function ownRigs(): void {
  const saved = process.env['XDG_STATE_HOME'];
  let state = '';
  beforeAll(async () => {
    state = await mkdtemp(path.join(tmpdir(), 'dbr-'));
    process.env['XDG_STATE_HOME'] = state;
  });
  afterAll(async () => {
    if (saved === undefined) delete process.env['XDG_STATE_HOME'];
    else process.env['XDG_STATE_HOME'] = saved;
    await rm(state, { recursive: true, force: true });
  });
}

export async function start(name: string, node: boolean): Promise<Cluster> {
  const { state, started } = await startBuilt(name, node, quiet);
  return builtCluster(state, started, quiet);
}

export async function kubectl(name: string, args: readonly string[], input?: string): Promise<string> {
  const program = await binary('kubectl', quiet);
  const options = input === undefined ? {} : { input };
  return run([program, '--kubeconfig', kubeconfigFile(name), '--request-timeout=30s', ...args], options);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

export async function named(name: string, program: string): Promise<Recorded> {
  const found = (await recordedPrograms(rigDirectory(name))).find((one) => one.program === program);
  if (found === undefined) throw new Error(`${program} of rig "${name}" is not recorded`);
  return found;
}

/** Everything on this machine that names the rig: its processes, directory, device, routes, mounts and cgroups. */
export async function traces(name: string): Promise<string[]> {
  const found: string[] = [];
  const directory = rigDirectory(name);
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(directory)) found.push(`process ${pid}: ${command.replaceAll('\0', ' ')}`);
  }
  if (await exists(directory)) found.push(directory);
  if (await exists(`/sys/class/net/dbb${rigId(name)}`)) found.push('device');
  const cgroups = await readdir('/sys/fs/cgroup', { recursive: false });
  for (const tree of ['', ...cgroups]) {
    const cgroup = path.join('/sys/fs/cgroup', tree, `dbbackup-${rigId(name)}`);
    if (await exists(cgroup)) found.push(cgroup);
  }
  if ((await readFile('/proc/self/mounts', 'utf8')).includes(directory)) found.push('mount');
  return found;
}

/** Starts a rig in a process of its own and kills that process when `when` is true. */
export async function startAndKill(name: string, node: boolean, when: () => Promise<boolean>): Promise<void> {
  const built = path.join(import.meta.dirname, '../rig/cluster/built.ts');
  const code = `import { startBuilt } from ${JSON.stringify(built)}; await startBuilt('${name}', ${node}, () => {});`;
  const starter = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(starter, 'exit');
  await expect.poll(when, { timeout: 60_000, interval: 20 }).toBe(true);
  starter.kill('SIGKILL');
  await exited;
}
