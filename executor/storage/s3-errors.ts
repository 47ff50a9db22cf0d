// What went wrong in S3, by the error's code and HTTP status. The store's own message is never handed on: it may hold the access key id
// or the text that was signed.
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';

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

/** What a wrong setting looks like from the store. */
const hints: Record<string, string> = {
  PermanentRedirect: ', the bucket is in another region than spec.storage.s3.region',
  AuthorizationHeaderMalformed: ', the bucket is in another region than spec.storage.s3.region',
  RequestTimeTooSkewed: ", this node's clock is far from the store's",
  NoSuchBucket: ', the bucket does not exist',
  CredentialsProviderError: ', no credentials were found',
};

/** The name of an S3 error, such as NoSuchUpload; only what looks like one. */
export function nameOf(error: unknown): string {
  return error instanceof Error && /^[A-Za-z][A-Za-z0-9]{0,63}$/.test(error.name) ? error.name : 'Error';
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

/**
 * @param doing what was tried, for example `put "a/b.snap" into bucket "backups"`
 * @param fallback for what the tables do not know
 */
export function s3Error(error: unknown, doing: string, fallback: Reason): RunError {
  if (error instanceof RunError) return error;
  const name = nameOf(error);
  const code = codeOf(error);
  const status = statusOf(error);
  const reason =
    reasonsByName[name] ?? (status === 0 ? reasonOfCode(code) : undefined) ?? reasonsByStatus[status] ?? fallback;
  const what = status === 0 && code !== '' ? code : name;
  const http = status === 0 ? '' : ` (HTTP ${status})`;
  return new RunError(reason, `${doing}: ${what}${http}${hints[name] ?? ''}`, { cause: error });
}
