// Finds or makes the programs a real cluster is put together from: a directory the caller names, the per-user cache, the
// official release, the Go build, in this order.
import { access, chmod, constants, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { buildProgram } from './binaries/build.ts';
import { downloadProgram } from './binaries/download.ts';
import { type Program, type ProgramName, program } from './binaries/programs.ts';
import { withLock } from './lock.ts';
import { type Log, withProgress } from './progress.ts';

export type { ProgramName } from './binaries/programs.ts';

const inThisProcess = new Map<string, Promise<string>>();
let lastTurn: Promise<void> = Promise.resolve();

/** The absolute path of a program that can be run. A program not to be had ends in one error that names each way tried. */
export function binary(name: ProgramName, log: Log, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const key = [name, env['DBBACKUP_BIN'], env['KUBEBUILDER_ASSETS'], cacheDirectory(env)].join('\n');
  const known = inThisProcess.get(key);
  if (known !== undefined) return known;
  const found = find(name, log, env);
  inThisProcess.set(key, found);
  // A failure may be mended by the next call: Go installed, the network back.
  found.catch(() => inThisProcess.delete(key));
  return found;
}

export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_CACHE_HOME'] || path.join(env['HOME'] || homedir(), '.cache');
  return path.resolve(base, 'dbbackup', 'bin');
}

async function find(name: ProgramName, log: Log, env: NodeJS.ProcessEnv): Promise<string> {
  const tried: string[] = [];
  for (const variable of ['DBBACKUP_BIN', 'KUBEBUILDER_ASSETS']) {
    const directory = env[variable];
    if (!directory) {
      tried.push(`${variable}: not set`);
      continue;
    }
    const file = path.resolve(directory, name);
    if (await executable(file)) return file;
    tried.push(`${variable}: "${file}" is not an executable file`);
  }
  const wanted = await program(name);
  const cached = path.join(cacheDirectory(env), `${name}-${wanted.version}`);
  if (await executable(cached)) return cached;
  tried.push(`cache: no "${cached}" yet`);
  // One at a time, here and in other processes: two Go builds at once would only fight for the same cores and memory.
  const turn = lastTurn.then(() =>
    withLock(path.join(cacheDirectory(env), '.lock'), `making ${name}`, log, async () => {
      if (await executable(cached)) return;
      await make(wanted, cached, tried, log, env);
    }),
  );
  lastTurn = turn.catch(() => {});
  await turn;
  return cached;
}

/** Makes the program under a name of its own and renames it, so that a crash never leaves half of one in the cache. */
async function make(wanted: Program, cached: string, tried: string[], log: Log, env: NodeJS.ProcessEnv): Promise<void> {
  const label = `${wanted.name} ${wanted.version}`;
  const partial = `${cached}.partial-`;
  await removeLeftovers(partial);
  const target = `${partial}${process.pid}`;
  const { release } = wanted;
  const ways: Array<{ doing: string; make: () => Promise<void> }> = [];
  if (release === undefined) tried.push('download: none is published');
  else ways.push({ doing: 'download', make: () => downloadProgram(release, target) });
  ways.push({ doing: 'go build', make: () => buildProgram(wanted, target, env) });
  const started = performance.now();
  for (const way of ways) {
    try {
      await withProgress(`${way.doing} ${label}`, log, way.make);
      await chmod(target, 0o755);
      await rename(target, cached);
      log(`${label}: ${way.doing} took ${((performance.now() - started) / 1000).toFixed(1)} s`);
      return;
    } catch (error) {
      tried.push(`${way.doing}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await removeLeftovers(partial);
    }
  }
  throw new Error(
    `make ${label}: every way failed\n  ${tried.join('\n  ')}\nFix: install Go 1.26 or newer (https://go.dev/dl), or set DBBACKUP_BIN to a directory that holds ${wanted.name}.`,
  );
}

async function removeLeftovers(partial: string): Promise<void> {
  const directory = path.dirname(partial);
  await mkdir(directory, { recursive: true });
  for (const entry of await readdir(directory)) {
    if (!entry.startsWith(path.basename(partial))) continue;
    await rm(path.join(directory, entry), { recursive: true, force: true });
  }
}

async function executable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
