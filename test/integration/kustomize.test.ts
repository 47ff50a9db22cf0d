// What users apply: it renders alike everywhere, a real API server takes it, and applied again it changes nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { validate } from '../../crds/rules/validate.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { recipient } from '../webhook/objects.ts';
import {
  type AdmissionCluster,
  eventually,
  type KubernetesObject,
  objectsOf,
  startAdmissionCluster,
} from '../webhook/processes.ts';

interface Deployment extends KubernetesObject {
  spec: { replicas: number; template: { metadata: object; spec: { containers: Container[] } } };
}

interface Container {
  image: string;
  imagePullPolicy?: string;
  env: { name: string; value?: string }[];
}

const directories = [
  'crds',
  'kustomize/base',
  'kustomize/base/operator',
  'kustomize/overlays/dev',
  'kustomize/overlays/argocd',
  'kustomize/overlays/argocd/health',
  'kustomize/overlays/flux',
  'kustomize/examples/orders',
];

let api: AdmissionCluster;
let kustomize: string;

beforeAll(async () => {
  kustomize = await binary('kustomize', (line) => process.stderr.write(`[rig] ${line}\n`));
  api = await startAdmissionCluster('kustomize');
});

afterAll(() => api?.stop());

const build = (directory: string) => run([kustomize, 'build', directory]);
const is = (kind: string) => (object: KubernetesObject) => object.kind === kind;
const deployments = (objects: KubernetesObject[]) => objects.filter(is('Deployment')) as Deployment[];

/** Renders an overlay that exists only for this test; its text names the repository as ROOT. */
async function renderOverlay(files: Record<string, string>): Promise<KubernetesObject[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-overlay-'));
  try {
    const root = path.relative(directory, process.cwd());
    for (const [name, text] of Object.entries(files))
      await writeFile(path.join(directory, name), text.replaceAll('ROOT', root));
    return objectsOf(await build(directory));
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe.each(directories)('%s', (directory) => {
  test('renders alike with kustomize and with kubectl', async () => {
    const rendered = await build(directory);
    expect(await api.kubectl(['kustomize', directory])).toBe(rendered);
    // Flux would take it for a variable of its own.
    expect(rendered).not.toContain('${');
  });
});

describe.each(['kustomize/base', 'kustomize/overlays/dev', 'kustomize/overlays/argocd'])(
  '%s on a cluster',
  (directory) => {
    const all = async (): Promise<string[]> => {
      const list = await api.kubectl(['get', '-f', '-', '-o', 'json'], await build(directory));
      const { items } = JSON.parse(list) as { items: KubernetesObject[] };
      return items.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`);
    };
    const apply = ['apply', '-k', directory, '--server-side', '--force-conflicts'];

    test('applied a second time nothing changes', async () => {
      await api.kubectl(apply);
      // The cluster's own controllers write statuses for a while.
      await eventually('an apply that changes nothing', async () => {
        const before = await all();
        await api.kubectl(apply);
        return JSON.stringify(await all()) === JSON.stringify(before) || undefined;
      });
      expect(await api.try(['diff', '-k', directory, '--server-side', '--force-conflicts'])).toEqual({
        ok: true,
        text: '',
      });
    });

    test('its pods pass the restricted Pod Security of their namespace', async () => {
      const found = deployments(await api.render(directory));
      expect(found).toHaveLength(2);
      for (const { metadata, spec } of found) {
        const pod = { apiVersion: 'v1', kind: 'Pod', ...spec.template };
        const named = {
          ...pod,
          metadata: { ...spec.template.metadata, name: metadata.name, namespace: metadata.namespace },
        };
        const { ok, text } = await api.try(['create', '--dry-run=server', '-f', '-'], named);
        expect([ok, text]).toEqual([true, expect.not.stringContaining('Warning')]);
      }
    });
  },
);

test('a pod that is not restricted is refused there, so the test above can fail', async () => {
  const loose = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'loose', namespace: 'dbbackup-system' } };
  const spec = { containers: [{ name: 'a', image: 'a:1' }] };
  const { ok, text } = await api.try(['create', '--dry-run=server', '-f', '-'], { ...loose, spec });
  expect([ok, text]).toEqual([false, expect.stringContaining('violates PodSecurity')]);
});

test('the webhook configurations say everything that the API server would fill in', async () => {
  const written = (await api.render('kustomize/base')).filter(({ kind }) => kind.endsWith('WebhookConfiguration'));
  expect(written).toHaveLength(2);
  for (const { kind, metadata, webhooks } of written)
    expect((await api.get(kind, metadata.name))['webhooks']).toEqual(webhooks);
});

test('a bundle that the webhook filled in stays when the base is applied again', async () => {
  const where = ['validatingwebhookconfiguration', 'dbbackup-webhook'];
  const apply = ['apply', '-k', 'kustomize/base', '--server-side', '--force-conflicts'];
  await api.kubectl(apply);
  const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
  const caBundle = Buffer.from(pem).toString('base64');
  const patch = JSON.stringify([{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: caBundle }]);
  await api.kubectl(['patch', ...where, '--type=json', '--field-manager=dbbackup-webhook', '-p', patch]);
  const filled = await api.get(...where);
  await api.kubectl(apply);
  expect(await api.get(...where)).toEqual(filled);
});

test('the health script is under the key that Argo CD looks for, alone', async () => {
  const [rendered] = await api.render('kustomize/overlays/argocd/health');
  expect(rendered).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'argocd-cm', namespace: 'argocd' } });
  expect(Object.keys(rendered?.['data'] ?? {})).toEqual(['resource.customizations.health.dbbackup.io_DatabaseBackup']);
});

test('the dev overlay runs one webhook and pulls nothing that is there', async () => {
  const found = deployments(await api.render('kustomize/overlays/dev'));
  expect(found.map(({ spec }) => spec.replicas)).toEqual([1, 1]);
  for (const { spec } of found) expect(spec.template.spec.containers[0]?.imagePullPolicy).toBe('IfNotPresent');
});

test('images of an overlay reach the controller, the webhook and the executor', async () => {
  const [controller, webhook] = deployments(
    await renderOverlay({
      'kustomization.yaml': [
        'resources: [ROOT/kustomize/base]',
        'images:',
        '  - {name: ghcr.io/dbbackup/controller, newTag: 1.2.3}',
        '  - {name: ghcr.io/dbbackup/executor, newName: registry.example/executor, digest: "sha256:ab"}',
      ].join('\n'),
    }),
  ).map(({ spec }) => spec.template.spec.containers[0]);
  expect([controller?.image, webhook?.image]).toEqual(Array(2).fill('ghcr.io/dbbackup/controller:1.2.3'));
  expect(controller?.env.find(({ name }) => name === 'EXECUTOR_IMAGE')?.value).toBe(
    'registry.example/executor@sha256:ab',
  );
});

test('another namespace reaches every place that names it', async () => {
  const objects = await renderOverlay({ 'kustomization.yaml': 'resources: [ROOT/kustomize/base]\nnamespace: backups' });
  expect(JSON.stringify(objects)).not.toContain('dbbackup-system');
  expect(objects.filter(is('ValidatingWebhookConfiguration'))).toMatchObject([
    { webhooks: [{ clientConfig: { service: { namespace: 'backups' } } }] },
  ]);
});

describe('the example of a team', () => {
  const example = async () => (await api.render('kustomize/examples/orders'))[0] as KubernetesObject & DatabaseBackup;

  test('is refused until it holds a key of one’s own', async () => {
    const fields = validate(await example()).map(({ field }) => field);
    expect(new Set(fields)).toEqual(new Set(['spec.encryption.age.recipients[0]']));
  });

  test('is valid with one, under the rules and on the API server', async () => {
    const { spec, ...rest } = await example();
    const filled = { ...rest, spec: { ...spec, encryption: { age: { recipients: [recipient] } } } };
    expect(validate(filled)).toEqual([]);
    await api.kubectl(['create', 'namespace', 'orders']);
    const configurations = ['mutatingwebhookconfiguration', 'validatingwebhookconfiguration'];
    for (const kind of configurations) await api.kubectl(['delete', kind, 'dbbackup-webhook']);
    // The API server goes on asking for a moment.
    await eventually('the example to be taken', async () => (await api.apply(filled)).ok || undefined);
  });

  test('follows generated names and the image of the database', async () => {
    const objects = await renderOverlay({
      'kustomization.yaml': [
        'resources: [ROOT/kustomize/examples/orders]',
        'components: [ROOT/kustomize/components/transformers]',
        'namespace: orders',
        'images: [{name: postgres, newTag: "17.2"}]',
        'secretGenerator:',
        '  - {name: orders-db, literals: [username=u]}',
        '  - {name: s3-credentials, literals: [AWS_ACCESS_KEY_ID=a]}',
      ].join('\n'),
    });
    const { spec } = objects.find(is('DatabaseBackup')) as unknown as DatabaseBackup;
    const secrets = objects.filter(is('Secret')).map(({ metadata }) => metadata.name);
    expect(spec.database.image).toBe('postgres:17.2');
    expect([spec.database.auth?.secretRef?.name, spec.storage.s3?.auth.secretRef?.name]).toEqual(secrets);
    expect(secrets[0]).toMatch(/^orders-db-[a-z0-9]+$/);
  });
});

describe('rights', () => {
  const may = async (user: string, ...what: string[]) =>
    (await api.try(['auth', 'can-i', `--as=${user}`, ...what])).text.trim().split('\n').at(-1);
  const controller = 'system:serviceaccount:dbbackup-system:dbbackup-controller';

  test.each([
    ['yes', ['list', 'databasebackups.dbbackup.io', '-A']],
    ['yes', ['patch', 'databasebackups.dbbackup.io', '--subresource=status', '-A']],
    ['no', ['patch', 'databasebackups.dbbackup.io', '-A']],
    ['yes', ['create', 'jobs.batch', '-A']],
    ['yes', ['update', 'leases.coordination.k8s.io', '-A']],
    ['no', ['delete', 'leases.coordination.k8s.io', '-A']],
    ['yes', ['get', 'namespaces/kube-system']],
    ['no', ['get', 'namespaces/default']],
    ['no', ['get', 'secrets', '-A']],
    ['no', ['create', 'pods', '-A']],
  ])('the controller: %s to %j', async (answer, what) => {
    expect(await may(controller, ...what)).toBe(answer);
  });

  test('who may edit a namespace may edit its backups, who may view it may only look', async () => {
    for (const [role, user] of [
      ['edit', 'editor'],
      ['view', 'viewer'],
    ])
      await api.kubectl([
        'create',
        'rolebinding',
        `${role}s`,
        `--clusterrole=${role}`,
        `--user=${user}`,
        '-n',
        'default',
      ]);
    const kind = 'databasebackups.dbbackup.io';
    await eventually(
      'the roles to be aggregated',
      async () => (await may('editor', 'create', kind)) === 'yes' || undefined,
    );
    expect([await may('viewer', 'list', kind), await may('stranger', 'list', kind)]).toEqual(['yes', 'no']);
    expect([await may('viewer', 'create', kind), await may('editor', 'delete', kind)]).toEqual(['no', 'yes']);
  });
});
