// What a team has in its namespace: a PostgreSQL server, and for want of a cloud an S3 store of its own.

const restricted = {
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

export const database = { user: 'postgres', password: 'dB-pa:ss\\word 1', name: 'orders', host: 'orders-db' } as const;
export const store = {
  host: 'store',
  port: 7070,
  bucket: 'my-database-backups',
  accessKeyId: 'storekey',
  secretAccessKey: 'store-secret-1',
  region: 'eu-central-1',
} as const;

export const secret = (namespace: string, name: string, stringData: Record<string, string>): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData,
});

export function service(namespace: string, name: string, port: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { selector: { app: name }, ports: [{ port, targetPort: port }] },
  };
}

export function deployment(namespace: string, name: string, container: object, volumes: object[]): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 5,
          securityContext: { runAsUser: 999, runAsGroup: 999, fsGroup: 999 },
          containers: [{ name, imagePullPolicy: 'IfNotPresent', securityContext: restricted, ...container }],
          volumes,
        },
      },
    },
  };
}

const secretEnv = (name: string, secretName: string, key: string): object => ({
  name,
  valueFrom: { secretKeyRef: { name: secretName, key } },
});

/** A PostgreSQL server named after its host, with its Secret. fsync is off: it is a stage, not a home. */
export function postgresObjects(namespace: string, image: string): object[] {
  const { host, user, password, name } = database;
  return [
    secret(namespace, host, { username: user, password }),
    service(namespace, host, 5432),
    deployment(
      namespace,
      host,
      {
        image,
        args: ['postgres', '-c', 'fsync=off', '-c', 'max_wal_size=4GB', '-c', 'shared_buffers=256MB'],
        env: [
          { name: 'POSTGRES_USER', value: user },
          { name: 'POSTGRES_DB', value: name },
          { name: 'PGDATA', value: '/data/pg' },
          secretEnv('POSTGRES_PASSWORD', host, 'password'),
        ],
        ports: [{ containerPort: 5432 }],
        readinessProbe: {
          exec: { command: ['sh', '-c', `pg_isready -q -h 127.0.0.1 -U ${user} -d ${name}`] },
          periodSeconds: 1,
          failureThreshold: 60,
        },
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'sockets', mountPath: '/var/run/postgresql' },
        ],
      },
      [
        { name: 'data', emptyDir: {} },
        { name: 'sockets', emptyDir: {} },
      ],
    ),
  ];
}

/** An S3 store, and the Secret that a backup names. */
export function storeObjects(namespace: string, image: string): object[] {
  const { host, port, accessKeyId, secretAccessKey, region } = store;
  return [
    secret(namespace, 's3-credentials', { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }),
    service(namespace, host, port),
    deployment(
      namespace,
      host,
      {
        image,
        env: [
          { name: 'VGW_REGION', value: region },
          secretEnv('ROOT_ACCESS_KEY', 's3-credentials', 'AWS_ACCESS_KEY_ID'),
          secretEnv('ROOT_SECRET_KEY', 's3-credentials', 'AWS_SECRET_ACCESS_KEY'),
        ],
        ports: [{ containerPort: port }],
        readinessProbe: { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 60 },
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
      },
      [{ name: 'data', emptyDir: {} }],
    ),
  ];
}
