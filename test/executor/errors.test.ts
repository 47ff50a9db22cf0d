// Which reason a failure gets, and that nothing of a library's own message is told.
import { S3ServiceException } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { RunError, toRunError } from '../../executor/errors.ts';
import { Secrets } from '../../executor/log.ts';
import { s3Error } from '../../executor/storage/s3-errors.ts';

const canary = 'AKIACANARYCANARY0000';

function s3Failure(name: string, status: number): Error {
  const message = `The AWS Access Key Id ${canary} you provided does not exist in our records.`;
  return new S3ServiceException({ name, message, $fault: 'client', $metadata: { httpStatusCode: status } });
}

const systemFailure = (code: string) => Object.assign(new Error(`connect ${code} ${canary}`), { code });

describe('S3', () => {
  test.each([
    ['InvalidAccessKeyId', 403, 'StorageAuthFailed'],
    ['SignatureDoesNotMatch', 403, 'StorageAuthFailed'],
    ['ExpiredToken', 400, 'StorageAuthFailed'],
    ['Unauthorized', 401, 'StorageAuthFailed'],
    ['AccessDenied', 403, 'StorageDenied'],
    ['NoSuchBucket', 404, 'StorageDenied'],
    ['Forbidden', 403, 'StorageDenied'],
    ['PermanentRedirect', 301, 'ConfigInvalid'],
    ['QuotaExceeded', 403, 'StorageFull'],
    ['Whatever', 507, 'StorageFull'],
    ['BadDigest', 400, 'DigestMismatch'],
    ['InternalError', 500, 'UploadFailed'],
    ['SlowDown', 503, 'UploadFailed'],
  ])('%s with status %d is %s', (name, status, reason) => {
    const error = s3Error(s3Failure(name, status), 'put "a.snap" into bucket "b"', 'UploadFailed');
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(`put "a.snap" into bucket "b": ${name} (HTTP ${status})`);
    expect(error.message).not.toContain(canary);
  });

  test('no credentials at all are a failed login', () => {
    const error = Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' });
    expect(s3Error(error, 'list "a/"', 'UploadFailed').reason).toBe('StorageAuthFailed');
  });

  test('a name that is no name is not told', () => {
    const error = Object.assign(new Error('x'), { name: `<b>${canary}</b>` });
    expect(s3Error(error, 'list "a/"', 'UploadFailed').message).toBe('list "a/": Error');
  });
});

test.each([
  ['ECONNREFUSED', 'StorageUnreachable'],
  ['ENOTFOUND', 'StorageUnreachable'],
  ['EAI_AGAIN', 'StorageUnreachable'],
  ['CERT_HAS_EXPIRED', 'StorageUnreachable'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'StorageUnreachable'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'StorageUnreachable'],
  ['ENOSPC', 'StorageFull'],
  ['EDQUOT', 'StorageFull'],
  ['EROFS', 'StorageDenied'],
  ['EACCES', 'StorageDenied'],
  ['EIO', 'UploadFailed'],
])('%s is %s, on S3 and on a directory', (code, reason) => {
  for (const error of [
    s3Error(systemFailure(code), 'put "a"', 'UploadFailed'),
    toRunError(systemFailure(code), 'put "a"', 'UploadFailed'),
    toRunError(new Error('outer', { cause: systemFailure(code) }), 'put "a"', 'UploadFailed'),
  ]) {
    expect(error.reason).toBe(reason);
    // What follows the code is ours: for a certificate, what to look at.
    expect(error.message.split(',')[0]).toBe(`put "a": ${code}`);
    expect(error.message).not.toContain(canary);
  }
});

test('an error that has a reason keeps it', () => {
  const error = new RunError('DumpEmpty', 'read the dump: nothing');
  expect(toRunError(error, 'put "a"', 'UploadFailed')).toBe(error);
  expect(s3Error(error, 'put "a"', 'UploadFailed')).toBe(error);
});

test('secrets are struck out, written plainly, as JSON or as in a URL', () => {
  const secrets = new Secrets();
  secrets.add('pass"word\\123');
  expect(secrets.strike('https://store/?sig=pass%22word%5C123&a=b')).toBe('https://store/?sig=[secret]&a=b');
  expect(secrets.strike(JSON.stringify({ text: 'a pass"word\\123 b' }))).toBe('{"text":"a [secret] b"}');
  expect(secrets.strike('a pass"word\\123 b')).toBe('a [secret] b');
});

test('a secret that begins another leaves nothing of it', () => {
  const secrets = new Secrets();
  secrets.add('canary-1');
  secrets.add('canary-1-and-more');
  expect(secrets.strike('a canary-1-and-more b')).toBe('a [secret] b');
});
