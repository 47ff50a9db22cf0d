// The stock tools of the demo's last act, and a folder of programs so that what is printed is what is run.
import { chmod, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from '../../build.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';
import type { Log } from '../rig/progress.ts';

export interface Tools {
  /** PATH with kubectl and its dbbackup plugin first. */
  path: string;
  /** File with the age identity, and its public key. */
  identity: string;
  recipient: string;
}

export async function prepareTools(folder: string, log: Log): Promise<Tools> {
  await debianPackages(['age', 'zstd', 'awscli', 'postgresql-client-15'], log);
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  await build({ outdir: join(folder, 'dist'), log });
  await symlink(await binary('kubectl', log), join(bin, 'kubectl'));
  await symlink(join(folder, 'dist', 'kubectl-dbbackup'), join(bin, 'kubectl-dbbackup'));
  const node = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url));
  const identity = join(folder, 'identity.txt');
  await run(['age-keygen', '-o', identity]);
  await chmod(identity, 0o600);
  const recipient = (await run(['age-keygen', '-y', identity])).trim();
  return { path: `${bin}:${node}:${process.env['PATH'] ?? ''}`, identity, recipient };
}
