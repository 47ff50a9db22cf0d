// Good specs that between them hold every field of the schema: one says all that it can, one as little as it may, and one for each kind of
// database that excludes what the others say.
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';

const recipients = [
  'age1pud5ds2vv7lyfup4rtcemzjgauy9nz5kec6ydjy96lrqd28mjajq03nea9',
  'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
];

export const full: DatabaseBackupSpec = {
  schedule: '0 0 29 2 *',
  timeZone: 'Europe/Berlin',
  suspend: false,
  startingDeadlineSeconds: 1800,
  gate: { token: 'postgres:16', timeoutSeconds: 600, onFailure: 'Block' },
  serviceAccountName: 'cloud',
  database: {
    engine: 'postgres',
    image: 'postgres:16',
    cluster: 'orders',
    host: 'orders-db.shop.svc',
    port: 5433,
    name: 'orders',
    extraArgs: ['--no-owner'],
    tls: { mode: 'verify-full', ca: { configMapKeyRef: { name: 'orders-ca', key: 'root.pem' } } },
    auth: { secretRef: { name: 'orders-db', keys: { username: 'user', password: 'pass' } } },
  },
  storage: {
    pathPrefix: 'postgres/daily',
    s3: {
      bucket: 'my-database-backups',
      region: 'eu-central-1',
      endpoint: 'https://store.example:9000',
      forcePathStyle: true,
      insecure: true,
      auth: {
        secretRef: { name: 's3', keys: { accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'session' } },
      },
    },
  },
  compression: { algorithm: 'zstd', level: 5 },
  encryption: { age: { recipients } },
  retention: { keepLast: 3, keepWithin: '336h', maxDeletesPerRun: 20 },
  job: {
    activeDeadlineSeconds: 3600,
    backoffLimit: 2,
    runAsUser: 1000,
    fsGroup: 1001,
    resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { cpu: '3', memory: '3Gi' } },
    nodeSelector: { disk: 'fast' },
    tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'backup', effect: 'NoExecute', tolerationSeconds: 60 }],
    podLabels: { team: 'shop' },
    podAnnotations: { note: 'of the shop' },
    imagePullSecrets: [{ name: 'registry' }],
  },
  successfulJobsHistoryLimit: 2,
  failedJobsHistoryLimit: 2,
};

export const lean: DatabaseBackupSpec = {
  database: {
    engine: 'postgres',
    image: 'postgres:15',
    host: 'stock-db',
    name: 'stock',
    auth: { secretRef: { name: 'stock-db' } },
  },
  storage: { pvc: { claimName: 'backups' } },
  compression: {},
  encryption: { none: {} },
  retention: { keepLast: 1 },
  job: { tolerations: [{ key: 'dedicated' }] },
};

const small = { storage: lean.storage, encryption: lean.encryption, retention: lean.retention };

export const others: Readonly<Record<string, DatabaseBackupSpec>> = {
  all: {
    ...small,
    database: {
      engine: 'postgres',
      image: 'postgres:16',
      cluster: 'all',
      host: 'all-db',
      allDatabases: true,
      tls: { mode: 'verify-ca', ca: { secretKeyRef: { name: 'all-tls', key: 'ca.crt' } } },
      auth: { secretRef: { name: 'all-db' } },
    },
  },
  bao: {
    ...small,
    database: {
      engine: 'openbao',
      image: 'openbao/openbao:2.4',
      cluster: 'bao',
      host: 'bao',
      auth: { jwt: { role: 'backup', mount: 'kubernetes/shop', audience: 'bao' } },
    },
  },
  token: {
    ...small,
    database: {
      engine: 'openbao',
      image: 'openbao/openbao:2.4',
      cluster: 'token',
      host: 'bao',
      auth: { tokenSecretKeyRef: { name: 'bao-token', key: 'token' } },
    },
  },
  cache: {
    ...small,
    database: { engine: 'redis', image: 'redis:7.2', cluster: 'cache', host: 'cache', tls: { mode: 'require' } },
  },
  own: {
    ...small,
    database: {
      engine: 'command',
      image: 'registry.example/tools:1',
      cluster: 'own',
      host: 'own-db',
      command: ['dump', '--all'],
      restoreCommand: ['restore', '--all'],
    },
  },
};
