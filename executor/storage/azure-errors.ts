// What went wrong in Azure's storage, by the code in its answer and the HTTP status. Its own message is never handed on: it may hold the
// text that was signed.
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
import { clockHint, isSkewed } from './clock.ts';
import { HttpError } from './http-client.ts';

const reasonsByName: Record<string, Reason> = {
  AuthenticationFailed: 'StorageAuthFailed',
  InvalidAuthenticationInfo: 'StorageAuthFailed',
  NoAuthenticationInformation: 'StorageAuthFailed',
  KeyBasedAuthenticationNotPermitted: 'StorageDenied',
  AuthorizationFailure: 'StorageDenied',
  AuthorizationPermissionMismatch: 'StorageDenied',
  AuthorizationProtocolMismatch: 'StorageDenied',
  AuthorizationResourceTypeMismatch: 'StorageDenied',
  AuthorizationServiceMismatch: 'StorageDenied',
  AuthorizationSourceIPMismatch: 'StorageDenied',
  InsufficientAccountPermissions: 'StorageDenied',
  AccountIsDisabled: 'StorageDenied',
  ContainerNotFound: 'StorageDenied',
  ContainerBeingDeleted: 'StorageDenied',
  ContainerDisabled: 'StorageDenied',
  InvalidResourceName: 'ConfigInvalid',
  InvalidUri: 'ConfigInvalid',
  Md5Mismatch: 'DigestMismatch',
  InvalidMd5: 'DigestMismatch',
};

const reasonsByStatus: Record<number, Reason> = {
  401: 'StorageAuthFailed',
  403: 'StorageDenied',
  404: 'StorageDenied',
  507: 'StorageFull',
};

const role =
  ', the identity needs the role Storage Blob Data Contributor on the container, a SAS token the permissions racwdl';
const slow = ', the store asks for fewer requests: run this backup at another time';
const hints: Record<string, string> = {
  AuthenticationFailed: ', the account key is not one of this account, or the SAS token is wrong or expired',
  KeyBasedAuthenticationNotPermitted: ', the account allows no account keys: use workloadIdentity or managedIdentity',
  AuthorizationFailure: `, the key or SAS token is not good for this, or a firewall of the account refuses this address; else${role.slice(1)}`,
  AuthorizationPermissionMismatch: role,
  AuthorizationResourceTypeMismatch: ', the SAS token must be for containers and objects (srt=co)',
  AuthorizationServiceMismatch: ', the SAS token must be for blobs (ss=b)',
  AuthorizationProtocolMismatch: ', the SAS token does not allow this protocol',
  AuthorizationSourceIPMismatch: ', the SAS token does not allow the address that the Job comes from',
  ContainerNotFound: ', the container does not exist',
  ContainerBeingDeleted: ', the container is being deleted',
  ServerBusy: slow,
};
const hintsByStatus: Record<number, string> = { 404: ', the container does not exist', 429: slow };

const codes = (error: unknown, ...names: string[]): boolean =>
  error instanceof HttpError && names.includes(error.error);

/** A HEAD is answered without a body, and some servers then name no code. */
export function isMissing(error: unknown): boolean {
  return error instanceof HttpError && error.status === 404 && error.error !== 'ContainerNotFound';
}

/** Create-only writes are refused with 409, where S3 and Google say 412. */
export function isTaken(error: unknown): boolean {
  return (
    codes(error, 'BlobAlreadyExists', 'UnauthorizedBlobOverwrite') ||
    (error instanceof HttpError && error.status === 412)
  );
}

/** The blob may not be deleted yet: a retention policy or a legal hold. */
export function isLocked(error: unknown): boolean {
  return codes(error, 'BlobImmutableDueToPolicy');
}

/**
 * @param doing what was tried, for example `put "a/b.snap" in container "backups"`
 * @param fallback for what the tables do not know
 * @param ahead of the store's clock, in ms, which decides what a refused signature means
 */
export function azureError(error: unknown, doing: string, fallback: Reason, ahead: number | undefined): RunError {
  if (error instanceof RunError) return error;
  if (!(error instanceof HttpError)) {
    const code = codeOf(error);
    return new RunError(reasonOfCode(code) ?? fallback, `${doing}: ${code || 'it failed'}`, { cause: error });
  }
  const { error: name, status } = error;
  if (name === 'AuthenticationFailed' && isSkewed(ahead))
    return new RunError('ConfigInvalid', `${doing}: ${error.message}${clockHint}`);
  const reason = reasonsByName[name] ?? reasonsByStatus[status] ?? fallback;
  return new RunError(reason, `${doing}: ${error.message}${hints[name] ?? hintsByStatus[status] ?? ''}`, {
    cause: error,
  });
}
