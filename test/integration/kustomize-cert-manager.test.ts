// The certificate by cert-manager: what the component changes, and that an API server takes the result. cert-manager itself is not run.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdmissionCluster, type KubernetesObject, startAdmissionCluster } from '../webhook/processes.ts';

interface Pod {
  automountServiceAccountToken?: boolean;
  containers: { args: string[]; env?: { name: string }[]; volumeMounts: { name: string; mountPath: string }[] }[];
  volumes: { name: string; secret: { secretName: string } }[];
}

let api: AdmissionCluster;
let objects: KubernetesObject[];

beforeAll(async () => {
  api = await startAdmissionCluster('certmanager');
  objects = await rendered();
});

afterAll(() => api?.stop());

/** The base with the component, in another namespace where one is named. */
async function rendered(namespace?: string): Promise<KubernetesObject[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-cert-manager-'));
  try {
    const [root, moved] = [path.relative(directory, process.cwd()), path.join(directory, 'moved')];
    await mkdir(moved);
    const base = `resources: [../${root}/kustomize/base]\n`;
    await writeFile(
      path.join(moved, 'kustomization.yaml'),
      namespace === undefined ? base : `${base}namespace: ${namespace}\n`,
    );
    const components = `components: [${root}/kustomize/components/cert-manager]\n`;
    await writeFile(path.join(directory, 'kustomization.yaml'), `resources: [moved]\n${components}`);
    return await api.render(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const named = (kind: string, name = 'dbbackup-webhook', from = objects) =>
  from.find(({ kind: found, metadata }) => found === kind && metadata.name === name);

function pod(): Pod {
  const { spec } = named('Deployment') as KubernetesObject & { spec: { template: { spec: Pod } } };
  return spec.template.spec;
}

test('the webhook serves the Secret that the Certificate fills', () => {
  const certificate = named('Certificate')?.['spec'];
  expect(certificate).toMatchObject({
    secretName: 'dbbackup-webhook-tls',
    dnsNames: ['dbbackup-webhook.dbbackup-system.svc', 'dbbackup-webhook.dbbackup-system.svc.cluster.local'],
    issuerRef: { kind: 'Issuer', name: 'dbbackup-webhook' },
  });
  const [volume] = pod().volumes;
  expect(volume).toMatchObject({ secret: { secretName: 'dbbackup-webhook-tls' } });
  expect(pod().containers[0]?.volumeMounts).toEqual([
    { name: volume?.name, mountPath: '/certificate', readOnly: true },
  ]);
  expect(pod().containers[0]?.args).toEqual([
    '/app/webhook.mjs',
    '--port=9443',
    '--health-port=8081',
    '--certificate-directory=/certificate',
  ]);
});

test('its authority signs it, and keeps its key when it is renewed', () => {
  expect(named('Issuer')?.['spec']).toEqual({ ca: { secretName: 'dbbackup-webhook-authority' } });
  expect(named('Certificate', 'dbbackup-webhook-authority')?.['spec']).toMatchObject({
    isCA: true,
    secretName: 'dbbackup-webhook-authority',
    privateKey: { rotationPolicy: 'Never' },
    issuerRef: { name: 'dbbackup-webhook-self-signed' },
  });
});

test.each([undefined, 'backups'])('trust is injected from the Certificate, in namespace %s too', async (namespace) => {
  const all = await rendered(namespace);
  const place = namespace ?? 'dbbackup-system';
  for (const kind of ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'])
    expect(named(kind, 'dbbackup-webhook', all)?.metadata.annotations).toEqual({
      'cert-manager.io/inject-ca-from': `${place}/dbbackup-webhook`,
    });
  const ours = all.filter(({ apiVersion }) => apiVersion === 'cert-manager.io/v1');
  expect(ours.map(({ metadata }) => metadata.namespace)).toEqual([place, place, place, place]);
  expect(named('Certificate', 'dbbackup-webhook', all)?.['spec']).toMatchObject({
    dnsNames: [`dbbackup-webhook.${place}.svc`, `dbbackup-webhook.${place}.svc.cluster.local`],
  });
  expect(JSON.stringify(all)).not.toContain('NAMESPACE/');
});

test('the webhook has no rights and no token', async () => {
  for (const kind of ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding']) expect(named(kind)).toBeUndefined();
  expect(pod().automountServiceAccountToken).toBe(false);
  expect(objects.filter(({ kind }) => /^(Cluster)?Role(Binding)?$/.test(kind)).length).toBeGreaterThan(0);
});

test('an API server takes everything but the kinds of cert-manager, and its pod is restricted', async () => {
  const namespace = objects.find(({ kind }) => kind === 'Namespace');
  await api.kubectl(['create', '-f', '-'], namespace);
  const items = objects.filter(({ apiVersion }) => apiVersion !== 'cert-manager.io/v1');
  const list = { apiVersion: 'v1', kind: 'List', items };
  const dryRun = ['apply', '--server-side', '--dry-run=server', '--force-conflicts', '-f', '-'];
  expect(await api.try(dryRun, list)).toEqual({ ok: true, text: expect.not.stringContaining('Warning') });
  expect(items.length).toBe(objects.length - 4);
});
