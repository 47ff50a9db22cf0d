// What a backup's store asks of the Job: the task's storage, and for the executor containers alone its Secret, its authorities, and a
// token of the pod's service account for the cloud. Pure.
import type { AzureStorageSpec, DatabaseBackup, GcsStorageSpec, S3StorageSpec } from '../crds/databasebackup.gen.ts';
import {
  type AzureTask,
  containers,
  type EnvVar,
  type GcsTask,
  literal,
  paths,
  type S3Task,
  type SecretKeyTask,
  type StorageTask,
} from '../crds/rules/contract.ts';

type StorageSpec = DatabaseBackup['spec']['storage'];
interface KeyRef {
  name: string;
  key: string;
}

/** Names of the volumes; the policy on the controller's Jobs knows the last. */
export const storageVolumes = {
  secret: 'storage',
  authorities: 'storage-ca',
  claim: 'volume',
  cloudToken: 'cloud-token',
} as const;

/** Half of it is left when the kubelet renews the token; a cloud asks for ten minutes at least. */
const tokenSeconds = 3600;
/** As long as AWS takes a session's name. */
const longestSession = 64;

/** The fields that are there. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

const secretKey = ({ name, key }: KeyRef): SecretKeyTask => ({ secret: name, key });

function s3Secret({ auth: { secretRef } }: S3StorageSpec): S3Task['secret'] {
  return (
    secretRef && {
      name: secretRef.name,
      accessKeyId: secretRef.keys?.accessKeyId ?? 'AWS_ACCESS_KEY_ID',
      secretAccessKey: secretRef.keys?.secretAccessKey ?? 'AWS_SECRET_ACCESS_KEY',
      sessionToken: secretRef.keys?.sessionToken ?? 'AWS_SESSION_TOKEN',
    }
  );
}

function authorities({ ca }: S3StorageSpec): S3Task['authorities'] {
  if (ca?.configMapKeyRef !== undefined) return { kind: 'ConfigMap', ...ca.configMapKeyRef };
  return ca?.secretKeyRef && { kind: 'Secret', ...ca.secretKeyRef };
}

function s3Task(s3: S3StorageSpec): S3Task {
  const { bucket, region, endpoint, forcePathStyle = false, storageClass, serverSideEncryption, objectLock } = s3;
  return {
    kind: 's3',
    bucket,
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle,
    checksums: s3.checksums ?? (endpoint === undefined ? 'auto' : 'required'),
    ...given({ storageClass, serverSideEncryption, objectLock, authorities: authorities(s3) }),
    ...given({ secret: s3Secret(s3), roleArn: s3.auth.workloadIdentity?.roleArn }),
  };
}

function gcsTask({ bucket, project, endpoint, auth }: GcsStorageSpec): GcsTask {
  const key = auth.serviceAccountKeySecretKeyRef;
  return { kind: 'gcs', bucket, ...given({ project, endpoint, keyFile: key && secretKey(key) }) };
}

const azureSecrets = {
  accountKey: 'accountKeySecretKeyRef',
  connectionString: 'connectionStringSecretKeyRef',
  sasToken: 'sasTokenSecretKeyRef',
} as const;

function azureAuth({ auth }: AzureStorageSpec): AzureTask['auth'] {
  for (const [kind, field] of Object.entries(azureSecrets)) {
    const key = auth[field];
    if (key !== undefined) return { kind: kind as keyof typeof azureSecrets, secretKey: secretKey(key) };
  }
  if (auth.workloadIdentity !== undefined) return { kind: 'workloadIdentity', ...auth.workloadIdentity };
  return { kind: 'managedIdentity', ...auth.managedIdentity };
}

function azureTask(azure: AzureStorageSpec): AzureTask {
  const { container, account, endpoint } = azure;
  return {
    kind: 'azure',
    container,
    account,
    ...(endpoint === undefined ? {} : { endpoint }),
    auth: azureAuth(azure),
  };
}

/** Throws for a spec without a store, which no rule lets through. */
export function storageTask({ spec: { storage }, metadata }: DatabaseBackup): StorageTask {
  const { s3, gcs, azure, pvc } = storage;
  if (s3 !== undefined) return s3Task(s3);
  if (gcs !== undefined) return gcsTask(gcs);
  if (azure !== undefined) return azureTask(azure);
  if (pvc === undefined) throw new Error(`make the Job of "${metadata.name}": spec.storage names no store`);
  return {
    kind: 'directory',
    claimName: pvc.claimName,
    ...(pvc.subPath === undefined ? {} : { subPath: pvc.subPath }),
  };
}

/** Name of the Secret with which the store is logged in to. */
function secretOf({ s3, gcs, azure }: StorageSpec): string | undefined {
  const key = gcs?.auth.serviceAccountKeySecretKeyRef ?? s3?.auth.secretRef;
  if (key !== undefined) return key.name;
  return azure && Object.values(azureSecrets).flatMap((field) => azure.auth[field]?.name ?? [])[0];
}

/** For whom the pod's service account gets a token; undefined where the cloud gives an identity by itself, or none is used. */
function audience({ s3, azure }: StorageSpec): string | undefined {
  if (s3?.auth.workloadIdentity?.roleArn !== undefined) return 'sts.amazonaws.com';
  return azure?.auth.workloadIdentity === undefined ? undefined : 'api://AzureADTokenExchange';
}

/** Only the named keys of a source, so that a Secret's others, such as a private key beside its authority, stay away. */
function authoritiesVolume({ ca }: S3StorageSpec): object[] {
  const source = ca?.configMapKeyRef ?? ca?.secretKeyRef;
  if (source === undefined) return [];
  const items = [{ key: source.key, path: 'ca.crt' }];
  const rest = { items, optional: true, defaultMode: 0o440 };
  const name = storageVolumes.authorities;
  return ca?.configMapKeyRef === undefined
    ? [{ name, secret: { secretName: source.name, ...rest } }]
    : [{ name, configMap: { name: source.name, ...rest } }];
}

/** Optional ones: what is missing would only hang the pod; the executor says what it misses. */
export function storageVolumesOf({ spec: { storage } }: DatabaseBackup): object[] {
  const [secretName, forWhom] = [secretOf(storage), audience(storage)];
  const token = { serviceAccountToken: { audience: forWhom, expirationSeconds: tokenSeconds, path: 'token' } };
  return [
    ...(secretName === undefined
      ? []
      : [{ name: storageVolumes.secret, secret: { secretName, optional: true, defaultMode: 0o440 } }]),
    ...(storage.s3 === undefined ? [] : authoritiesVolume(storage.s3)),
    ...(forWhom === undefined
      ? []
      : [{ name: storageVolumes.cloudToken, projected: { sources: [token], defaultMode: 0o440 } }]),
    ...(storage.pvc === undefined
      ? []
      : [{ name: storageVolumes.claim, persistentVolumeClaim: { claimName: storage.pvc.claimName } }]),
  ];
}

/** Of the executor's containers; the dump has none of them. */
export function storageMounts({ spec: { storage } }: DatabaseBackup): object[] {
  const readOnly = true;
  return [
    ...(secretOf(storage) === undefined
      ? []
      : [{ name: storageVolumes.secret, mountPath: paths.storageSecret, readOnly }]),
    ...(storage.s3?.ca === undefined
      ? []
      : [{ name: storageVolumes.authorities, mountPath: paths.storageAuthorities, readOnly }]),
    ...(audience(storage) === undefined
      ? []
      : [{ name: storageVolumes.cloudToken, mountPath: paths.cloudToken, readOnly }]),
    ...(storage.pvc === undefined ? [] : [{ name: storageVolumes.claim, mountPath: paths.volume }]),
  ];
}

/** The variables that the AWS SDK reads by itself. They hold no secret: the token is a file. */
export function storageVariables({ spec: { storage }, metadata }: DatabaseBackup): EnvVar[] {
  const identity = storage.s3?.auth.workloadIdentity;
  if (identity === undefined) return [];
  const role = identity.roleArn;
  const session = `dbbackup-${metadata.namespace}-${metadata.name}`.slice(0, longestSession);
  return [
    // The identity of the pod or none: never the node's.
    { name: 'AWS_EC2_METADATA_DISABLED', value: 'true' },
    ...(role === undefined
      ? []
      : [
          { name: 'AWS_ROLE_ARN', value: literal(role) },
          { name: 'AWS_WEB_IDENTITY_TOKEN_FILE', value: `${paths.cloudToken}/token` },
          { name: 'AWS_ROLE_SESSION_NAME', value: session },
        ]),
  ];
}

/** Webhooks of the clouds look for it. */
export function identityLabels({ spec: { storage } }: DatabaseBackup): Record<string, string> {
  return storage.azure?.auth.workloadIdentity === undefined ? {} : { 'azure.workload.identity/use': 'true' };
}

/** The identity is for the store: what the webhooks of the clouds give to containers, the dump is not given. */
export const identityAnnotations = {
  'azure.workload.identity/skip-containers': containers.dump,
  'eks.amazonaws.com/skip-containers': containers.dump,
} as const;
