// Where promtool comes from, with apt-cache, apt-get and dpkg replaced by scripts on the PATH.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { promtool } from './promtool.ts';

let directory: string;
let env: NodeJS.ProcessEnv;
const quiet = (): void => {};

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-promtool-'));
  env = { PATH: `${directory}/path:/usr/bin:/bin`, XDG_CACHE_HOME: `${directory}/cache` };
  await program('path/apt-cache', 'echo "Package: prometheus"; echo "Version: 1:2.42.0-5"');
  await program(
    'path/apt-get',
    `echo "$*" >> ${directory}/calls; case "$*" in *download*) : > prometheus_2.deb;; esac`,
  );
  await program('path/dpkg', 'mkdir -p "$3/usr/bin"; echo "from $2" > "$3/usr/bin/promtool"');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(directory, { recursive: true, force: true });
});

async function program(name: string, text: string): Promise<string> {
  const file = path.join(directory, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

const cache = () => readdir(`${directory}/cache/dbbackup/bin`);
const calls = async () => (await readFile(`${directory}/calls`, 'utf8')).trim().split('\n');
const asUser = (id: number) => vi.spyOn(process, 'getuid').mockReturnValue(id);

it('takes the promtool of the directory DBBACKUP_BIN before any other', async () => {
  const named = await program('mine/promtool', 'true');
  expect(await promtool(quiet, { ...env, DBBACKUP_BIN: path.dirname(named) })).toBe(named);
});

it('unpacks the package once, installs nothing and leaves nothing beside', async () => {
  const first = await promtool(quiet, env);
  expect(await promtool(quiet, env)).toBe(first);
  expect(await calls()).toEqual(['-q download prometheus']);
  expect(await readFile(first, 'utf8')).toMatch(/^from .*prometheus_2\.deb\n$/);
  expect((await cache()).sort()).toEqual(['.promtool.lock', 'promtool-1_2.42.0-5']);
});

it('unpacks another when the package has another version', async () => {
  const first = await promtool(quiet, env);
  await program('path/apt-cache', 'echo "Version: 1:2.53.0-1"');
  expect(await promtool(quiet, env)).not.toBe(first);
});

it('fetches the package lists when they know nothing', async () => {
  asUser(0);
  await program('path/apt-cache', `grep -q update ${directory}/calls 2>/dev/null && echo "Version: 3.0-1" || exit 100`);
  expect(path.basename(await promtool(quiet, env))).toBe('promtool-3.0-1');
  expect(await calls()).toEqual(['-q update', '-q download prometheus']);
});

it('removes what a killed unpacking left', async () => {
  await mkdir(`${directory}/cache/dbbackup/bin/promtool-1_2.42.0-5.partial-old/unpacked`, { recursive: true });
  await promtool(quiet, env);
  expect((await cache()).filter((name) => name.includes('partial'))).toEqual([]);
});

it('says what apt-get said and the line that gets it by hand', async () => {
  asUser(1000);
  await program('path/apt-get', 'echo "E: no network" >&2; exit 100');
  const failure = promtool(quiet, env);
  await expect(failure).rejects.toThrow('E: no network');
  await expect(failure).rejects.toThrow('Fix: run: apt-get update && apt-get download prometheus && dpkg -x');
  expect((await cache()).filter((name) => name.startsWith('promtool'))).toEqual([]);
});

it('says the same where there is no apt-get', async () => {
  const failure = promtool(quiet, { ...env, PATH: `${directory}/nothing` });
  await expect(failure).rejects.toThrow(/^get promtool: run "apt-.*ENOENT/);
  await expect(failure).rejects.toThrow('DBBACKUP_BIN');
});
