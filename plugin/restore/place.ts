// Where a snapshot lies, in the words of each store's own tools: its address, the program that fetches it, and what that logs in with. Pure.
import type { DatabaseBackup, StorageSpec } from '../../crds/databasebackup.gen.ts';

export type Place =
  | { kind: 's3'; bucket: string; region: string; endpoint?: string }
  | { kind: 'gcs'; bucket: string; endpoint?: string }
  | { kind: 'azure'; container: string; account: string; endpoint?: string }
  | { kind: 'pvc'; claimName: string; subPath?: string };

/** A Secret of the backup's namespace; its value is never read. */
export interface SecretUse {
  purpose: string;
  name: string;
  keys: string[];
}

const at = (endpoint: string | undefined): { endpoint?: string } => (endpoint === undefined ? {} : { endpoint });

export function placeOf({ spec: { storage } }: DatabaseBackup): Place {
  const { s3, gcs, azure, pvc } = storage;
  if (s3 !== undefined) return { kind: 's3', bucket: s3.bucket, region: s3.region, ...at(s3.endpoint) };
  if (gcs !== undefined) return { kind: 'gcs', bucket: gcs.bucket, ...at(gcs.endpoint) };
  if (azure !== undefined) {
    const { container, account, endpoint } = azure;
    return { kind: 'azure', container, account, ...at(endpoint) };
  }
  const { claimName = '', subPath } = pvc ?? {};
  return { kind: 'pvc', claimName, ...(subPath === undefined ? {} : { subPath }) };
}

/** Address of the blob service, without a slash at its end. */
export function blobService({ account, endpoint }: Extract<Place, { kind: 'azure' }>): string {
  return endpoint ?? `https://${account}.blob.core.windows.net`;
}

/** @param path of an object or a prefix, in the bucket or the claim */
export function addressOf(place: Place, path: string): string {
  switch (place.kind) {
    case 's3':
      return `s3://${place.bucket}/${path}`;
    case 'gcs':
      return `gs://${place.bucket}/${path}`;
    case 'azure':
      return `${blobService(place)}/${place.container}/${path}`;
    case 'pvc':
      return `claim ${place.claimName}, file ${path}`;
  }
}

/** Programs that fetch from it. */
export function fetchersOf({ kind }: Place): string[] {
  return { s3: ['aws'], gcs: ['gcloud'], azure: ['az'], pvc: [] }[kind];
}

export function storageSecrets({ s3, gcs, azure }: StorageSpec): SecretUse[] {
  const secret = s3?.auth.secretRef;
  if (secret !== undefined) {
    const { accessKeyId = 'AWS_ACCESS_KEY_ID', secretAccessKey = 'AWS_SECRET_ACCESS_KEY' } = secret.keys ?? {};
    return [{ purpose: 'storage', name: secret.name, keys: [accessKeyId, secretAccessKey] }];
  }
  const { accountKeySecretKeyRef, connectionStringSecretKeyRef, sasTokenSecretKeyRef } = azure?.auth ?? {};
  const single =
    gcs?.auth.serviceAccountKeySecretKeyRef ??
    accountKeySecretKeyRef ??
    connectionStringSecretKeyRef ??
    sasTokenSecretKeyRef;
  return single === undefined ? [] : [{ purpose: 'storage', name: single.name, keys: [single.key] }];
}
