// What went wrong in Google's storage, by the reason in its answer and the HTTP status. Its own message is never handed on.
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError, reasonOfCode } from '../errors.ts';
import { clockHint, isSkewed } from './clock.ts';
import { HttpError } from './http-client.ts';

const reasonsByName: Record<string, Reason> = {
  authError: 'StorageAuthFailed',
  required: 'StorageAuthFailed',
  forbidden: 'StorageDenied',
  insufficientPermissions: 'StorageDenied',
  notFound: 'StorageDenied',
  accountDisabled: 'StorageDenied',
  userProjectAccountProblem: 'StorageDenied',
  userProjectMissing: 'ConfigInvalid',
  invalidBucketName: 'ConfigInvalid',
  quotaExceeded: 'StorageFull',
  storageQuotaExceeded: 'StorageFull',
  checksumMismatch: 'DigestMismatch',
};

const reasonsByStatus: Record<number, Reason> = {
  401: 'StorageAuthFailed',
  403: 'StorageDenied',
  404: 'StorageDenied',
  507: 'StorageFull',
};

const slow = ', the store asks for fewer requests: run this backup at another time, or raise its quota';
const hints: Record<string, string> = {
  notFound: ', the bucket does not exist',
  userProjectMissing: ', the bucket wants to know who pays: set spec.storage.gcs.project',
  accountDisabled: ", the project's billing is off",
  rateLimitExceeded: slow,
  userRateLimitExceeded: slow,
};
const hintsByStatus: Record<number, string> = {
  401: ', the key is wrong, disabled or deleted',
  403: ', the account needs the role roles/storage.objectUser on the bucket',
  404: ', the bucket does not exist',
  429: slow,
};

export function isMissing(error: unknown): boolean {
  return error instanceof HttpError && error.status === 404;
}

export function isTaken(error: unknown): boolean {
  return error instanceof HttpError && error.status === 412;
}

/** The object may not be deleted yet: a retention policy, a hold, a lock of the object itself. */
export function isLocked(error: unknown): boolean {
  if (!(error instanceof HttpError) || error.status !== 403) return false;
  return ['retentionPolicyNotMet', 'objectUnderActiveHold'].includes(error.error);
}

/** The reason in an answer: {"error": {"code": 403, "errors": [{"reason": "forbidden", ...}], ...}} */
export function errorIn(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { errors?: { reason?: unknown }[] } };
    const reason = error?.errors?.[0]?.reason;
    return typeof reason === 'string' ? reason : '';
  } catch {
    return '';
  }
}

/**
 * @param doing what was tried, for example `put "a/b.snap" in bucket "backups"`
 * @param fallback for what the tables do not know
 * @param ahead of the store's clock, in ms, which decides what a refused token means
 */
export function gcsError(error: unknown, doing: string, fallback: Reason, ahead: number | undefined): RunError {
  if (error instanceof RunError) return error;
  if (!(error instanceof HttpError)) {
    const code = codeOf(error);
    return new RunError(reasonOfCode(code) ?? fallback, `${doing}: ${code || 'it failed'}`, { cause: error });
  }
  const { error: name, status } = error;
  if (status === 401 && isSkewed(ahead)) return new RunError('ConfigInvalid', `${doing}: ${error.message}${clockHint}`);
  const reason = reasonsByName[name] ?? reasonsByStatus[status] ?? fallback;
  return new RunError(reason, `${doing}: ${error.message}${hints[name] ?? hintsByStatus[status] ?? ''}`, {
    cause: error,
  });
}
