// promtool, the checker of Prometheus rules, out of Debian's package: unpacked into the cache and not installed, since installing it would
// start a Prometheus.
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { cacheDirectory } from './binaries.ts';
import { run } from './command.ts';
import { withLock } from './lock.ts';
import { type Log, withProgress } from './progress.ts';

const byHand =
  'apt-get update && apt-get download prometheus && dpkg -x prometheus_*.deb unpacked && export DBBACKUP_BIN=$PWD/unpacked/usr/bin';

/** The absolute path of promtool: that of DBBACKUP_BIN, else of the cache, else out of the package. */
export async function promtool(log: Log, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env['DBBACKUP_BIN']) {
    const named = path.resolve(env['DBBACKUP_BIN'], 'promtool');
    if (await executable(named)) return named;
  }
  try {
    return await fromDebian(log, env);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(`get promtool: ${detail}\nFix: run: ${byHand}`);
  }
}

async function fromDebian(log: Log, env: NodeJS.ProcessEnv): Promise<string> {
  const version = await candidate(log, env);
  // A Debian version may have an epoch, and a colon in a PATH would end an entry.
  const cached = path.join(cacheDirectory(env), `promtool-${version.replaceAll(':', '_')}`);
  if (await executable(cached)) return cached;
  await withLock(path.join(cacheDirectory(env), '.promtool.lock'), 'unpacking promtool', log, async () => {
    if (await executable(cached)) return;
    await removeLeftovers(cached);
    await withProgress(`download promtool ${version}`, log, () => unpack(cached, log, env));
    log(`promtool ${version}: unpacked from Debian's package prometheus`);
  });
  return cached;
}

/** The version that apt-get would download now. */
async function candidate(log: Log, env: NodeJS.ProcessEnv): Promise<string> {
  const ask = async (): Promise<string> => {
    const shown = await run(['apt-cache', 'show', '--no-all-versions', 'prometheus'], { env });
    const version = /^Version: (\S+)$/m.exec(shown)?.[1];
    if (version === undefined) throw new Error('apt-cache knows no package "prometheus"');
    return version;
  };
  return updatingOnce(ask, log, env);
}

/** Makes it beside its place and renames it, so that a crash never leaves half of one there. */
async function unpack(cached: string, log: Log, env: NodeJS.ProcessEnv): Promise<void> {
  const directory = await mkdtemp(`${cached}.partial-`);
  try {
    await updatingOnce(() => run(['apt-get', '-q', 'download', 'prometheus'], { cwd: directory, env }), log, env);
    const archive = (await readdir(directory)).find((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new Error('apt-get download left no package');
    const unpacked = path.join(directory, 'unpacked');
    await run(['dpkg', '-x', path.join(directory, archive), unpacked], { env });
    const program = path.join(unpacked, 'usr', 'bin', 'promtool');
    await chmod(program, 0o755);
    await rename(program, cached);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** No package lists yet, or lists so old that the file they name is gone: fetched once. Anything else fails again, and says so. */
async function updatingOnce<T>(work: () => Promise<T>, log: Log, env: NodeJS.ProcessEnv): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // Only root may fetch them.
    if (process.getuid?.() !== 0) throw error;
    log('apt-get update');
    await run(['apt-get', '-q', 'update'], { env });
    return await work();
  }
}

async function removeLeftovers(cached: string): Promise<void> {
  const directory = path.dirname(cached);
  await mkdir(directory, { recursive: true });
  for (const entry of await readdir(directory))
    if (entry.startsWith(`${path.basename(cached)}.partial-`))
      await rm(path.join(directory, entry), { recursive: true, force: true });
}

const executable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
