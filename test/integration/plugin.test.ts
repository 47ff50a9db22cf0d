// The plugin as a user runs it, as a process against a real API server: what it writes there, what it prints, how it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseBackup, DatabaseBackupStatus } from '../../crds/databasebackup.gen.ts';
import { trigger } from '../../plugin/commands/trigger.ts';
import { ApiError } from '../../plugin/errors.ts';
import { kubeOf } from '../../plugin/kube.ts';
import { openTransport } from '../../plugin/transport.ts';
import { healthy, lastSnapshot, newest, older, spec, world as unitWorld } from '../plugin/objects.ts';
import { waitFor } from '../wait.ts';
import { cluster } from './cluster.ts';
import { createNamespace, installCrd, type World, world } from './controller-world.ts';

const namespace = 'plugin-test';
const path = `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;
const main = fileURLToPath(new URL('../../plugin/main.ts', import.meta.url));

let kubeconfig: string;
let api: World;
let folder: string;

beforeAll(async () => {
  kubeconfig = (await cluster()).kubeconfig;
  api = world(kubeconfig);
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-plugin-test-'));
  await installCrd(api);
  await createNamespace(api, namespace);
});

afterAll(async () => {
  await api?.transport.call({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}` });
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Started {
  kill(signal: NodeJS.Signals): void;
  stderr(): string;
  ended: Promise<Ended>;
}

function start(line: string, config = kubeconfig): Started {
  const env = { PATH: process.env['PATH'], HOME: folder, TZ: 'Europe/Berlin', KUBECONFIG: config };
  const child = spawn(process.execPath, [main, ...line.split(' ')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, ...written }));
  return { kill: (signal) => child.kill(signal), stderr: () => written.stderr, ended };
}

const run = (line: string, config?: string): Promise<Ended> => start(`${line} -n ${namespace}`, config).ended;

const get = (name: string) => api.transport.call<DatabaseBackup>({ method: 'GET', path: `${path}/${name}` });
const tokenOf = async (name: string) => (await get(name)).metadata.annotations?.['dbbackup.io/trigger'];

async function create(name: string, status?: DatabaseBackupStatus, labels: Record<string, string> = {}): Promise<void> {
  const body = { apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup', metadata: { name, labels }, spec };
  await api.transport.call({ method: 'POST', path, body });
  if (status !== undefined) await report(name, status);
}

async function report(name: string, status: DatabaseBackupStatus): Promise<void> {
  await api.transport.call({ method: 'PATCH', path: `${path}/${name}/status`, body: { status } });
}

/** Takes the part of the controller: claims what the annotation asks for. */
async function claim(name: string): Promise<{ token: string; run: NonNullable<DatabaseBackupStatus['run']> }> {
  const token = await waitFor('the trigger annotation', () => tokenOf(name));
  const claimed = { trigger: 'Manual' as const, token, jobName: `${name}-t-1`, jobUID: `uid-${name}` };
  const status = { ...healthy, lastHandledTrigger: { token, jobUID: claimed.jobUID } };
  const run = { ...claimed, claimedAt: '2025-03-28T02:00:07Z' };
  await report(name, { ...status, run });
  return { token, run };
}

describe('trigger', () => {
  it('writes one annotation, and two at once join', async () => {
    await create('twice', healthy);
    const ends = await Promise.all([run('trigger twice'), run('trigger twice'), run('trigger databasebackup/twice')]);
    const token = await tokenOf('twice');
    expect(token).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{8}$/);
    for (const end of ends) {
      expect(end).toMatchObject({ code: 0, stderr: '' });
      expect(end.stdout).toContain(`(token ${token})\n`);
    }
    expect(ends.filter(({ stdout }) => stdout.includes('/twice triggered (')).length).toBe(1);
    expect((await get('twice')).metadata.generation).toBe(1);
  });

  it('is not lost when the object changes between its read and its write', async () => {
    await create('busy', healthy);
    const kube = kubeOf(openTransport({ kubeconfig }));
    let looks = 0;
    const here = unitWorld({
      ...kube,
      getBackup: async (of, name) => {
        const read = await kube.getBackup(of, name);
        looks += 1;
        const metadata = { labels: { looks: String(looks) } };
        if (looks < 3) await api.transport.call({ method: 'PATCH', path: `${path}/${name}`, body: { metadata } });
        return read;
      },
    });
    await trigger({ ...here, namespace }, { name: 'busy', wait: false, timeout: '0' });
    expect(looks).toBe(3);
    expect(here.stdout()).toContain(`triggered (token ${await tokenOf('busy')})`);
    const stale = { ...(await get('busy')) };
    stale.metadata = { ...stale.metadata, resourceVersion: '1' };
    await expect(kube.setTrigger(stale, 'x')).rejects.toMatchObject({ status: 409, reason: 'Conflict' });
  });

  it('follows its run to the snapshot', async () => {
    await create('good', { observedGeneration: 1 });
    const started = start(`trigger good --wait -n ${namespace}`);
    const { run: claimed } = await claim('good');
    await waitFor('the run is told', async () => started.stderr().includes('running: job good-t-1'));
    await report('good', { run: { ...claimed, outcome: 'Succeeded' }, lastSnapshot });
    const end = await started.ended;
    expect(end).toMatchObject({ code: 0, stdout: `snapshot ${newest} stored at ${lastSnapshot.key} (1.2 GiB)\n` });
  });

  it('ends with 3 when the backup fails', async () => {
    await create('bad', { observedGeneration: 1 });
    const started = start(`trigger bad --wait -n ${namespace}`);
    const { run: claimed } = await claim('bad');
    const message = 'The store has no room left: \u001b[2J507.\nFix: make room.';
    await report('bad', { run: { ...claimed, outcome: 'Failed', reason: 'StorageFull', message } });
    const end = await started.ended;
    expect(end).toMatchObject({ code: 3, stdout: '' });
    expect(end.stderr).toContain(
      'error: backup failed (StorageFull): The store has no room left: \\x1b[2J507. Fix: make room.\n',
    );
  });

  it('ends with 124 after its time, with 130 when interrupted, and with 1 when the object goes', async () => {
    await create('slow', { observedGeneration: 1 });
    const late = await run('trigger slow --wait --timeout 1s');
    expect(late).toMatchObject({ code: 124, stdout: '' });
    expect(late.stderr).toContain('not finished within 1 s; the backup goes on\n');
    const [stopped, orphan] = [
      start(`trigger slow --wait -n ${namespace}`),
      start(`trigger slow --wait -n ${namespace}`),
    ];
    for (const one of [stopped, orphan])
      await waitFor('it waits', async () => one.stderr().includes('waiting for the controller'));
    stopped.kill('SIGINT');
    const interrupted = await stopped.ended;
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });
    expect(interrupted.stderr).toContain('Stopped waiting; the backup goes on.\n');
    await api.transport.call({ method: 'DELETE', path: `${path}/slow` });
    const end = await orphan.ended;
    expect(end.code).toBe(1);
    expect(end.stderr).toContain('Error from server (NotFound): databasebackups.dbbackup.io "slow" not found\n');
  });
});

describe('reading', () => {
  beforeAll(async () => {
    await create('orders', healthy, { app: 'shop' });
    await create('fresh');
  });

  it('lists, selects, and says when there is nothing', async () => {
    const all = await run('list-snapshots --no-headers');
    expect(all).toMatchObject({ code: 0 });
    expect(all.stdout).toContain(`orders   ${newest}`);
    const selected = await run('list-snapshots -l app=shop -o name');
    expect(selected).toEqual({ code: 0, stdout: `${newest}\n${older}\n`, stderr: '' });
    const everywhere = await start('list-snapshots -A -l app=shop -o json').ended;
    expect(JSON.parse(everywhere.stdout)).toMatchObject({ items: [{ namespace, backup: 'orders' }, { id: older }] });
    const nothing = await run('list-snapshots -l app=none');
    expect(nothing).toEqual({ code: 0, stdout: '', stderr: `No resources found in ${namespace} namespace.\n` });
    const unseen = await run('list-snapshots fresh');
    expect(unseen).toEqual({ code: 0, stdout: '', stderr: `${namespace}/fresh has no snapshot yet.\n` });
  });

  it('describes what was observed and what was not, without a colour', async () => {
    const seen = await run('describe orders');
    expect(seen).toMatchObject({ code: 0, stderr: '' });
    expect(seen.stdout).toMatch(/^Backups work: the newest restorable snapshot is \d+ days old\.\nNext: {2}kubectl /);
    expect(seen.stdout).toContain('Lock:        dbbackup-orders-db: free\n');
    expect(seen.stdout).toContain('2025-03-27 00:00:05   2025-03-27 01:00:05');
    const unseen = await run('describe fresh');
    expect(unseen.stdout).toMatch(/^The controller has not looked at this backup yet: nothing is restorable yet\.\n/);
  });

  it('locates every listed snapshot, as text and as a script', async () => {
    for (const id of [newest, older]) {
      const text = await run(`restore-locate orders --snapshot ${id}`);
      expect(text.stdout).toContain(
        `s3://backups/postgres/daily/${namespace}/orders-db/${id}.snap\n`.replace(
          `${namespace}/orders-db/${newest}`,
          `shop/orders-db/${newest}`,
        ),
      );
      const script = await run(`restore-locate orders --snapshot ${id} -o shell`);
      expect(script).toMatchObject({ code: 0, stderr: '' });
      expect(script.stdout).toMatch(
        new RegExp(`^# Restores one snapshot[^]*\nid='${id}'\n[^]*\nrestore < /dev/null\n$`),
      );
    }
  });

  it('hands a failing script to the shell when it fails', async () => {
    const end = await run('restore-locate fresh -o shell');
    expect(end).toMatchObject({ code: 1, stdout: expect.stringMatching(/\nexit 1\n$/) });
    expect(end.stderr).toBe(`error: ${namespace}/fresh has no snapshot yet: nothing can be restored\n`);
  });

  it('is quiet when its reader goes away', async () => {
    const script = `"$0" "$1" list-snapshots -n ${namespace} -o json | true; echo "\${PIPESTATUS[0]}"`;
    const child = spawn('/bin/bash', ['-c', script, process.execPath, main], {
      env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    await once(child, 'close');
    expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' });
  });
});

describe('refusals', () => {
  it('shows the words of the server and ends with 1', async () => {
    expect(await run('describe nobody')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Error from server (NotFound): databasebackups.dbbackup.io "nobody" not found\n',
    });
  });

  it('shows what a user may not do', async () => {
    const account = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    await api.transport.call({ method: 'POST', path: account, body: { metadata: { name: 'nothing' } } });
    const { status } = await api.transport.call<{ status: { token: string } }>({
      ...{ method: 'POST', path: `${account}/nothing/token` },
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [] } },
    });
    const end = await run('list-snapshots', await loginOf(status.token));
    expect(end).toMatchObject({ code: 1, stdout: '' });
    expect(end.stderr).toMatch(
      /^Error from server \(Forbidden\): databasebackups\.dbbackup\.io is forbidden: User "system:serviceaccount:plugin-test:nothing" cannot list/,
    );
  });

  it('says that no server answers, and what a kubeconfig lacks', async () => {
    const nowhere = join(folder, 'nowhere');
    // Of the ports where nobody listens, fetch() refuses 9 itself.
    await writeFile(nowhere, kubeconfigOf('https://127.0.0.1:8', undefined, {}));
    expect(await run('describe x', nowhere)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Unable to connect to the server: connect ECONNREFUSED 127.0.0.1:8\n',
    });
    expect(await run('describe x --context other')).toMatchObject({
      code: 1,
      stderr: 'error: context "other" does not exist\n',
    });
    expect((await run('describe x', join(folder, 'none'))).stderr).toMatch(/^error: read the kubeconfig: ENOENT/);
  });

  it('ends with 2 for a wrong command line', async () => {
    const end = await run('trigger');
    expect(end).toMatchObject({ code: 2, stdout: '' });
    expect(end.stderr).toContain("See 'kubectl dbbackup --help' for usage.\n");
  });

  it('knows a server without the kind', async () => {
    const kube = kubeOf({
      namespace: undefined,
      call: () => Promise.reject(new ApiError(404, '404', '404 page not found')),
    });
    await expect(kube.listBackups({})).rejects.toThrow('is dbbackup installed in this cluster?');
  });
});

function kubeconfigOf(server: string, ca: string | undefined, user: object): string {
  const cluster = { server, ...(ca === undefined ? {} : { 'certificate-authority-data': ca }) };
  return JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'x' },
    clusters: [{ name: 'x', cluster }],
    users: [{ name: 'x', user }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
  });
}

/** A kubeconfig of the same server for another login. */
async function loginOf(token: string): Promise<string> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const { server = '', caData, caFile } = config.getCurrentCluster() ?? {};
  const text = JSON.parse(kubeconfigOf(server, caData, { token })) as {
    clusters: { cluster: Record<string, string> }[];
  };
  if (caFile !== undefined && text.clusters[0] !== undefined)
    text.clusters[0].cluster['certificate-authority'] = caFile;
  const file = join(folder, 'other');
  await writeFile(file, JSON.stringify(text));
  return file;
}
