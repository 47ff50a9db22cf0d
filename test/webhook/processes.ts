// A control plane of its own with the operator installed, and webhook processes that act as the webhook's service account and serve it.
// Webhook configurations hold for a whole cluster, so no other test can share it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { parseAllDocuments } from 'yaml';
import { binary } from '../rig/binaries.ts';
import { builtCluster, startBuilt } from '../rig/cluster/built.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { run } from '../rig/command.ts';
import { type Child, startChild } from '../rig/servers/child.ts';
import { backup } from './objects.ts';

const patienceMilliseconds = 120_000;
const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string; annotations?: Record<string, string> };
  [field: string]: unknown;
}

export interface Outcome {
  ok: boolean;
  /** Standard output and error together. */
  text: string;
}

/** Waits until the answer is there; fails with what was last seen. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined>,
  milliseconds = patienceMilliseconds,
): Promise<T> {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(100);
  }
  throw new Error(`wait for ${what}: nothing within ${milliseconds / 1000} s`);
}

/** @param name distinguishes clusters of one process; named so that what a killed run left is found and removed */
export async function startAdmissionCluster(
  name: 'webhook' | 'load' | 'kustomize' | 'certmanager' | 'policies' | 'fuzz' | 'fixtures',
): Promise<AdmissionCluster> {
  const { state, started } = await startBuilt(`test-${name}-${process.pid}`, false, log);
  const directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-admission-'));
  return new AdmissionCluster(builtCluster(state, started, log), directory, await binary('kubectl', log));
}

export class AdmissionCluster {
  readonly cluster: Cluster;
  readonly #directory: string;
  readonly #kubectl: string;
  readonly #children: Child[] = [];

  constructor(cluster: Cluster, directory: string, kubectl: string) {
    this.cluster = cluster;
    this.#directory = directory;
    this.#kubectl = kubectl;
  }

  /** Runs kubectl; a refusal is an outcome, not an error. */
  async try(args: string[], input?: object | string): Promise<Outcome> {
    const text = typeof input === 'object' ? JSON.stringify(input) : input;
    const command = `exec "$0" "$@" 2>&1`;
    try {
      const output = await run(['sh', '-c', command, this.#kubectl, ...args], {
        env: { ...process.env, KUBECONFIG: this.cluster.kubeconfig },
        ...(text === undefined ? {} : { input: text }),
      });
      return { ok: true, text: output };
    } catch (error) {
      return { ok: false, text: error instanceof Error && 'output' in error ? String(error.output) : String(error) };
    }
  }

  /** The same where a refusal is a failure of the test. */
  async kubectl(args: string[], input?: object | string): Promise<string> {
    const { ok, text } = await this.try(args, input);
    if (!ok) throw new Error(`kubectl ${args.join(' ')}: ${text}`);
    return text;
  }

  async get(...args: string[]): Promise<KubernetesObject> {
    return JSON.parse(await this.kubectl(['get', ...args, '-o', 'json']));
  }

  /** As GitOps tools do it. */
  apply(input: object | string): Promise<Outcome> {
    return this.try(['apply', '--server-side', '--force-conflicts', '-f', '-'], input);
  }

  /** Every object that kustomize makes of a directory. */
  async render(directory: string): Promise<KubernetesObject[]> {
    return objectsOf(await this.kubectl(['kustomize', directory]));
  }

  /** A kubeconfig that gives the rights of the webhook's service account and no other. */
  async #webhookKubeconfig(): Promise<string> {
    const admin = JSON.parse(await readFile(this.cluster.kubeconfig, 'utf8'));
    const token = await this.kubectl(['create', 'token', 'dbbackup-webhook', '-n', 'dbbackup-system']);
    const file = path.join(this.#directory, 'kubeconfig');
    await writeFile(file, JSON.stringify({ ...admin, users: [{ ...admin.users[0], user: { token: token.trim() } }] }));
    return file;
  }

  async startWebhook(...flags: string[]): Promise<WebhookProcess> {
    const main = path.join(import.meta.dirname, '..', '..', 'webhook', 'main.ts');
    const interval = flags.some((flag) => flag.startsWith('--interval-seconds=')) ? [] : ['--interval-seconds=1'];
    const args = ['--port=0', '--health-port=0', '--host=127.0.0.1', ...interval, '--log-level=debug'];
    const env = { ...process.env, KUBECONFIG: await this.#webhookKubeconfig() };
    const child = await startChild([process.execPath, main, ...args, ...flags], { env });
    this.#children.push(child);
    const ports = await eventually('the webhook to listen', async () => {
      if (!child.running()) throw new Error(`the webhook ended: ${child.output()}`);
      const line = child
        .output()
        .split('\n')
        .find((text) => text.includes('"msg":"listening"'));
      return line === undefined ? undefined : (JSON.parse(line) as { port: number; healthPort: number });
    });
    return { child, ...ports };
  }

  /**
   * Waits until the API server asks the webhook at all entries and believes it. A webhook that is ready has written whom to trust; the API
   * server learns of that, and of the configurations themselves, some time later.
   */
  async untilAsked(namespace: string): Promise<void> {
    const asked = backup({}, { name: 'asked', namespace, annotations: { 'dbbackup.io/trigger': 'asked' } });
    await eventually('the API server to ask the webhook', async () => {
      const { ok, text } = await this.try(['create', '--dry-run=server', '-o', 'json', '-f', '-'], asked);
      return (ok && text.includes('"dbbackup.io/triggered-by"')) || undefined;
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await this.cluster.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export interface WebhookProcess {
  child: Child;
  port: number;
  healthPort: number;
}

export async function isReady({ healthPort }: WebhookProcess): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).status === 200;
}

export function objectsOf(yaml: string): KubernetesObject[] {
  return parseAllDocuments(yaml).map((document) => document.toJS() as KubernetesObject);
}

interface WebhookConfiguration extends KubernetesObject {
  webhooks: { clientConfig: { service?: { path: string } } }[];
}

/** The SHA-256 of the certificate that is served at a port. */
export function fingerprint(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    // Only looks at the certificate; nothing is sent.
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/**
 * A webhook configuration as it is written, but reached at an address of this machine instead of a Service, and with the patience that a
 * busy machine needs: an answer that is late refuses an object, or leaves out in silence who set a trigger.
 * @param authorities PEM, where somebody else than the webhook says whom to trust
 */
export function atAddress(configuration: KubernetesObject, port: number, authorities?: string): KubernetesObject {
  const trust = authorities === undefined ? {} : { caBundle: Buffer.from(authorities).toString('base64') };
  const { webhooks } = configuration as WebhookConfiguration;
  return {
    ...configuration,
    webhooks: webhooks.map(({ clientConfig, ...rest }) => ({
      ...rest,
      timeoutSeconds: 30,
      clientConfig: { url: `https://127.0.0.1:${port}${clientConfig.service?.path}`, ...trust },
    })),
  };
}
