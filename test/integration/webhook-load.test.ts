// Under constant load: certificates are renewed, replicas come and go, and not one request fails. A real API server, real processes.
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeCertificate } from '../../webhook/certificate.ts';
import type { CertificatePair } from '../../webhook/files.ts';
import { type Balancer, startBalancer } from '../webhook/balancer.ts';
import { type Load, startLoad } from '../webhook/load.ts';
import {
  type AdmissionCluster,
  atAddress,
  eventually,
  fingerprint,
  isReady,
  type KubernetesObject,
  startAdmissionCluster,
  type WebhookProcess,
} from '../webhook/processes.ts';

let api: AdmissionCluster;
let configurations: KubernetesObject[];
let directory: string;
const balancers: Balancer[] = [];
const loads: Load[] = [];

beforeAll(async () => {
  api = await startAdmissionCluster('load');
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-certificate-'));
  const rendered = await api.render('kustomize/base');
  const isConfiguration = ({ kind }: KubernetesObject) => kind.endsWith('WebhookConfiguration');
  configurations = rendered.filter(isConfiguration);
  const items = rendered.filter((object) => !isConfiguration(object));
  expect(await api.apply({ apiVersion: 'v1', kind: 'List', items })).toMatchObject({ ok: true });
  await api.kubectl(['wait', '--for=condition=Established', 'crd/databasebackups.dbbackup.io', '--timeout=30s']);
  await api.kubectl(['create', 'namespace', 'shop']);
});

afterEach(async () => {
  for (const load of loads.splice(0)) await load.stop();
  for (const balancer of balancers.splice(0)) await balancer.stop();
});

afterAll(async () => {
  await api?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function balance(webhooks: WebhookProcess[], authorities?: string): Promise<Balancer> {
  const balancer = await startBalancer(...webhooks.map(({ port }) => port));
  balancers.push(balancer);
  for (const configuration of configurations)
    expect(await api.apply(atAddress(configuration, balancer.port, authorities))).toMatchObject({ ok: true });
  return balancer;
}

async function load(name: string): Promise<Load> {
  const started = await startLoad(api.cluster.kubeconfig, 'shop', name);
  loads.push(started);
  return started;
}

const ready = (webhook: WebhookProcess) =>
  eventually('the webhook to be ready', async () => (await isReady(webhook)) || undefined);

/** So many more requests are done: the API server has used what was there before them. */
const more = (running: Load, count: number) => {
  const until = running.done() + count;
  return eventually(`${count} more requests`, async () => running.done() >= until || undefined);
};

test('certificates are renewed by two replicas, in time and when their Secret is deleted, and nothing fails', async () => {
  const short = '--certificate-validity=10s';
  const webhooks = await Promise.all([api.startWebhook(short), api.startWebhook(short)]);
  await balance(webhooks);
  await Promise.all(webhooks.map(ready));
  const running = await load('renewed');
  const served = webhooks.map(() => new Set<string>());
  let deleted = 0;
  await eventually('four certificates of each replica', async () => {
    for (const [index, { port }] of webhooks.entries()) served[index]?.add(await fingerprint(port));
    const fewest = Math.min(...served.map(({ size }) => size));
    if (fewest > deleted && deleted < 2) {
      deleted++;
      await api.kubectl(['delete', 'secret', 'dbbackup-webhook-cert', '-n', 'dbbackup-system']);
    }
    return fewest >= 4 || undefined;
  });
  await more(running, 20);
  expect([await running.stop(), deleted]).toEqual([[], 2]);
  await Promise.all(webhooks.map(({ child }) => child.stop()));
});

test('replicas are replaced one after the other, and nothing fails', async () => {
  const [first, second] = await Promise.all([api.startWebhook(), api.startWebhook()]);
  const balancer = await balance([first, second]);
  await Promise.all([first, second].map(ready));
  const running = await load('drained');
  await more(running, 20);
  // As with a Service: first no new connections, then SIGTERM.
  balancer.backends = [second.port];
  await first.child.stop();
  await more(running, 20);
  const third = await api.startWebhook();
  await ready(third);
  balancer.backends = [third.port];
  await second.child.stop();
  await more(running, 20);
  expect(await running.stop()).toEqual([]);
  for (const { child } of [first, second]) expect(child.output()).toMatch(/"msg":"stopped"}$/);
  await third.child.stop();
});

/** As the kubelet does it: the files are links into a directory, which is replaced in one step. */
async function mount({ cert, key }: CertificatePair, generation: string): Promise<void> {
  const [data, next] = [path.join(directory, generation), path.join(directory, 'next')];
  await mkdir(data);
  await writeFile(path.join(data, 'tls.crt'), cert);
  await writeFile(path.join(data, 'tls.key'), key);
  await symlink(data, next);
  await rename(next, path.join(directory, 'data'));
  for (const name of ['tls.crt', 'tls.key'])
    await symlink(`data/${name}`, path.join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
}

test('a certificate that others keep in files is replaced, and nothing fails', async () => {
  const first = await makeCertificate(['127.0.0.1'], '', new Date());
  const second = await makeCertificate(['127.0.0.1'], first.authorities, new Date());
  await mount(first, 'first');
  const webhook = await api.startWebhook(`--certificate-directory=${directory}`);
  await balance([webhook], second.authorities);
  const trusted = () => Promise.all(configurations.map(({ kind, metadata }) => api.get(kind, metadata.name)));
  const written = await trusted();
  const running = await load('files');
  await more(running, 20);
  const before = await fingerprint(webhook.port);
  await mount(second, 'second');
  await eventually('the other certificate', async () => (await fingerprint(webhook.port)) !== before || undefined);
  await more(running, 20);
  expect(await running.stop()).toEqual([]);
  // Whoever keeps the files keeps the trust: it wrote nothing.
  expect(await trusted()).toEqual(written);
  await webhook.child.stop();
});
