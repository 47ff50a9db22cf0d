// What went wrong in S3, by the error's code and HTTP status. The store's own message is never handed on: it may hold the access key id
// or the text that was signed.
import { S3ServiceException } from '@aws-sdk/client-s3';
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, isTlsCode, RunError, reasonOfCode } from '../errors.ts';

const reasonsByName: Record<string, Reason> = {
  InvalidAccessKeyId: 'StorageAuthFailed',
  SignatureDoesNotMatch: 'StorageAuthFailed',
  ExpiredToken: 'StorageAuthFailed',
  ExpiredTokenException: 'StorageAuthFailed',
  InvalidToken: 'StorageAuthFailed',
  XAdminUserNotFound: 'StorageAuthFailed',
  XMinioAdminNoSuchUser: 'StorageAuthFailed',
  InvalidClientTokenId: 'StorageAuthFailed',
  UnrecognizedClientException: 'StorageAuthFailed',
  CredentialsProviderError: 'StorageAuthFailed',
  TokenProviderError: 'StorageAuthFailed',
  AccessDenied: 'StorageDenied',
  AllAccessDisabled: 'StorageDenied',
  NoSuchBucket: 'StorageDenied',
  InvalidBucketName: 'ConfigInvalid',
  PermanentRedirect: 'ConfigInvalid',
  AuthorizationHeaderMalformed: 'ConfigInvalid',
  RequestTimeTooSkewed: 'ConfigInvalid',
  IllegalLocationConstraintException: 'ConfigInvalid',
  InvalidStorageClass: 'ConfigInvalid',
  InvalidEncryptionAlgorithmError: 'ConfigInvalid',
  'KMS.NotFoundException': 'ConfigInvalid',
  'KMS.DisabledException': 'ConfigInvalid',
  'KMS.KMSInvalidStateException': 'ConfigInvalid',
  AccountProblem: 'StorageDenied',
  NotSignedUp: 'StorageDenied',
  QuotaExceeded: 'StorageFull',
  XMinioStorageFull: 'StorageFull',
  XMinioAdminBucketQuotaExceeded: 'StorageFull',
  InsufficientStorage: 'StorageFull',
  BadDigest: 'DigestMismatch',
  InvalidDigest: 'DigestMismatch',
  XAmzContentSHA256Mismatch: 'DigestMismatch',
  XAmzContentChecksumMismatch: 'DigestMismatch',
  TimeoutError: 'StorageUnreachable',
};

const reasonsByStatus: Record<number, Reason> = {
  301: 'ConfigInvalid',
  401: 'StorageAuthFailed',
  403: 'StorageDenied',
  507: 'StorageFull',
};

const slow = ', the store asks for fewer requests: run this backup at another time, or raise its quota';

/** What a wrong setting looks like from the store. */
const hints: Record<string, string> = {
  PermanentRedirect: ', the bucket is in another region than spec.storage.s3.region',
  AuthorizationHeaderMalformed: ', the bucket is in another region than spec.storage.s3.region',
  RequestTimeTooSkewed: ", this node's clock is far from the store's",
  IllegalLocationConstraintException: ', the bucket is in another region than spec.storage.s3.region',
  NoSuchBucket: ', the bucket does not exist',
  InvalidStorageClass: ', the store does not know spec.storage.s3.storageClass',
  InvalidEncryptionAlgorithmError: ', the store does not know spec.storage.s3.serverSideEncryption.algorithm',
  'KMS.NotFoundException': ', KMS does not know spec.storage.s3.serverSideEncryption.kmsKeyId',
  'KMS.DisabledException': ', the key of spec.storage.s3.serverSideEncryption is disabled',
  'KMS.KMSInvalidStateException': ', the key of spec.storage.s3.serverSideEncryption cannot be used now',
  SlowDown: slow,
  ServiceUnavailable: slow,
  Throttling: slow,
  ThrottlingException: slow,
  TooManyRequestsException: slow,
  RequestLimitExceeded: slow,
  BandwidthLimitExceeded: slow,
  CredentialsProviderError: ', no credentials were found',
};

const tlsHint = ', the certificate of the store is not good here: see its names and its end, or set spec.storage.s3.ca';
const roleHint =
  ', its trust policy must name the issuer of the cluster, the service account and the audience sts.amazonaws.com';

/** The name of an S3 error, such as NoSuchUpload; only what looks like one. */
export function nameOf(error: unknown): string {
  return error instanceof Error && /^[A-Za-z][A-Za-z0-9.]{0,63}$/.test(error.name) ? error.name : 'Error';
}

export function statusOf(error: unknown): number {
  if (!(error instanceof Error) || !('$metadata' in error)) return 0;
  const metadata = error.$metadata as { httpStatusCode?: unknown } | undefined;
  return typeof metadata?.httpStatusCode === 'number' ? metadata.httpStatusCode : 0;
}

export function isMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound', 'NoSuchUpload'].includes(nameOf(error));
}

/** The key is there already, or another request is making it. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412 || ['PreconditionFailed', 'ConditionalRequestConflict'].includes(nameOf(error));
}

/** What S3 says to a lock in a bucket that was made without. */
export function isWithoutLock(error: unknown): boolean {
  return ['InvalidRequest', 'InvalidArgument', 'ObjectLockConfigurationNotFoundError'].includes(nameOf(error));
}

/** The request was refused for want of a right, or because the object is locked. */
export function isDenied(error: unknown): boolean {
  return statusOf(error) === 403 || ['AccessDenied', 'ObjectLocked'].includes(nameOf(error));
}

/** Whether another login may be let through; an answer to HEAD says no more than the status. */
export function isLoginRefused(error: unknown): boolean {
  return [401, 403].includes(statusOf(error)) || reasonsByName[nameOf(error)] === 'StorageAuthFailed';
}

/** An answer of a service of AWS, as against one that could not be read. */
const isService = (error: unknown): boolean => error instanceof Error && '$fault' in error;

/** Whether the cloud's token service refused us, and not the store: the SDK asks it for credentials before its request. */
function isOfTokenService(error: unknown): boolean {
  const status = statusOf(error);
  return status >= 400 && status < 500 && isService(error) && !(error instanceof S3ServiceException);
}

/**
 * @param doing what was tried, for example `put "a/b.snap" into bucket "backups"`
 * @param fallback for what the tables do not know
 */
export function s3Error(error: unknown, doing: string, fallback: Reason): RunError {
  if (error instanceof RunError) return error;
  const name = nameOf(error);
  const code = codeOf(error);
  const status = statusOf(error);
  if (isOfTokenService(error))
    return new RunError('StorageAuthFailed', `${doing}: take the role: ${name} (HTTP ${status})${roleHint}`, {
      cause: error,
    });
  const reason =
    reasonsByName[name] ?? (status === 0 ? reasonOfCode(code) : undefined) ?? reasonsByStatus[status] ?? fallback;
  const what = status === 0 && code !== '' ? code : name;
  const http = status === 0 ? '' : ` (HTTP ${status})`;
  const hint = status === 0 && isTlsCode(code) ? tlsHint : (hints[name] ?? '');
  return new RunError(reason, `${doing}: ${what}${http}${hint}`, { cause: error });
}
