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
const webhooks: WebhookProcess[] = [];

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
  for (const { child } of webhooks.splice(0)) await child.stop();
  // The next test's replicas make a certificate of their own, instead of serving the rest of a short life.
  await api.kubectl(['delete', 'secret', 'dbbackup-webhook-cert', '-n', 'dbbackup-system', '--ignore-not-found']);
});

afterAll(async () => {
  await api?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function serve(...options: string[]): Promise<WebhookProcess> {
  const webhook = await api.startWebhook(...options);
  webhooks.push(webhook);
  return webhook;
}

async function balance(backends: WebhookProcess[], authorities?: string): Promise<Balancer> {
  const balancer = await startBalancer(...backends.map(({ port }) => port));
  balancers.push(balancer);
  for (const configuration of configurations) {
    expect(await api.apply(atAddress(configuration, balancer.port, authorities))).toMatchObject({ ok: true });
  }
  return balancer;
}

async function load(name: string): Promise<Load> {
  await api.untilAsked('shop');
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

test('F22 certificates are renewed by two replicas, in time and when their Secret is deleted, and nothing fails', async () => {
  // On a machine that runs other tests beside this one a third of it has to do for a renewal, and a round for the API server to follow.
  const short = ['--certificate-validity=90s', '--interval-seconds=3'];
  const replicas = await Promise.all([serve(...short), serve(...short)]);
  await balance(replicas);
  await Promise.all(replicas.map(ready));
  const running = await load('renewed');
  const served = replicas.map(() => new Set<string>());
  let deleted = 0;
  const look = async (): Promise<true | undefined> => {
    for (const [index, { port }] of replicas.entries()) served[index]?.add(await fingerprint(port));
    const fewest = Math.min(...served.map(({ size }) => size));
    if (fewest > deleted && deleted < 2) {
      deleted++;
      await api.kubectl(['delete', 'secret', 'dbbackup-webhook-cert', '-n', 'dbbackup-system']);
    }
    return fewest >= 4 || undefined;
  };
  await eventually('four certificates of each replica', look, 200_000);
  await more(running, 20);
  expect([await running.stop(), deleted]).toEqual([[], 2]);
}, 300_000);

test('F22 replicas are replaced one after the other, and nothing fails', async () => {
  const [first, second] = await Promise.all([serve(), serve()]);
  const balancer = await balance([first, second]);
  await Promise.all([first, second].map(ready));
  const running = await load('drained');
  await more(running, 20);
  // As with a Service: first no new connections, then SIGTERM.
  balancer.backends = [second.port];
  await first.child.stop();
  await more(running, 20);
  const third = await serve();
  await ready(third);
  balancer.backends = [third.port];
  await second.child.stop();
  await more(running, 20);
  expect(await running.stop()).toEqual([]);
  for (const { child } of [first, second]) expect(child.output()).toMatch(/"msg":"stopped"}$/);
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

test('F22 a certificate that others keep in files is replaced, and nothing fails', async () => {
  const first = await makeCertificate(['127.0.0.1'], '', new Date());
  const second = await makeCertificate(['127.0.0.1'], first.authorities, new Date());
  await mount(first, 'first');
  const webhook = await serve(`--certificate-directory=${directory}`);
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
});
