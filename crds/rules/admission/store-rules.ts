// Rules on each kind of store: how it is logged in to, its address, and what it is asked to do with objects.
import type { DatabaseBackup } from '../../databasebackup.gen.ts';
import { refusedHost } from './address.ts';
import { error, exactlyOne, type Finding, type Rule, warning } from './finding.ts';

type Storage = DatabaseBackup['spec']['storage'];

const one: Rule = ({ spec }) => exactlyOne('spec.storage', spec.storage, ['s3', 'gcs', 'azure', 'pvc']);

const logins = {
  s3: ['secretRef', 'workloadIdentity', 'default'],
  gcs: ['serviceAccountKeySecretKeyRef', 'workloadIdentity', 'applicationDefault'],
  azure: [
    ...['accountKeySecretKeyRef', 'connectionStringSecretKeyRef', 'sasTokenSecretKeyRef'],
    ...['managedIdentity', 'workloadIdentity'],
  ],
} as const;
const clouds = ['s3', 'gcs', 'azure'] as const;

const auth: Rule = ({ spec: { storage } }) =>
  clouds.flatMap((cloud) => {
    const given = storage[cloud];
    return given === undefined ? [] : exactlyOne(`spec.storage.${cloud}.auth`, given.auth, logins[cloud]);
  });

/** An identity of the namespace's default service account would be that of every pod in it, and no label could fence it. */
const serviceAccount: Rule = ({ spec: { storage, serviceAccountName } }) =>
  serviceAccountName === undefined && clouds.some((cloud) => storage[cloud]?.auth.workloadIdentity !== undefined)
    ? [
        error(
          'spec.serviceAccountName',
          undefined,
          'is required with workloadIdentity',
          'name the service account whose identity is used',
        ),
      ]
    : [];

const bucket: Rule = ({ spec: { storage } }) =>
  (['s3', 'gcs'] as const).flatMap((cloud) => {
    const value = storage[cloud]?.bucket;
    const message = 'looks like an IP address, which no bucket is called';
    return value === undefined || !/^\d+\.\d+\.\d+\.\d+$/.test(value)
      ? []
      : [error(`spec.storage.${cloud}.bucket`, value, message, 'write the name of the bucket')];
  });

/** As written, without scheme, path, port and brackets: URL would already have put other notations right. */
function hostOf(endpoint: string): string {
  const rest = endpoint.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  const bracketed = /^\[([^\]]*)\](:\d+)?$/.exec(rest);
  return bracketed?.[1] ?? rest.replace(/:\d*$/, '');
}

/** What is wrong with the form of an address; undefined when nothing is. */
function malformedEndpoint(cloud: (typeof clouds)[number], endpoint: string, storage: Storage): string | undefined {
  if (!URL.canParse(endpoint)) return 'is not an address';
  const path = /^https?:\/\/[^/?#@]*(\/[^?#@]*)?$/.exec(endpoint);
  if (path === null || (path[1] !== undefined && cloud !== 'azure')) return 'is more than scheme, host and port';
  if (path[1] !== undefined && path[1] !== `/${storage.azure?.account}`) return 'has a path that is not the account';
  // The default port of a scheme is left out of url.port, so the text is asked.
  return /:0*$/.test(endpoint.slice(6).replace(/\/.*$/, '')) ? 'names port 0 or none' : undefined;
}

function endpointOf(cloud: (typeof clouds)[number], storage: Storage): Finding[] {
  const { endpoint, insecure } = storage[cloud] ?? {};
  const field = `spec.storage.${cloud}.endpoint`;
  if (endpoint === undefined) return [];
  const where = `write https://host or https://host:port${cloud === 'azure' ? ', and /account behind it where the host does not name it' : ''}`;
  const malformed = malformedEndpoint(cloud, endpoint, storage);
  if (malformed !== undefined) return [error(field, endpoint, malformed, where)];
  const why = refusedHost(hostOf(endpoint));
  if (why !== undefined) return [error(field, endpoint, `its host ${why}`, "write the store's own address")];
  if (new URL(endpoint).protocol === 'https:') return [];
  return insecure === true
    ? [warning(field, endpoint, 'is not encrypted on the network', 'use https where the store can')]
    : [error(field, endpoint, 'must start with https://', 'use https, or set insecure: true to allow http')];
}

const endpoint: Rule = ({ spec: { storage } }) => clouds.flatMap((cloud) => endpointOf(cloud, storage));

const authorities: Rule = ({ spec: { storage } }) =>
  storage.s3?.ca === undefined
    ? []
    : exactlyOne('spec.storage.s3.ca', storage.s3.ca, ['configMapKeyRef', 'secretKeyRef']);

const serverSideEncryption: Rule = ({ spec: { storage } }) => {
  const { algorithm, kmsKeyId } = storage.s3?.serverSideEncryption ?? {};
  if (kmsKeyId === undefined || algorithm === 'aws:kms') return [];
  const field = 'spec.storage.s3.serverSideEncryption.kmsKeyId';
  return [error(field, kmsKeyId, 'is only allowed with algorithm aws:kms', 'set algorithm: aws:kms, or remove it')];
};

/** Classes whose objects must be brought back, for hours, before they can be read. */
const archives = ['GLACIER', 'DEEP_ARCHIVE'];

const storageClass: Rule = ({ spec: { storage } }) => {
  const value = storage.s3?.storageClass;
  const message = 'cannot be read at once: a restore waits hours for each snapshot to be brought back';
  return value === undefined || !archives.includes(value)
    ? []
    : [warning('spec.storage.s3.storageClass', value, message, 'use GLACIER_IR or STANDARD_IA')];
};

export const storeRules: readonly Rule[] = [
  one,
  auth,
  serviceAccount,
  bucket,
  endpoint,
  authorities,
  serverSideEncryption,
  storageClass,
];
