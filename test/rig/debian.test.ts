// The installing of Debian packages, with dpkg-query and apt-get replaced by scripts on the PATH.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { debianPackages, missing } from './debian.ts';

let directory: string;
const before = process.env['PATH'];
const quiet = (): void => {};

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-debian-'));
  process.env['PATH'] = `${directory}:${before}`;
  // Knows runc, and whatever apt-get has "installed" since; ends with 1 for an unknown name, as the real one does.
  await program(
    'dpkg-query',
    `touch ${directory}/installed; shift 2; rc=0
for name; do
  if [ "$name" = runc ] || grep -qx "$name" ${directory}/installed; then echo "$name installed"; else echo "no packages found matching $name" >&2; rc=1; fi
done; exit $rc`,
  );
});
afterEach(async () => {
  process.env['PATH'] = before;
  vi.restoreAllMocks();
  await rm(directory, { recursive: true, force: true });
});

async function program(name: string, text: string): Promise<void> {
  await writeFile(path.join(directory, name), `#!/bin/sh\n${text}\n`);
  await chmod(path.join(directory, name), 0o755);
}
const asUser = (id: number) => vi.spyOn(process, 'getuid').mockReturnValue(id);
const calls = async () => (await readFile(path.join(directory, 'calls'), 'utf8')).trim().split('\n');
const RECORD = 'for word; do :; done; case "$*" in *install*) verb=install;; *) verb=update;; esac; echo $verb';

it('tells which packages are missing', async () => {
  expect(await missing(['runc', 'containerd', 'nftables'])).toEqual(['containerd', 'nftables']);
});

it('runs no apt-get when nothing is missing', async () => {
  await program('apt-get', 'exit 1');
  await debianPackages(['runc'], quiet);
});

it('says the line that installs what is missing when it is not root', async () => {
  asUser(1000);
  const line = 'sudo apt-get install --no-install-recommends containerd nftables';
  await expect(debianPackages(['runc', 'containerd', 'nftables'], quiet)).rejects.toThrow(line);
});

it('installs without asking for the package lists first', async () => {
  asUser(0);
  await program('apt-get', `${RECORD} >> ${directory}/calls; echo $word >> ${directory}/installed`);
  await debianPackages(['runc', 'containerd'], quiet);
  expect(await calls()).toEqual(['install']);
});

it('fetches the package lists when the first try fails, and tries once more', async () => {
  asUser(0);
  await program(
    'apt-get',
    `${RECORD} >> ${directory}/calls
case $verb in update) touch ${directory}/lists;; install) [ -e ${directory}/lists ] && echo $word >> ${directory}/installed;; esac`,
  );
  await debianPackages(['containerd'], quiet);
  expect(await calls()).toEqual(['install', 'update', 'install']);
});

it('ends with what apt-get said and the line to run by hand', async () => {
  asUser(0);
  await program('apt-get', 'echo "E: no network" >&2; exit 100');
  const failure = debianPackages(['containerd'], quiet);
  await expect(failure).rejects.toThrow('E: no network');
  await expect(failure).rejects.toThrow('apt-get install --no-install-recommends containerd');
});
