// What a built cluster needs of the machine besides its own programs, and the Debian package each thing is in.
import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { debianPackages } from '../debian.ts';
import type { Log } from '../progress.ts';

/** The path the rig's programs are started with; a tool of the caller's own elsewhere would not be found by them. */
export const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Debian's place first, then where others put the network plugins. */
const PLUGIN_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

/** Installs what is missing where it can. Things are looked for by file: a machine may have them from elsewhere. */
export async function requireForControlPlane(log: Log): Promise<void> {
  if (process.platform !== 'linux') throw new Error(`the programs run on Linux only, and this is ${process.platform}`);
  if (!(await onProgramPath('openssl'))) await debianPackages(['openssl'], log);
}

export async function requireForNode(log: Log): Promise<void> {
  const user = process.getuid?.();
  if (user !== 0) throw new Error(`a node needs root, and this is user ${user}; run it with sudo, or use kind`);
  const packages: string[] = [];
  const programs = { containerd: 'containerd', ctr: 'containerd', runc: 'runc', nft: 'nftables', ip: 'iproute2' };
  for (const [program, from] of Object.entries(programs)) {
    if (!(await onProgramPath(program)) && !packages.includes(from)) packages.push(from);
  }
  if ((await pluginDirectory()) === null) packages.push('containernetworking-plugins');
  if ((await staticBusybox()) === null) packages.push('busybox-static');
  if (packages.length > 0) await debianPackages(packages, log);
}

export async function pluginDirectory(): Promise<string | null> {
  for (const directory of PLUGIN_DIRECTORIES) {
    const wanted = ['bridge', 'host-local', 'loopback'].map((plugin) => exists(path.join(directory, plugin)));
    if (!(await Promise.all(wanted)).includes(false)) return directory;
  }
  return null;
}

/** A busybox that needs no library, and so runs in an image that has none. */
export async function staticBusybox(): Promise<string | null> {
  const file = '/bin/busybox';
  if (!(await exists(file))) return null;
  const program = await readFile(file);
  return program.includes('/ld-linux') || program.includes('/ld-musl') ? null : file;
}

async function onProgramPath(program: string): Promise<boolean> {
  const found = await Promise.all(PROGRAM_PATH.split(':').map((directory) => exists(path.join(directory, program))));
  return found.includes(true);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
