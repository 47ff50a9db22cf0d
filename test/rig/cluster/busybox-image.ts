// The one image a built rig brings itself: Debian's static busybox. It is the pause container of every pod, and serves
// tests that need no more than a shell. An archive for "ctr images import", made without any image builder.
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../command.ts';

export const BUSYBOX_IMAGE = 'dbbackup.io/rig/busybox:1';

/** Sleeps until told to end, then ends at once, and reaps what other containers of the pod orphan. */
const PAUSE = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done";

/** Makes the archive in `directory` and resolves to its path. */
export async function makeBusyboxImage(directory: string): Promise<string> {
  const root = path.join(directory, 'root');
  for (const folder of ['bin', 'etc', 'tmp']) await mkdir(path.join(root, folder), { recursive: true });
  await copyFile('/bin/busybox', path.join(root, 'bin/busybox'));
  const applets = (await run(['/bin/busybox', '--list'])).trim().split('\n');
  for (const applet of applets.filter((name) => name !== 'busybox')) {
    await symlink('busybox', path.join(root, 'bin', applet));
  }
  await writeFile(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  await writeFile(path.join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  const layer = path.join(directory, 'layer.tar');
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'] as const;
  await run(['tar', ...same, '--mode=a+rX', '-cf', layer, '-C', root, '.']);
  const digest = createHash('sha256')
    .update(await readFile(layer))
    .digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Entrypoint: ['/bin/sh', '-c', PAUSE] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [BUSYBOX_IMAGE], Layers: ['layer.tar'] }];
  await writeFile(path.join(directory, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(directory, 'manifest.json'), JSON.stringify(manifest));
  const archive = path.join(directory, 'busybox.tar');
  await run(['tar', '-cf', archive, '-C', directory, 'manifest.json', 'config.json', 'layer.tar']);
  return archive;
}
