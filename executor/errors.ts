// How a run fails: one error class that carries the reason, and the way from any other error to it. Class and code decide, never a
// message's text, and no message of a library is handed on: a store's own may hold an access key id.
import type { Reason } from '../crds/rules/reasons.ts';

/** A failure that a user is told: the reason's own sentence and fix come from the table, the detail is a sentence of its own. */
export class RunError extends Error {
  override name = 'RunError';
  readonly reason: Reason;

  constructor(reason: Reason, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.reason = reason;
  }
}

const reasonsByCode: Record<string, Reason> = {
  ENOSPC: 'StorageFull',
  EDQUOT: 'StorageFull',
  EFBIG: 'StorageFull',
  EACCES: 'StorageDenied',
  EPERM: 'StorageDenied',
  EROFS: 'StorageDenied',
};

/** The store's name leads to an address that no store has. */
export const refusedAddressCode = 'REFUSED_ADDRESS';

const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPROTO',
  'ESTALE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** TLS refusals carry OpenSSL's names. */
const tlsCode = /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_|ERR_TLS_|ERR_SSL_)/;

export function isTlsCode(code: string): boolean {
  return tlsCode.test(code);
}

/** The code of an error or of the one that caused it, empty when there is none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string' && /^\w{1,64}$/.test(error.code)) return error.code;
  return codeOf(error.cause);
}

/** The reason behind a code of the operating system or of TLS. */
export function reasonOfCode(code: string): Reason | undefined {
  if (code === refusedAddressCode) return 'ConfigInvalid';
  return reasonsByCode[code] ?? (unreachable.has(code) || isTlsCode(code) ? 'StorageUnreachable' : undefined);
}

/**
 * Any error as a RunError.
 * @param doing what was tried and on what, for example `write "a/b.snap"`
 */
export function toRunError(error: unknown, doing: string, fallback: Reason): RunError {
  if (error instanceof RunError) return error;
  const code = codeOf(error);
  const detail = code === '' ? (error instanceof Error ? error.message : String(error)) : code;
  return new RunError(reasonOfCode(code) ?? fallback, `${doing}: ${detail}`, { cause: error });
}
