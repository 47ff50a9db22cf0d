// Where programs come from, with directories, a go command and a release server made for the test.
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checksumFor, downloadProgram } from './binaries/download.ts';
import { program, programNames, requiredVersion } from './binaries/programs.ts';
import { binary, cacheDirectory } from './binaries.ts';

let directory: string;
const quiet = (): void => {};

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-binaries-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function script(folder: string, name: string, text: string): Promise<string> {
  await mkdir(path.join(directory, folder), { recursive: true });
  const file = path.join(directory, folder, name);
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

/** A PATH with a go of ours in front; without one, a PATH with none. */
const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: `${directory}/path:/usr/bin:/bin`,
  XDG_CACHE_HOME: `${directory}/cache`,
  ...more,
});

describe('binary', () => {
  it('takes the program of the directory DBBACKUP_BIN before any other', async () => {
    const named = await script('mine', 'kustomize', 'true');
    await script('assets', 'kustomize', 'true');
    const env = environment({ DBBACKUP_BIN: path.dirname(named), KUBEBUILDER_ASSETS: `${directory}/assets` });
    expect(await binary('kustomize', quiet, env)).toBe(named);
  });

  it('takes the program of KUBEBUILDER_ASSETS where DBBACKUP_BIN lacks it', async () => {
    const named = await script('assets', 'kustomize', 'true');
    const env = environment({ DBBACKUP_BIN: `${directory}/mine`, KUBEBUILDER_ASSETS: path.dirname(named) });
    expect(await binary('kustomize', quiet, env)).toBe(named);
  });

  it('builds a program once, and leaves nothing in the cache beside it and the lock', async () => {
    await script(
      'path',
      'go',
      `echo built >> ${directory}/builds; while [ "$1" != -o ]; do shift; done; echo x > "$2"`,
    );
    const first = await binary('kustomize', quiet, environment());
    // Another PATH is another question, so this one is answered by the cache and not from memory.
    const second = await binary('kustomize', quiet, environment({ DBBACKUP_BIN: '/nowhere' }));
    expect(second).toBe(first);
    expect(await readFile(`${directory}/builds`, 'utf8')).toBe('built\n');
    expect((await readdir(cacheDirectory(environment()))).sort()).toEqual(['.lock', path.basename(first)]);
  });

  it('names every way that failed, and the fix, in one error', async () => {
    await script('path', 'go', 'echo "no such module" >&2; exit 1');
    await script('mine', 'other', 'true');
    const failure = binary('kustomize', quiet, environment({ DBBACKUP_BIN: `${directory}/mine` }));
    await expect(failure).rejects.toThrow(/^make kustomize v5.*every way failed/);
    for (const part of [
      'DBBACKUP_BIN: "',
      'KUBEBUILDER_ASSETS: not set',
      'cache: no',
      'download: none',
      'no such module',
    ]) {
      await expect(failure).rejects.toThrow(part);
    }
    await expect(failure).rejects.toThrow('Fix: install Go 1.26');
  });

  it('tries again after a failure, because the machine may have been mended', async () => {
    await script('path', 'go', 'exit 1');
    await expect(binary('kustomize', quiet, environment())).rejects.toThrow('every way failed');
    await script('path', 'go', 'while [ "$1" != -o ]; do shift; done; echo x > "$2"');
    expect(await binary('kustomize', quiet, environment())).toContain('kustomize-v5');
  });
});

describe('program', () => {
  it('reads the version of each program from the go.mod of its module', async () => {
    for (const name of programNames) expect((await program(name)).version).toMatch(/^v\d+\.\d+\.\d+/);
  });

  it('tells programs of ours apart by their text, since their module may stay as it is', async () => {
    for (const name of ['coredns', 'kstatus', 'argocd-health'] as const) {
      const { version, tool } = await program(name);
      const text = await readFile(path.join(tool, 'main.go'));
      expect(version).toMatch(/^v\d+\.\d+\.\d+-[0-9a-f]{8}$/);
      expect(createHash('sha256').update(text).digest('hex')).toContain(version.split('-')[1]);
    }
    expect((await program('etcd')).version).toMatch(/^v\d+\.\d+\.\d+$/);
  });

  it('says how to mend a go.mod that lacks the module', () => {
    expect(() => requiredVersion('module x\n', 'k8s.io/kubernetes')).toThrow('go get -tool k8s.io/kubernetes');
  });
});

describe('a download', () => {
  async function serve<T>(files: Record<string, string>, use: (base: string) => Promise<T>): Promise<T> {
    const server = http.createServer((request, response) => {
      const body = files[request.url ?? ''];
      response.writeHead(body === undefined ? 404 : 200).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
      server.close();
    }
  }
  const digest = createHash('sha256').update('program').digest('hex');

  it('is kept when its checksum is the published one', async () => {
    const target = path.join(directory, 'p');
    await serve({ '/p': 'program', '/p.sha256': digest }, (base) =>
      downloadProgram({ url: `${base}/p`, checksumUrl: `${base}/p.sha256` }, target),
    );
    expect(await readFile(target, 'utf8')).toBe('program');
  });

  it('is refused, and not kept, when its checksum is another', async () => {
    const files = { '/p': 'altered', '/p.sha256': digest };
    const download = serve(files, (base) =>
      downloadProgram({ url: `${base}/p`, checksumUrl: `${base}/p.sha256` }, path.join(directory, 'p')),
    );
    await expect(download).rejects.toThrow(`published is ${digest}`);
    expect(await readdir(directory)).toEqual([]);
  });

  it('finds its checksum in a list of several files', () => {
    const other = '0'.repeat(64);
    expect(checksumFor(`${other}  a.tar.gz\n${digest} *b.tar.gz\n`, 'b.tar.gz')).toBe(digest);
    expect(() => checksumFor(`${other}  a.tar.gz\n${digest}  b.tar.gz\n`, 'c.tar.gz')).toThrow('no such file');
  });
});
