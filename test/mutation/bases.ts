// Two good specs that between them hold every field of the schema: one says all that it can, the other as little as it may.
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
