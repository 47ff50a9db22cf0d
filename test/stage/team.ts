// A team's namespace with a database and a store in it, ready to be backed up, and ways to look into both.
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { waitFor } from '../wait.ts';
import type { Forward, Kubectl } from './kubectl.ts';
import { database, postgresObjects, store, storeObjects } from './manifests.ts';

export interface Team {
  readonly namespace: string;
  readonly kubectl: Kubectl;
  readonly s3: S3Client;
  readonly forwards: { database: Forward; store: Forward };
  /** Runs SQL as the superuser inside the server's pod; resolves to unaligned tuples. */
  sql(text: string, databaseName?: string): Promise<string>;
  /** Runs a program of the database image inside the server's pod. */
  inDatabase(command: string[], input?: string): Promise<string>;
  keys(): Promise<string[]>;
  pendingUploads(): Promise<string[]>;
  /** Ends the port-forwards; the namespace stays. */
  close(): Promise<void>;
}

export interface TeamImages {
  postgres: { name: string };
  versitygw: { name: string };
}

export async function createTeam(kubectl: Kubectl, namespace: string, images: TeamImages): Promise<Team> {
  await kubectl.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
  await kubectl.apply([
    ...postgresObjects(namespace, images.postgres.name),
    ...storeObjects(namespace, images.versitygw.name),
  ]);
  for (const name of [database.host, store.host])
    await kubectl(['-n', namespace, 'rollout', 'status', `deployment/${name}`, '--timeout=180s']);
  const forwards = {
    database: await kubectl.forward(namespace, `service/${database.host}`, 5432),
    store: await kubectl.forward(namespace, `service/${store.host}`, store.port),
  };
  const s3 = new S3Client({
    endpoint: `http://127.0.0.1:${forwards.store.port}`,
    region: store.region,
    forcePathStyle: true,
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey },
  });
  await waitFor('the store makes a bucket', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: store.bucket })).catch((error: unknown) => {
      if (!(error instanceof Error && /BucketAlready/.test(error.name))) throw error;
    });
    return true;
  });
  const inDatabase = (command: string[], input?: string): Promise<string> =>
    kubectl(['-n', namespace, 'exec', '-i', `deployment/${database.host}`, '--', ...command], input ?? '');
  return {
    namespace,
    kubectl,
    s3,
    forwards,
    inDatabase,
    sql: (text, name = database.name) =>
      inDatabase(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', database.user, '-d', name], text),
    keys: async () => {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: store.bucket }));
      return Contents.map(({ Key = '' }) => Key);
    },
    pendingUploads: async () => {
      const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: store.bucket }));
      return Uploads.map(({ Key = '' }) => Key);
    },
    close: async () => {
      s3.destroy();
      await Promise.all([forwards.database.stop(), forwards.store.stop()]);
    },
  };
}

/** The team's bucket behind a Service of its namespace. */
export function storageOf(namespace: string, host: string): object {
  return {
    s3: {
      bucket: store.bucket,
      region: store.region,
      endpoint: `http://${host}.${namespace}.svc:${store.port}`,
      insecure: true,
      forcePathStyle: true,
      auth: { secretRef: { name: 's3-credentials' } },
    },
  };
}

/** A backup of the team's database into its store; members of overrides replace those of the spec. */
export function backupOf(namespace: string, name: string, image: string, overrides: object = {}): object {
  return {
    apiVersion: 'dbbackup.io/v1alpha1',
    kind: 'DatabaseBackup',
    metadata: { name, namespace },
    spec: {
      database: {
        engine: 'postgres',
        image,
        host: database.host,
        name: database.name,
        auth: { secretRef: { name: database.host } },
      },
      storage: storageOf(namespace, store.host),
      encryption: { none: {} },
      retention: { keepLast: 3 },
      ...overrides,
    },
  };
}
