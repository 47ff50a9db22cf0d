// Installs the Debian packages the rig runs on, where this machine has apt-get and we are root; elsewhere it says the
// line that installs them.
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CommandError, run } from './command.ts';
import { withLock } from './lock.ts';
import { type Log, withProgress } from './progress.ts';

/** How long another apt-get or dpkg on this machine may hold its lock before we give up. */
const LOCK_SECONDS = 300;

/** Installs those of `names` that are missing. Touches neither network nor lock when none is. */
export async function debianPackages(names: string[], log: Log): Promise<void> {
  if ((await missing(names)).length === 0) return;
  await withLock(path.join(tmpdir(), `dbbackup-apt-${process.getuid?.() ?? 0}.lock`), 'apt-get', log, async () => {
    const wanted = await missing(names);
    if (wanted.length === 0) return;
    const line = `apt-get install --no-install-recommends ${wanted.join(' ')}`;
    if (process.getuid?.() !== 0) throw new Error(`install Debian packages: not root; run: sudo ${line}`);
    try {
      await withProgress(`apt-get install ${wanted.join(' ')}`, log, () => install(wanted, log));
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new Error(`install Debian packages "${wanted.join(' ')}": ${detail}\nFix: run: apt-get update && ${line}`);
    }
    const still = await missing(wanted);
    if (still.length > 0)
      throw new Error(`install Debian packages: apt-get left out "${still.join(' ')}"; run: ${line}`);
    log(`installed Debian packages: ${wanted.join(' ')}`);
  });
}

/** Those of `names` that dpkg does not have installed. On a machine without dpkg this is an error that lists them all. */
export async function missing(names: readonly string[]): Promise<string[]> {
  let listed: string;
  try {
    listed = await run(['dpkg-query', '-W', '-f=${Package} ${db:Status-Status}\n', ...names]);
  } catch (error) {
    // dpkg-query ends with 1 when it knows none or only some of the names, and has printed the others by then.
    if (!(error instanceof CommandError)) throw error;
    if (error.message.includes('ENOENT')) {
      throw new Error(`find Debian packages: no dpkg on this machine; install what provides: ${names.join(' ')}`);
    }
    listed = error.output;
  }
  const installed = new Set<string>();
  for (const line of listed.split('\n')) {
    const [name, status] = line.split(' ');
    if (name !== undefined && status === 'installed') installed.add(name);
  }
  return names.filter((name) => !installed.has(name));
}

async function install(names: readonly string[], log: Log): Promise<void> {
  const apt = (...args: string[]) =>
    run(['apt-get', '-q', '-y', '-o', `DPkg::Lock::Timeout=${LOCK_SECONDS}`, ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
    });
  const installNow = () => apt('install', '--no-install-recommends', ...names);
  try {
    await installNow();
  } catch {
    // No package lists yet, or lists so old that the files they name are gone. Anything else fails again, and says so.
    log('apt-get update');
    await apt('update');
    await installNow();
  }
}
