// The way from a fresh clone to a running script: when packages are installed, what is refused, and what reaches the script.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const lock = (integrity: string) => JSON.stringify({ packages: { '': {}, 'node_modules/a': { integrity } } });
const record = (integrity: string) => JSON.stringify({ packages: { 'node_modules/a': { integrity } } });

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dbbackup-clone-'));
  for (const folder of ['test/rig', 'node_modules/.bin']) await mkdir(join(root, folder), { recursive: true });
  await copyFile('test/rig/run.mjs', join(root, 'test/rig/run.mjs'));
  await writeFile(join(root, 'package-lock.json'), lock('one'));
  await symlink(process.execPath, join(root, 'node_modules/.bin/node'));
  await writeFile(join(root, 'npm.js'), `require('fs').writeFileSync('called', process.argv.slice(2).join(' '));`);
  await writeFile(join(root, 'script.ts'), '// A script.\nconsole.log(JSON.stringify(process.argv.slice(2)));\n');
});
afterEach(() => rm(root, { recursive: true, force: true }));

function start(...args: string[]) {
  const env = { ...process.env, npm_execpath: join(root, 'npm.js') };
  return spawn(process.execPath, [join(root, 'test/rig/run.mjs'), ...args], { env, stdio: 'pipe' });
}

async function run(...args: string[]): Promise<{ code: number; output: string }> {
  const child = start(...args);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      output += part;
    });
  }
  const [code] = await once(child, 'close');
  return { code, output };
}

const npmCalled = () => readFile(join(root, 'called'), 'utf8').catch(() => 'no');

test('without packages npm ci runs, the second time nothing does', async () => {
  expect(await run('script.ts', 'a b', 'c')).toMatchObject({ code: 0, output: expect.stringContaining('["a b","c"]') });
  expect(await npmCalled()).toMatch(/^ci /);
  await rm(join(root, 'called'));
  expect(await run('script.ts')).toEqual({ code: 0, output: '[]\n' });
  expect(await npmCalled()).toBe('no');
});

test('packages that someone else installed from the same lockfile are taken as they are', async () => {
  await writeFile(join(root, 'node_modules/.package-lock.json'), record('one'));
  expect((await run('script.ts')).code).toBe(0);
  expect(await npmCalled()).toBe('no');
});

test('another lockfile than the one the packages came from has them installed again', async () => {
  await writeFile(join(root, 'node_modules/.package-lock.json'), record('one'));
  await run('script.ts');
  await writeFile(join(root, 'package-lock.json'), lock('two'));
  expect((await run('script.ts')).code).toBe(0);
  expect(await npmCalled()).toMatch(/^ci /);
});

test('when npm fails the script does not run, and the next time npm is asked again', async () => {
  await writeFile(join(root, 'npm.js'), 'process.exit(7);');
  for (const _time of [1, 2]) {
    expect(await run('script.ts')).toMatchObject({ code: 1, output: expect.stringContaining('exit code 7') });
  }
});

test('a Node that was not fetched, or is another, is named with the fix', async () => {
  await rm(join(root, 'node_modules/.bin/node'));
  expect((await run('script.ts')).output).toMatch(
    /bin\/node is none, Node 24 is needed.*npm config delete ignore-scripts/,
  );
  await writeFile(join(root, 'node_modules/.bin/node'), '#!/bin/sh\necho v20.1.0\n');
  await chmod(join(root, 'node_modules/.bin/node'), 0o755);
  expect(await run('script.ts')).toMatchObject({ code: 1, output: expect.stringContaining('is v20.1.0, Node 24') });
});

test('the exit code of the script is ours', async () => {
  await writeFile(join(root, 'script.ts'), '// Ends badly.\nprocess.exitCode = 3;\n');
  expect((await run('script.ts')).code).toBe(3);
});

test('a signal reaches the script, which may end in its own way', async () => {
  await writeFile(
    join(root, 'script.ts'),
    "// Waits.\nprocess.on('SIGTERM', () => process.exit(5));\nconsole.log('up');\nsetInterval(() => {}, 1000);\n",
  );
  const child = start('script.ts');
  for await (const part of child.stdout) if (String(part).includes('up')) break;
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([5, null]);
});
