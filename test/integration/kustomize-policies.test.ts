// The two programs within their bounds: what their policies let through and what they refuse, asked of a real API server.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildJob } from '../../controller/job.ts';
import type { Backup } from '../../controller/objects.ts';
import { backup } from '../webhook/objects.ts';
import {
  type AdmissionCluster,
  eventually,
  type KubernetesObject,
  startAdmissionCluster,
} from '../webhook/processes.ts';

let api: AdmissionCluster;

const as = (program: string) => `--as=system:serviceaccount:dbbackup-system:dbbackup-${program}`;
const dryRun = ['create', '--dry-run=server', '-f', '-'];

beforeAll(async () => {
  api = await startAdmissionCluster('policies');
  await api.kubectl(['apply', '-k', 'kustomize/base', '--server-side']);
  // A policy is enforced a moment after it is there.
  await eventually('the policy of Jobs', async () => {
    const { text } = await api.try([...dryRun, as('controller')], job({ metadata: { ownerReferences: [] } }));
    return text.includes('ValidatingAdmissionPolicy') || undefined;
  });
});

afterAll(() => api?.stop());

/** A tree with other values at some places; lists are replaced whole. */
function merge(base: unknown, changes: unknown): unknown {
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes)) return changes;
  const merged: Record<string, unknown> = { ...(base as object | undefined) };
  for (const [key, value] of Object.entries(changes)) merged[key] = merge(merged[key], value);
  return merged;
}

type Storage = Backup['spec']['storage'];

/** The Job that the controller makes, with changes. */
function job(changes: object = {}, storage?: Storage, database: object = {}): object {
  const spec = storage === undefined ? {} : { storage, serviceAccountName: 'backup-writer' };
  const object = { ...backup(spec, { namespace: 'default', uid: '5f0c7b6e-0000-4000-8000-000000000000' }) };
  object.spec = { ...object.spec, database: { ...object.spec.database, ...database } };
  const settings = { clusterUid: 'c', executorImage: 'ghcr.io/dbbackup/executor:dev', startTimeoutSeconds: 600 };
  const made = buildJob({
    backup: object as Backup,
    settings: settings as Parameters<typeof buildJob>[0]['settings'],
    name: 'orders-20250327010000',
    image: 'postgres:16',
    trigger: { kind: 'Schedule', slot: '2025-03-27T01:00:00Z' },
  });
  return merge(made, changes) as object;
}

/** The Job of an OpenBao that knows the service account, with another audience. */
function openbao(audience: string): object {
  return job({}, undefined, { auth: { jwt: { role: 'backup', audience } } });
}
/** Mounts what the dump logs in with in the executor too. */
function shared(): object {
  type Container = { name: string; volumeMounts: object[] };
  const { spec } = job() as { spec: { template: { spec: { containers: Container[] } } } };
  const mount = { name: 'database', mountPath: '/database' };
  return pod({
    containers: spec.template.spec.containers.map((one) =>
      one.name === 'executor' ? { ...one, volumeMounts: [...one.volumeMounts, mount] } : one,
    ),
  });
}

const pod = (changes: object) => job({ spec: { template: { spec: changes } } });
/** One of its volumes comes from somewhere else. */
function volume(source: object): object {
  const { spec } = job() as { spec: { template: { spec: { volumes: { name: string }[] } } } };
  const swap = ({ name }: { name: string }) => ({ name, ...source });
  return pod({ volumes: spec.template.spec.volumes.map((one) => (one.name === 'dump-temporary' ? swap(one) : one)) });
}

const container = (securityContext: object) => [{ name: 'a', image: 'a:1', securityContext }];
const bare = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

const roleArn = 'arn:aws:iam::123456789012:role/backups';
const withToken: Storage = {
  s3: { bucket: 'backups', region: 'eu-central-1', auth: { workloadIdentity: { roleArn } } },
};
const key = { name: 'store-login', key: 'login' };
const token = (audience: string) => ({ serviceAccountToken: { path: 't', audience } });

/** The Job with a token for the cloud, whose dump has it too. */
function withTokenInDump(): object {
  const made = job({}, withToken) as { spec: { template: { spec: { containers: { name: string }[] } } } };
  const { containers } = made.spec.template.spec;
  const volumeMounts = [{ name: 'cloud-token', mountPath: '/token' }];
  const changed = containers.map((one) => (one.name === 'dump' ? { ...one, volumeMounts } : one));
  return merge(made, { spec: { template: { spec: { containers: changed } } } }) as object;
}

describe('attack 19: the controller', () => {
  const place = { container: 'backups', account: 'mybackups' };

  test.each<[string, Storage | undefined]>([
    ['S3 with a Secret', undefined],
    ['S3 with a role', withToken],
    [
      'S3 with authorities of a ConfigMap',
      { s3: { bucket: 'backups', region: 'x', ca: { configMapKeyRef: key }, auth: { default: {} } } },
    ],
    ['Google', { gcs: { bucket: 'backups', auth: { serviceAccountKeySecretKeyRef: key } } }],
    ['Azure with a Secret', { azure: { ...place, auth: { accountKeySecretKeyRef: key } } }],
    ['Azure with an identity', { azure: { ...place, auth: { workloadIdentity: {} } } }],
    ['a claim', { pvc: { claimName: 'backups' } }],
  ])('may make the Jobs that it makes for %s', async (_what, storage) => {
    expect(await api.try([...dryRun, as('controller')], job({}, storage))).toMatchObject({ ok: true });
  });

  test('may make the Job that logs in to OpenBao', async () => {
    expect(await api.try([...dryRun, as('controller')], openbao('openbao'))).toMatchObject({ ok: true });
  });

  test.each([
    ['a Job of nobody', job({ metadata: { ownerReferences: [] } }), 'that a DatabaseBackup owns'],
    ['a Job in a namespace of Kubernetes', job({ metadata: { namespace: 'kube-system' } }), 'of Kubernetes itself'],
    ['a Job that runs at once', job({ spec: { suspend: false } }), 'suspended'],
    ['a pod with a token', pod({ automountServiceAccountToken: true }), 'no token'],
    [
      'a pod with a token by another way',
      volume({ projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }),
      'no token',
    ],
    ['a pod with a token for the API server', volume({ projected: { sources: [token('')] } }), 'no token'],
    ['a pod with a token for anybody else', volume({ projected: { sources: [token('vault')] } }), 'no token'],
    [
      'a pod with a Secret among projected things',
      volume({ projected: { sources: [{ secret: { name: key.name } }] } }),
      'no token',
    ],
    ['a dump with the token of the store', withTokenInDump(), 'only the executor gets a token'],
    ['a pod with a volume of a driver', volume({ csi: { driver: 'secrets-store.csi.k8s.io' } }), 'no other volumes'],
    ['a pod with a volume of a server', volume({ nfs: { server: 'a', path: '/' } }), 'no other volumes'],
    ['a dump with a token for the API server', openbao('https://kubernetes.default.svc'), 'no token'],
    ['a pod whose executor has the login of the database', shared(), 'container dump alone'],
    ['a pod on the network of its node', pod({ hostNetwork: true }), 'nothing of their node'],
    ['a pod with a directory of its node', volume({ hostPath: { path: '/' } }), 'of their node'],
    [
      'a privileged container',
      pod({ containers: container({ ...bare, privileged: true, allowPrivilegeEscalation: true }) }),
      'no privileges',
    ],
    ['a container that says nothing', pod({ containers: container({}) }), 'no privileges'],
    [
      'an init container with a capability',
      pod({ initContainers: container({ ...bare, capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } }) }),
      'no privileges',
    ],
  ])('may not make %s', async (_what, object, why) => {
    const { ok, text } = await api.try([...dryRun, as('controller')], object);
    expect([ok, text]).toEqual([false, expect.stringContaining(why)]);
  });

  test('may start its own Job, and touch no other', async () => {
    const patch = ['--type=merge', '-p', '{"spec":{"suspend":false}}', as('controller')];
    // Its owner does not exist here: without a finalizer it would be collected before it is touched.
    await api.kubectl(['create', '-f', '-'], job({ metadata: { name: 'ours', finalizers: ['dbbackup.io/test'] } }));
    await api.kubectl(['create', '-f', '-'], job({ metadata: { name: 'foreign', ownerReferences: [] } }));
    expect(await api.try(['patch', 'job', 'ours', ...patch, '--dry-run=server'])).toMatchObject({ ok: true });
    expect(await api.try(['patch', 'job', 'foreign', ...patch, '--dry-run=server'])).toMatchObject({ ok: false });
  });

  test('others are not asked', async () => {
    expect(await api.try(dryRun, job({ metadata: { ownerReferences: [] } }))).toMatchObject({ ok: true });
  });
});

describe.each(['mutatingwebhookconfiguration', 'validatingwebhookconfiguration'])('the webhook and its %s', (kind) => {
  const patch = async (changes: object[]) => {
    const args = ['patch', kind, 'dbbackup-webhook', '--type=json', '-p', JSON.stringify(changes)];
    return api.try([...args, '--dry-run=server', as('webhook')]);
  };
  const pem = Buffer.from('-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n').toString('base64');

  test('it may set the bundle', async () => {
    expect(await patch([{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: pem }])).toMatchObject({
      ok: true,
    });
  });

  test.each([
    ['ask about Secrets', 'replace', '/webhooks/0/rules/0/resources', ['secrets']],
    [
      'add a rule',
      'add',
      '/webhooks/0/rules/-',
      { apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['secrets'] },
    ],
    ['send them elsewhere', 'replace', '/webhooks/0/clientConfig', { url: 'https://elsewhere.example', caBundle: pem }],
    ['send them to another Service', 'replace', '/webhooks/0/clientConfig/service/name', 'another'],
    ['stop asking', 'replace', '/webhooks/0/failurePolicy', 'Ignore'],
    ['drop a condition', 'remove', '/webhooks/0/matchConditions/0', undefined],
    ['leave a namespace out', 'replace', '/webhooks/0/namespaceSelector', { matchLabels: { a: 'b' } }],
    ['be gone', 'remove', '/webhooks/0', undefined],
  ])('it may not make it %s', async (_what, op, path, value) => {
    const { ok, text } = await patch([{ op, path, value }]);
    expect([ok, text]).toEqual([false, expect.stringContaining('changes nothing but caBundle')]);
  });

  test('it may not add a webhook', async () => {
    const [webhook] = (await api.get(kind, 'dbbackup-webhook'))['webhooks'] as object[];
    const { ok, text } = await patch([
      { op: 'add', path: '/webhooks/-', value: { ...webhook, name: 'b.dbbackup.io' } },
    ]);
    expect([ok, text]).toEqual([false, expect.stringContaining('changes nothing but caBundle')]);
  });
});

test('the API server finds no fault with the expressions', async () => {
  for (const name of ['dbbackup-controller', 'dbbackup-webhook']) {
    const checked = await eventually('the check of the expressions', async () => {
      const found = (await api.get('validatingadmissionpolicy', name)) as KubernetesObject & {
        status?: { typeChecking?: object };
      };
      return found.status?.typeChecking;
    });
    expect(checked).toEqual({});
  }
});
