// What each store and each way to log in to it makes of the Job: the executor's task, and that nothing of it reaches the dump.
import { describe, expect, test } from 'vitest';
import { buildJob } from '../../controller/job.ts';
import { decodeTask, paths, type StorageTask } from '../../crds/rules/contract.ts';
import { backup, settings, window } from './builders.ts';

type Spec = ReturnType<typeof backup>['spec'];
interface Container {
  name: string;
  env: { name: string; value?: string }[];
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}
interface Built {
  spec: {
    template: {
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: {
        automountServiceAccountToken: boolean;
        initContainers: Container[];
        containers: Container[];
        volumes: ({ name: string } & Record<string, unknown>)[];
      };
    };
  };
}

function build(storage: Spec['storage'], metadata: { name?: string; namespace?: string } = {}): Built {
  const made = backup({ spec: { storage, serviceAccountName: 'backup-writer' }, metadata });
  const trigger = { kind: 'Schedule', slot: window } as const;
  return buildJob({ backup: made, settings, name: 'orders-20250327010000', image: 'postgres:16', trigger }) as Built;
}

const containersOf = ({ spec }: Built): Container[] => [
  ...spec.template.spec.initContainers,
  ...spec.template.spec.containers,
];
const named = (job: Built, name: string): Container => {
  const found = containersOf(job).find((container) => container.name === name);
  if (found === undefined) throw new Error(`no container "${name}"`);
  return found;
};

function taskOf(job: Built, name = 'executor'): StorageTask {
  const value = named(job, name).env[0]?.value?.replaceAll('$$', '$');
  return decodeTask({ DBBACKUP_TASK: value, DBBACKUP_JOB_UID: 'job-1' }).task.storage;
}

const volume = (job: Built, name: string) => job.spec.template.spec.volumes.find((one) => one.name === name);
const variable = (job: Built, name: string, container = 'executor') =>
  named(job, container).env.find((one) => one.name === name)?.value;

const place = { bucket: 'backups', region: 'eu-central-1' };
const s3Default = { ...place, auth: { default: {} } };
const roleArn = 'arn:aws:iam::123456789012:role/backups';
const key = { name: 'store-login', key: 'login' };
const container = { container: 'backups', account: 'mybackups' };
const clientId = '6f9619ff-8b86-d011-b42d-00cf4fc964ff';
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';

const logins: [string, Spec['storage'], object, string | undefined, string | undefined][] = [
  // what, storage, auth in the task, Secret, audience of the token
  [
    'an access key',
    { s3: { ...place, auth: { secretRef: { name: 'store-login' } } } },
    { secret: { name: 'store-login', accessKeyId: 'AWS_ACCESS_KEY_ID' } },
    'store-login',
    undefined,
  ],
  ["the SDK's own chain", { s3: s3Default }, {}, undefined, undefined],
  ['an identity of EKS', { s3: { ...place, auth: { workloadIdentity: {} } } }, {}, undefined, undefined],
  [
    'a role',
    { s3: { ...place, auth: { workloadIdentity: { roleArn } } } },
    { roleArn },
    undefined,
    'sts.amazonaws.com',
  ],
  [
    'a key of Google',
    { gcs: { bucket: 'backups', auth: { serviceAccountKeySecretKeyRef: key } } },
    { keyFile: { secret: 'store-login', key: 'login' } },
    'store-login',
    undefined,
  ],
  ['an identity of GKE', { gcs: { bucket: 'backups', auth: { workloadIdentity: {} } } }, {}, undefined, undefined],
  ["Google's default", { gcs: { bucket: 'backups', auth: { applicationDefault: {} } } }, {}, undefined, undefined],
  ...(['accountKey', 'connectionString', 'sasToken'] as const).map((kind): (typeof logins)[number] => [
    `Azure's ${kind}`,
    { azure: { ...container, auth: { [`${kind}SecretKeyRef`]: key } } },
    { auth: { kind, secretKey: { secret: 'store-login', key: 'login' } } },
    'store-login',
    undefined,
  ]),
  [
    'a managed identity',
    { azure: { ...container, auth: { managedIdentity: { clientId } } } },
    { auth: { kind: 'managedIdentity', clientId } },
    undefined,
    undefined,
  ],
  [
    'a workload identity of Azure',
    { azure: { ...container, auth: { workloadIdentity: { clientId, tenantId } } } },
    { auth: { kind: 'workloadIdentity', clientId, tenantId } },
    undefined,
    'api://AzureADTokenExchange',
  ],
];

describe.each(logins)('with %s', (_what, storage, auth, secret, audience) => {
  const job = build(storage);

  test('the executor has the task, in both of its containers', () => {
    expect(taskOf(job)).toMatchObject({ kind: Object.keys(storage)[0], ...auth });
    expect(taskOf(job, 'prepare')).toEqual(taskOf(job));
  });

  test('exactly the Secret that is named is mounted, as optional files of the group', () => {
    expect(volume(job, 'storage')).toEqual(
      secret && { name: 'storage', secret: { secretName: secret, optional: true, defaultMode: 0o440 } },
    );
  });

  test('a token is mounted only where a cloud takes one, and it is for that cloud', () => {
    const token = { serviceAccountToken: { audience, expirationSeconds: 3600, path: 'token' } };
    expect(volume(job, 'cloud-token')).toEqual(
      audience && { name: 'cloud-token', projected: { sources: [token], defaultMode: 0o440 } },
    );
    expect(job.spec.template.spec.automountServiceAccountToken).toBe(false);
  });

  test('the dump has nothing of it: no volume, no variable, and webhooks of the clouds are to pass it over', () => {
    const dump = named(job, 'dump');
    expect(dump.volumeMounts.map(({ name }) => name)).toEqual(['run', 'dump-temporary', 'database']);
    expect(dump.env.filter(({ name }) => /^(AWS|AZURE|GOOGLE)_/.test(name))).toEqual([]);
    expect(JSON.stringify(dump)).not.toContain('store-login');
    expect(job.spec.template.metadata.annotations).toMatchObject({
      'azure.workload.identity/skip-containers': 'dump',
      'eks.amazonaws.com/skip-containers': 'dump',
    });
  });

  test('no volume is without a mount, and no mount without a volume', () => {
    const used = new Set(containersOf(job).flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name)));
    expect([...used].sort()).toEqual(job.spec.template.spec.volumes.map(({ name }) => name).sort());
  });
});

describe('the identity of a service account', () => {
  test('is taken by the SDK with a token that only the executor has, under a name that tells whose it is', () => {
    const job = build({ s3: { ...place, auth: { workloadIdentity: { roleArn } } } });
    expect(variable(job, 'AWS_ROLE_ARN')).toBe(roleArn);
    expect(variable(job, 'AWS_WEB_IDENTITY_TOKEN_FILE')).toBe(`${paths.cloudToken}/token`);
    expect(variable(job, 'AWS_ROLE_SESSION_NAME')).toBe('dbbackup-shop-orders');
    expect(named(job, 'executor').volumeMounts).toContainEqual({
      name: 'cloud-token',
      mountPath: paths.cloudToken,
      readOnly: true,
    });
  });

  test('has a session name that AWS takes, however long the names are', () => {
    const storage = { s3: { ...place, auth: { workloadIdentity: { roleArn } } } };
    const name = variable(build(storage, { namespace: 'n'.repeat(63), name: 'o'.repeat(48) }), 'AWS_ROLE_SESSION_NAME');
    expect(name).toHaveLength(64);
  });

  test.each([[{}], [{ roleArn }]])('is never replaced by that of the node: %j', (workloadIdentity) => {
    expect(variable(build({ s3: { ...place, auth: { workloadIdentity } } }), 'AWS_EC2_METADATA_DISABLED')).toBe('true');
  });

  test("may be the node's where the SDK's own chain is asked for", () => {
    expect(variable(build({ s3: s3Default }), 'AWS_EC2_METADATA_DISABLED')).toBeUndefined();
  });

  test('is asked for by a label where Azure looks for one, and only there', () => {
    const label = 'azure.workload.identity/use';
    const withIdentity = build({ azure: { ...container, auth: { workloadIdentity: {} } } });
    expect(withIdentity.spec.template.metadata.labels[label]).toBe('true');
    expect(build({ s3: s3Default }).spec.template.metadata.labels).not.toHaveProperty([label]);
  });
});

describe('the authorities of a store', () => {
  test.each([
    ['ConfigMap', { configMapKeyRef: { name: 'company-ca', key: 'root.pem' } }, 'configMap', { name: 'company-ca' }],
    ['Secret', { secretKeyRef: { name: 'company-ca', key: 'root.pem' } }, 'secret', { secretName: 'company-ca' }],
  ] as const)('come from a %s, of which only the named key is mounted', (kind, ca, source, named_) => {
    const job = build({ s3: { ...s3Default, ca } });
    expect(volume(job, 'storage-ca')).toEqual({
      name: 'storage-ca',
      [source]: { ...named_, items: [{ key: 'root.pem', path: 'ca.crt' }], optional: true, defaultMode: 0o440 },
    });
    expect(taskOf(job)).toMatchObject({ authorities: { kind, name: 'company-ca', key: 'root.pem' } });
    expect(named(job, 'dump').volumeMounts.map(({ name }) => name)).not.toContain('storage-ca');
  });
});

describe('an S3 store', () => {
  test.each([
    [undefined, undefined, 'auto'],
    ['https://minio.example', undefined, 'required'],
    ['https://minio.example', 'auto', 'auto'],
    [undefined, 'required', 'required'],
  ] as const)('at %s that is asked for checksums %s gets %s', (endpoint, checksums, expected) => {
    const more = { ...(endpoint === undefined ? {} : { endpoint }), ...(checksums === undefined ? {} : { checksums }) };
    expect(taskOf(build({ s3: { ...s3Default, ...more } }))).toMatchObject({ checksums: expected });
  });

  test('is told what to do with each object', () => {
    const asked = {
      storageClass: 'STANDARD_IA',
      serverSideEncryption: { algorithm: 'aws:kms', kmsKeyId: 'alias/backups' },
      objectLock: { mode: 'COMPLIANCE', days: 7 },
    } as const;
    expect(taskOf(build({ s3: { ...s3Default, ...asked } }))).toMatchObject(asked);
  });
});
