// Programs of the rig that are npm packages, installed into the cache and not into the project: each with a package.json and a lockfile
// under test/rig/tools, which alone say the versions.
import { createHash } from 'node:crypto';
import { access, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { cacheDirectory } from './binaries.ts';
import { run } from './command.ts';
import { withLock } from './lock.ts';
import { type Log, withProgress } from './progress.ts';

const files = ['package.json', 'package-lock.json'];
const flags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];

/** The absolute path of a file of the package's, for example "dist/main.js"; the package is installed where it is missing. */
export async function npmProgram(
  name: string,
  file: string,
  log: Log,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const tool = path.join(import.meta.dirname, 'tools', name);
  const lockfile = await readFile(path.join(tool, 'package-lock.json'));
  const digest = createHash('sha256').update(lockfile).digest('hex').slice(0, 8);
  const cached = path.join(cacheDirectory(env), `${name}-${digest}`);
  const wanted = path.join(cached, 'node_modules', name, file);
  if (await there(wanted)) return wanted;
  await withLock(path.join(cacheDirectory(env), `.${name}.lock`), `installing ${name}`, log, async () => {
    if (await there(wanted)) return;
    await withProgress(`npm ci ${name}`, log, () => install(name, tool, cached, env));
    log(`${name}: installed from npm`);
  });
  return wanted;
}

/** Installs beside its place and renames it, so that a crash never leaves half of one there. */
async function install(name: string, tool: string, cached: string, env: NodeJS.ProcessEnv): Promise<void> {
  const directory = path.dirname(cached);
  await mkdir(directory, { recursive: true });
  for (const entry of await readdir(directory))
    if (entry.startsWith(`${path.basename(cached)}.partial-`))
      await rm(path.join(directory, entry), { recursive: true, force: true });
  const partial = await mkdtemp(`${cached}.partial-`);
  try {
    for (const one of files) await copyFile(path.join(tool, one), path.join(partial, one));
    // The project's own Node: the package may refuse an older one that npm was started with.
    const PATH = [path.dirname(process.execPath), env['PATH']].join(path.delimiter);
    await run(['npm', 'ci', ...flags], { cwd: partial, env: { ...env, PATH } });
    await rename(partial, cached);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(`install ${name}: ${detail}\nFix: look whether "npm ci ${flags.join(' ')}" works in ${tool}`);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

const there = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
