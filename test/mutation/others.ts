// Specs that hold what the two of bases.ts do not: other engines, other stores, and each way to log in to them. A living object is
// changed to them, too. None names its cluster: the object that is changed has one already.
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';

type Database = DatabaseBackupSpec['database'];
type Storage = DatabaseBackupSpec['storage'];

const clientId = '5f3759df-1be7-4a0c-9d1e-2f6b8c0d4e1a';
const tenantId = '0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9';
const encryption = { none: {} };
const key = (name: string) => ({ name, key: 'a-key' });
const openbao = { engine: 'openbao', image: 'openbao:2.1', host: 'vault.shop.svc' } as const;
const redis: Database = { engine: 'redis', image: 'valkey:8', host: 'cache', auth: { secretRef: { name: 'cache' } } };
const azure = (auth: NonNullable<Storage['azure']>['auth']): Storage => ({
  azure: { container: 'backups', account: 'shop', endpoint: 'https://blob.example:10000', insecure: true, auth },
});

/** The first is for the most fields; each of those behind it holds what could not stand in one of those before. */
export const others: readonly DatabaseBackupSpec[] = [
  {
    serviceAccountName: 'cloud',
    database: {
      engine: 'mysql',
      image: 'mysql:8.4',
      host: 'shop-db',
      allDatabases: true,
      extraArgs: ['--skip-events'],
      tls: { mode: 'require' },
      auth: { secretRef: { name: 'shop-db' } },
    },
    storage: {
      s3: {
        bucket: 'shop-backups',
        region: 'eu-west-1',
        ca: { configMapKeyRef: key('store-ca') },
        checksums: 'auto',
        storageClass: 'STANDARD_IA',
        serverSideEncryption: { algorithm: 'AES256' },
        objectLock: { mode: 'GOVERNANCE', days: 14 },
        auth: { workloadIdentity: { roleArn: 'arn:aws:iam::123456789012:role/backups' } },
      },
    },
    encryption,
    retention: {
      keepHourly: 24,
      keepDaily: 7,
      keepWeekly: 4,
      keepMonthly: 12,
      keepYearly: 3,
      pin: ['20250327T010000Z-1a2b3c4d'],
      adopt: [tenantId],
    },
  },
  {
    serviceAccountName: 'cloud',
    database: {
      ...openbao,
      tls: { mode: 'verify-ca', ca: { secretKeyRef: key('vault-ca') } },
      auth: { jwt: { role: 'backup', mount: 'kubernetes', audience: 'vault' } },
    },
    storage: {
      gcs: {
        bucket: 'shop-backups',
        project: 'shop-prod',
        endpoint: 'https://storage.example',
        insecure: true,
        auth: { serviceAccountKeySecretKeyRef: key('gcs') },
      },
    },
    encryption,
    retention: { keepLast: 5 },
  },
  {
    database: {
      ...openbao,
      tls: { mode: 'verify-full', ca: { configMapKeyRef: key('vault-ca') } },
      auth: { tokenSecretKeyRef: key('vault') },
    },
    storage: {
      s3: {
        bucket: 'shop-backups',
        region: 'eu-west-1',
        ca: { secretKeyRef: key('store-ca') },
        serverSideEncryption: { algorithm: 'aws:kms', kmsKeyId: 'alias/backups' },
        auth: { secretRef: { name: 's3' } },
      },
    },
    encryption,
    retention: { keepLast: 5 },
  },
  {
    serviceAccountName: 'cloud',
    database: {
      engine: 'command',
      image: 'etcd:3.5',
      host: 'etcd',
      port: 2379,
      command: ['etcdctl', 'snapshot', 'save', '$(DBBACKUP_HOST)'],
      restoreCommand: ['etcdutl', 'snapshot', 'restore', '$HOME'],
    },
    storage: azure({ accountKeySecretKeyRef: key('azure') }),
    encryption,
    retention: { keepLast: 5 },
  },
  {
    database: redis,
    storage: { pvc: { claimName: 'backups', subPath: 'shop/cache' } },
    encryption,
    retention: { keepLast: 5 },
  },
  ...[
    { connectionStringSecretKeyRef: key('azure') },
    { sasTokenSecretKeyRef: key('azure') },
    { managedIdentity: { clientId } },
    { workloadIdentity: { clientId, tenantId } },
  ].map((auth) => ({
    serviceAccountName: 'cloud',
    database: redis,
    storage: azure(auth),
    encryption,
    retention: { keepLast: 5 },
  })),
];
