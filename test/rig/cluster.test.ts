// Which cluster is started: a given one, kind or neither, with kubectl, docker and kind replaced by scripts that record
// how they were called. The built cluster is tried for real in test/integration/rig.test.ts.
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCluster, stopCluster } from './cluster/cluster.ts';
import { aligned, statusLines } from './cluster/status.ts';

let directory: string;
const quiet = (): void => {};
const saved = { ...process.env };

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-cluster-'));
  await mkdir(path.join(directory, 'path'));
  process.env = {
    ...saved,
    PATH: `${directory}/path:/usr/bin:/bin`,
    XDG_STATE_HOME: `${directory}/state`,
    DBBACKUP_BIN: `${directory}/path`,
    KUBECONFIG: '',
    DBBACKUP_KUBECONFIG: '',
  };
});
afterEach(async () => {
  process.env = saved;
  await rm(directory, { recursive: true, force: true });
});

/** A script that writes down its arguments and then does `text`. */
async function program(name: string, text: string): Promise<void> {
  const file = path.join(directory, 'path', name);
  await writeFile(file, `#!/bin/sh\necho "${name} $*" >> ${directory}/calls\n${text}\n`);
  await chmod(file, 0o755);
}
const calls = async () => (await readFile(path.join(directory, 'calls'), 'utf8')).trim().split('\n');

describe('a given cluster', () => {
  const given = (more: NodeJS.ProcessEnv = {}) => ({
    ...process.env,
    DBBACKUP_KUBECONFIG: '/some/kubeconfig',
    ...more,
  });

  it('is used as it is and left alone by stop', async () => {
    await program('kubectl', 'echo node/one');
    const cluster = await startCluster({ node: true, log: quiet, env: given() });
    expect(cluster).toMatchObject({ provider: 'kubeconfig', kubeconfig: '/some/kubeconfig', hasNode: true, exec: [] });
    await cluster.stop();
    expect(await calls()).toEqual(['kubectl --kubeconfig /some/kubeconfig get nodes -o name --request-timeout=15s']);
  });

  it('is refused when pods must run and it has no node', async () => {
    await program('kubectl', 'true');
    await expect(startCluster({ node: true, log: quiet, env: given() })).rejects.toThrow('it has no node');
    expect(await startCluster({ node: false, log: quiet, env: given() })).toMatchObject({ hasNode: false });
  });

  it('ends in an error, not in another cluster, when it does not answer', async () => {
    await program('kubectl', 'echo "connection refused" >&2; exit 1');
    await expect(startCluster({ node: true, log: quiet, env: given() })).rejects.toThrow(
      /use the cluster of DBBACKUP_KUBECONFIG "\/some\/kubeconfig"[\s\S]*connection refused/,
    );
  });

  it('loads images with the command of DBBACKUP_IMAGE_LOAD', async () => {
    await program('kubectl', 'echo node/one');
    await program('loader', 'true');
    const env = given({ DBBACKUP_IMAGE_LOAD: 'loader --into "some where"' });
    await (await startCluster({ node: true, log: quiet, env })).loadImage('/images/a b.tar');
    expect((await calls()).at(-1)).toBe('loader --into some where /images/a b.tar');
  });

  it('says that it takes images as there when no such command is set', async () => {
    await program('kubectl', 'echo node/one');
    const lines: string[] = [];
    const cluster = await startCluster({ node: true, log: (line) => lines.push(line), env: given() });
    await cluster.loadImage('/images/a.tar');
    expect(lines.at(-1)).toBe(
      'image "/images/a.tar" is taken as already there; DBBACKUP_IMAGE_LOAD names a command that loads it',
    );
  });
});

describe('kind', () => {
  const config = () => path.join(directory, 'state/dbbackup/rig/k/kubeconfig');

  it('makes a cluster, loads images into it and deletes it', async () => {
    await program('docker', 'true');
    await program('kind', 'true');
    const cluster = await startCluster({ name: 'k', node: true, log: quiet });
    expect(cluster).toMatchObject({ provider: 'kind', kubeconfig: config(), hasNode: true });
    await cluster.loadImage('/images/a.tar');
    await cluster.stop();
    expect(await calls()).toEqual([
      'docker info',
      'kind get clusters',
      `kind create cluster --name dbbackup-k --kubeconfig ${config()} --wait 180s`,
      'kind load image-archive --name dbbackup-k /images/a.tar',
      `kind delete cluster --name dbbackup-k --kubeconfig ${config()}`,
    ]);
    expect(await statusLines('k')).toEqual(['no rig "k"']);
  });

  it('uses a cluster that is up, and leaves it up when it stops', async () => {
    await program('docker', 'true');
    await program(
      'kind',
      `case "$1" in create) touch ${directory}/made;; get) [ ! -e ${directory}/made ] || echo dbbackup-k;; esac`,
    );
    await startCluster({ name: 'k', node: true, log: quiet });
    await (await startCluster({ name: 'k', node: true, log: quiet })).stop();
    expect((await calls()).filter((call) => /create|delete/.test(call))).toHaveLength(1);
    await stopCluster('k', quiet);
    expect((await calls()).at(-1)).toBe(`kind delete cluster --name dbbackup-k --kubeconfig ${config()}`);
  });

  it('removes a cluster that a crash left half made, and makes it anew', async () => {
    await program('docker', 'true');
    await program('kind', 'case "$1" in get) echo dbbackup-k;; esac');
    await startCluster({ name: 'k', node: true, log: quiet });
    expect((await calls()).map((call) => call.split(' ', 2).join(' '))).toEqual([
      'docker info',
      'kind get',
      'kind delete',
      'kind create',
    ]);
  });

  it('asks podman where docker does not answer', async () => {
    await program('docker', 'exit 1');
    await program('podman', 'true');
    await program('kind', `echo "provider $KIND_EXPERIMENTAL_PROVIDER" >> ${directory}/calls`);
    expect(await startCluster({ name: 'k', node: true, log: quiet })).toMatchObject({ provider: 'kind' });
    expect(await calls()).toContain('provider podman');
  });
});

describe('no way to a cluster', () => {
  it('ends in one error that says of each way why it failed', async () => {
    await program('docker', 'exit 1');
    await program('podman', 'exit 1');
    // Found first and of no use: the control plane ends as soon as it is started.
    for (const name of ['etcd', 'kube-apiserver', 'kube-controller-manager'])
      await program(name, 'echo "cannot run" >&2; exit 1');
    const failure = startCluster({ name: 'none', node: false, log: quiet });
    await expect(failure).rejects.toThrow('start a cluster: no way worked');
    await expect(failure).rejects.toThrow('kubeconfig: DBBACKUP_KUBECONFIG is not set');
    await expect(failure).rejects.toThrow('kind: no container engine: docker does not answer, podman does not answer');
    await expect(failure).rejects.toThrow(/built: wait for the API server: .* has ended[\s\S]*cannot run/);
    expect(await statusLines('none')).toEqual(['no rig "none"']);
  });

  it.each(['', 'UP', '-a', 'a-', 'a'.repeat(25), '../x'])('refuses the name "%s"', async (name) => {
    await expect(startCluster({ name, node: false, log: quiet })).rejects.toThrow('name the rig');
  });
});

describe('the table of rigs', () => {
  it('is as wide as what is in it', () => {
    expect(
      aligned([
        ['A', 'B'],
        ['long', 'x'],
        ['', 'y'],
      ]),
    ).toEqual(['A     B', 'long  x', '      y']);
  });
});
