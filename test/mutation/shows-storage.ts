// Where each field of a store is to be seen: in the task, and in the executor's variables and volumes.
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import type { Task } from '../../crds/rules/contract.ts';
import { at } from './mutations.ts';
import { authorities, later, type Shown, variableOf, volumeOf } from './shown.ts';

type Kind = Task['storage']['kind'];
const inStore = (kind: Kind, path: string, absent?: Shown['absent']): Shown => ({
  of: ({ task }) => (task.storage.kind === kind ? at(task.storage, path) : undefined),
  absent,
});
const storeSecret = (kind: Kind): Shown => ({
  of: (seen) => (seen.task.storage.kind === kind ? volumeOf(seen, 'storage')?.secret?.secretName : undefined),
});
/** One of the ways into an Azure account, of which the task names one. */
const inAzure = (kind: string, path: string): Shown => ({
  of: ({ task }) => (at(task, 'storage.auth.kind') === kind ? at(task, `storage.auth.${path}`) : undefined),
});
const azureSecret = (field: string, kind: string): Record<string, Shown> => ({
  [`storage.azure.auth.${field}.name`]: {
    // The volume holds what the task speaks of.
    of: (seen) => {
      const [told, mounted] = [inAzure(kind, 'secretKey.secret').of(seen), storeSecret('azure').of(seen)];
      return told === undefined || told === mounted ? told : [told, mounted];
    },
  },
  [`storage.azure.auth.${field}.key`]: inAzure(kind, 'secretKey.key'),
});
/** Without a key Google's libraries find what the pod or its node is given: the Job is the same. */
const keyless: Shown = {
  of: (seen) =>
    seen.task.storage.kind === 'gcs' &&
    seen.task.storage.keyFile === undefined &&
    volumeOf(seen, 'storage') === undefined
      ? {}
      : undefined,
  absent: ({ storage: { gcs } }: DatabaseBackupSpec) =>
    gcs === undefined || gcs.auth.serviceAccountKeySecretKeyRef !== undefined ? undefined : {},
};

export const storageShows: Readonly<Record<string, Shown>> = {
  'storage.s3.bucket': inStore('s3', 'bucket'),
  'storage.s3.region': inStore('s3', 'region'),
  'storage.s3.endpoint': inStore('s3', 'endpoint'),
  'storage.s3.forcePathStyle': inStore('s3', 'forcePathStyle', false),
  // It allows an endpoint, which shows.
  'storage.s3.insecure': later,
  ...authorities('storage.s3.ca', 'storage-ca'),
  'storage.s3.checksums': inStore('s3', 'checksums', ({ storage: { s3 } }: DatabaseBackupSpec) =>
    s3?.endpoint === undefined ? 'auto' : 'required',
  ),
  'storage.s3.storageClass': inStore('s3', 'storageClass'),
  'storage.s3.serverSideEncryption.algorithm': inStore('s3', 'serverSideEncryption.algorithm'),
  'storage.s3.serverSideEncryption.kmsKeyId': inStore('s3', 'serverSideEncryption.kmsKeyId'),
  'storage.s3.objectLock.mode': inStore('s3', 'objectLock.mode'),
  'storage.s3.objectLock.days': inStore('s3', 'objectLock.days'),
  'storage.s3.auth.secretRef.name': storeSecret('s3'),
  'storage.s3.auth.secretRef.keys.accessKeyId': inStore('s3', 'secret.accessKeyId', 'AWS_ACCESS_KEY_ID'),
  'storage.s3.auth.secretRef.keys.secretAccessKey': inStore('s3', 'secret.secretAccessKey', 'AWS_SECRET_ACCESS_KEY'),
  'storage.s3.auth.secretRef.keys.sessionToken': inStore('s3', 'secret.sessionToken', 'AWS_SESSION_TOKEN'),
  'storage.s3.auth.workloadIdentity.roleArn': {
    of: ({ task, executor }) => {
      const told = at(task, 'storage.roleArn');
      return told === variableOf(executor, 'AWS_ROLE_ARN') ? told : [told, variableOf(executor, 'AWS_ROLE_ARN')];
    },
  },
  'storage.s3.auth.default': {
    of: (seen) =>
      seen.task.storage.kind === 's3' &&
      seen.task.storage.secret === undefined &&
      volumeOf(seen, 'storage') === undefined &&
      // The chain ends at the node, where an identity of the pod's would not.
      variableOf(seen.executor, 'AWS_EC2_METADATA_DISABLED') === undefined
        ? {}
        : undefined,
  },
  'storage.gcs.bucket': inStore('gcs', 'bucket'),
  'storage.gcs.project': inStore('gcs', 'project'),
  'storage.gcs.endpoint': inStore('gcs', 'endpoint'),
  'storage.gcs.insecure': later,
  'storage.gcs.auth.serviceAccountKeySecretKeyRef.name': storeSecret('gcs'),
  'storage.gcs.auth.serviceAccountKeySecretKeyRef.key': inStore('gcs', 'keyFile.key'),
  'storage.gcs.auth.workloadIdentity': keyless,
  'storage.gcs.auth.applicationDefault': keyless,
  'storage.azure.container': inStore('azure', 'container'),
  'storage.azure.account': inStore('azure', 'account'),
  'storage.azure.endpoint': inStore('azure', 'endpoint'),
  'storage.azure.insecure': later,
  ...azureSecret('accountKeySecretKeyRef', 'accountKey'),
  ...azureSecret('connectionStringSecretKeyRef', 'connectionString'),
  ...azureSecret('sasTokenSecretKeyRef', 'sasToken'),
  'storage.azure.auth.managedIdentity.clientId': inAzure('managedIdentity', 'clientId'),
  'storage.azure.auth.workloadIdentity.clientId': inAzure('workloadIdentity', 'clientId'),
  'storage.azure.auth.workloadIdentity.tenantId': inAzure('workloadIdentity', 'tenantId'),
  'storage.pvc.claimName': { of: (seen) => volumeOf(seen, 'volume')?.persistentVolumeClaim?.claimName },
  'storage.pvc.subPath': inStore('directory', 'subPath'),
};
