// What the executor makes of answers that no server here gives: those of AWS itself, written as AWS documents them, before a real store.
// And what it asks for: the fields of encryption, class and checksums that go with each request.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { S3Task } from '../../crds/rules/contract.ts';
import { RunError } from '../../executor/errors.ts';
import { openS3 } from '../../executor/storage/s3.ts';
import { ObjectLocked, type Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { type Request, type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { type StsServer, startStsServer } from '../executor/sts-server.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';

const part = 8 * 1024 * 1024;
const bare: BareRun[] = [];
const opened: Storage[] = [];
let s3: Versitygw;
let proxy: S3Proxy;

beforeAll(async () => {
  s3 = await startVersitygw({ log: (line) => console.error(line) });
  await s3.createBucket('answers');
});

beforeEach(async () => {
  proxy = await startS3Proxy(s3.endpoint);
});

afterEach(async () => {
  for (const storage of opened.splice(0)) storage.close();
  await proxy.stop();
});

afterAll(async () => {
  await s3?.stop();
  for (const one of bare) await one.remove();
});

const secret = { name: 's3-credentials', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' };

/** @param token of the pod's service account, where the task has a role */
async function open(over: Partial<S3Task> = {}, token?: string): Promise<{ storage: Storage; one: BareRun }> {
  const place = { bucket: 'answers', region: s3.region, endpoint: proxy.endpoint, forcePathStyle: true };
  const task: S3Task = { kind: 's3', ...place, ...(over.roleArn === undefined ? { secret } : {}), ...over };
  const one = await bareRun(taskFor(task, {}));
  bare.push(one);
  await writeFile(join(one.run.folders.storageSecret, 'id'), s3.accessKeyId);
  await writeFile(join(one.run.folders.storageSecret, 'key'), s3.secretAccessKey);
  if (token !== undefined) await writeFile(join(one.run.folders.cloudToken, 'token'), token);
  const storage = await openS3(one.run, task, 2);
  opened.push(storage);
  return { storage, one };
}

async function probeError(over: Partial<S3Task> = {}, token?: string): Promise<RunError> {
  const error = await open(over, token)
    .then(({ storage }) => storage.probe('postgres/a.snap'))
    .catch((cause: unknown) => cause);
  if (!(error instanceof RunError)) throw new Error(`a RunError was expected, ${String(error)} came`);
  return error;
}

const xml = (code: string, more = '') =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>canary AKIACANARY0000000000</Message>${more}<RequestId>1</RequestId><HostId>x</HostId></Error>`;

describe('an answer of AWS', () => {
  test.each([
    ['a token that has ended', 400, 'ExpiredToken', 'StorageAuthFailed', ''],
    ['a key that does not exist', 403, 'InvalidAccessKeyId', 'StorageAuthFailed', ''],
    ['a wrong secret key', 403, 'SignatureDoesNotMatch', 'StorageAuthFailed', ''],
    ['no right', 403, 'AccessDenied', 'StorageDenied', ''],
    ['an account that does not pay', 403, 'AccountProblem', 'StorageDenied', ''],
    ['no such bucket', 404, 'NoSuchBucket', 'StorageDenied', 'the bucket does not exist'],
    ['another region', 301, 'PermanentRedirect', 'ConfigInvalid', 'spec.storage.s3.region'],
    ['another region of the signature', 400, 'AuthorizationHeaderMalformed', 'ConfigInvalid', 'spec.storage.s3.region'],
    ['a class that it does not know', 400, 'InvalidStorageClass', 'ConfigInvalid', 'spec.storage.s3.storageClass'],
    ['a key of KMS that is not there', 400, 'KMS.NotFoundException', 'ConfigInvalid', 'kmsKeyId'],
    ['a key of KMS that is disabled', 400, 'KMS.DisabledException', 'ConfigInvalid', 'is disabled'],
    ['too many requests', 503, 'SlowDown', 'UploadFailed', 'asks for fewer requests'],
    ['a quota', 403, 'QuotaExceeded', 'StorageFull', ''],
    ['no room', 507, 'InsufficientStorage', 'StorageFull', ''],
    ['trouble of its own', 500, 'InternalError', 'UploadFailed', ''],
  ] as const)('that tells of %s (%d %s) is %s', async (_what, status, code, reason, said) => {
    proxy.onRequest = () => ({ status, body: xml(code) });
    const error = await probeError();
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(`in bucket "answers": ${code} (HTTP ${status})`);
    expect(error.message).toContain(said);
    expect(error.message).not.toMatch(/canary/i);
  });

  test('that tells of a clock that is far off is ConfigInvalid, and says whose clock', async () => {
    proxy.onRequest = () => ({ status: 403, body: xml('RequestTimeTooSkewed') });
    const error = await probeError();
    expect(error).toMatchObject({ reason: 'ConfigInvalid' });
    expect(error.message).toContain("this node's clock");
  });

  test('that is no answer of S3 at all is told by its status', async () => {
    proxy.onRequest = () => ({ status: 403, body: '<html><body>canary: blocked by the proxy</body></html>' });
    const error = await probeError();
    expect(error.reason).toBe('StorageDenied');
    expect(error.message).not.toContain('canary');
  });

  test('too many requests that end are borne', async () => {
    proxy.onRequest = ({ number }) => (number === 1 ? { status: 503, body: xml('SlowDown') } : 'pass');
    await (await open()).storage.probe('postgres/a.snap');
  });

  test('that refuses a deletion without saying why is a lock where our own lock still lasts, and a want of rights else', async () => {
    const key = 'locked/a.snap';
    await (await open()).storage.putSmall(key, 'x');
    proxy.onRequest = ({ method }) => (method === 'DELETE' ? { status: 403, body: xml('AccessDenied') } : 'pass');
    const remove = async (over: Partial<S3Task>) => (await open(over)).storage.delete(key).catch((error) => error);
    const locked = await remove({ objectLock: { mode: 'COMPLIANCE', days: 7 } });
    expect(locked).toBeInstanceOf(ObjectLocked);
    expect((locked as ObjectLocked).until?.getTime()).toBeGreaterThan(Date.now() + 6.9 * 86_400_000);
    expect(await remove({})).toMatchObject({ reason: 'StorageDenied' });
  });
});

describe('what is asked for', () => {
  const header = (request: Request | undefined, name: string) => request?.headers[`x-amz-${name}`];
  /** Everything is written to a store that takes anything: a bucket of the rig knows no KMS. */
  const begin = ({ method, path }: Request) => method === 'POST' && path.includes('?uploads');

  async function written(over: Partial<S3Task>): Promise<{ data: Request; parts: Request[]; manifest: Request }> {
    const { storage } = await open(over);
    const key = `asked/${Math.random().toString(36).slice(2)}.snap`;
    const source = async function* () {
      yield Buffer.alloc(part, 1);
      yield Buffer.alloc(10, 1);
    };
    await storage.put(key, source(), { signal: new AbortController().signal, expectedBytes: 0 });
    await storage.putSmall(`${key}.json`, '{}');
    const data = proxy.seen.find(begin);
    const puts = proxy.seen.filter(({ method }) => method === 'PUT');
    const manifest = puts.find(({ path }) => path.includes('.json'));
    if (data === undefined || manifest === undefined) throw new Error('nothing was written');
    return { data, parts: puts.filter(({ path }) => path.includes('partNumber')), manifest };
  }

  test('encryption goes with data and manifest', async () => {
    const serverSideEncryption = { algorithm: 'AES256' } as const;
    const { data, manifest } = await written({ serverSideEncryption });
    for (const one of [data, manifest]) expect(header(one, 'server-side-encryption')).toBe('AES256');
  });

  test('a key of KMS goes with the request that begins the object', async () => {
    proxy.onRequest = (request) => (begin(request) ? { status: 400, body: xml('KMS.NotFoundException') } : 'pass');
    const kmsKeyId = 'alias/backups';
    await probeError({ serverSideEncryption: { algorithm: 'aws:kms', kmsKeyId } });
    const data = proxy.seen.find(begin);
    expect(header(data, 'server-side-encryption')).toBe('aws:kms');
    expect(header(data, 'server-side-encryption-aws-kms-key-id')).toBe(kmsKeyId);
  });

  test('a class goes with the data alone: manifests are read by every run', async () => {
    const { data, manifest } = await written({ storageClass: 'STANDARD_IA' });
    expect(header(data, 'storage-class')).toBe('STANDARD_IA');
    expect(header(manifest, 'storage-class')).toBeUndefined();
  });

  test.each([
    ['auto', true],
    ['required', false],
  ] as const)('checksums %s: each part and each object has one is %s', async (checksums, there) => {
    const { data, parts, manifest } = await written({ checksums });
    expect(header(data, 'checksum-algorithm')).toBe(there ? 'CRC32' : undefined);
    expect(parts).toHaveLength(2);
    for (const one of [...parts, manifest]) expect(header(one, 'checksum-crc32') !== undefined).toBe(there);
  });
});

describe('the role of a service account', () => {
  const roleArn = 'arn:aws:iam::123456789012:role/backups';
  const before = { ...process.env };
  let sts: StsServer;

  beforeEach(async () => {
    sts = await startStsServer();
  });

  afterEach(async () => {
    process.env = { ...before };
    await sts.stop();
  });

  /** The variables that the controller gives to the executor's containers. */
  async function withRole(token?: string): Promise<Storage> {
    const { storage, one } = await open({ roleArn }, token);
    Object.assign(process.env, {
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_ROLE_ARN: roleArn,
      AWS_ROLE_SESSION_NAME: 'dbbackup-shop-orders',
      AWS_WEB_IDENTITY_TOKEN_FILE: join(one.run.folders.cloudToken, 'token'),
      AWS_ENDPOINT_URL_STS: sts.endpoint,
    });
    return storage;
  }

  const refused = (token = 'token-canary') =>
    withRole(token)
      .then((storage) => storage.probe('postgres/a.snap'))
      .catch((error: unknown) => error);

  test('is taken with its token, and what comes back signs the requests', async () => {
    sts.answer = { credentials: { id: 'ASIAOFTHEROLE0000000', key: 'key-of-the-role' } };
    // The rig's store knows no tokens of a session, so it is not asked.
    const begun =
      '<InitiateMultipartUploadResult><Bucket>answers</Bucket><UploadId>u</UploadId></InitiateMultipartUploadResult>';
    proxy.onRequest = ({ method }) => (method === 'POST' ? { status: 200, body: begun } : { status: 204, body: '' });
    const storage = await withRole('the-token');
    await storage.probe('postgres/a.snap');
    const [asked] = sts.asked;
    expect(Object.fromEntries(asked ?? [])).toMatchObject({
      Action: 'AssumeRoleWithWebIdentity',
      RoleArn: roleArn,
      RoleSessionName: 'dbbackup-shop-orders',
      WebIdentityToken: 'the-token',
    });
    for (const { headers } of proxy.seen) {
      expect(headers['x-amz-security-token']).toBe('session-canary');
      expect(headers.authorization).toContain('Credential=ASIAOFTHEROLE0000000/');
    }
    expect(proxy.seen.map(({ method }) => method)).toEqual(['POST', 'DELETE']);
  });

  test.each([
    ['a trust policy that does not name it', 403, 'AccessDenied'],
    ['an issuer that is not known', 400, 'InvalidIdentityToken'],
    ['a token that has ended', 400, 'ExpiredTokenException'],
  ])('that is refused for %s is a failed login, and tells no token', async (_what, status, code) => {
    sts.answer = { status, code };
    const error = await refused();
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    expect(String(error)).toContain('trust policy');
    expect(String(error)).not.toContain('canary');
  });

  test('cannot be taken without the token, which is said', async () => {
    const error = await probeError({ roleArn });
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    expect(error.message).toContain('the pod has no token of its service account');
  });

  test('is not replaced by any other identity when the token service is away', async () => {
    await sts.stop();
    expect(await refused()).toMatchObject({ reason: 'StorageUnreachable' });
    expect(proxy.seen).toEqual([]);
  });
});

/** What the store says to a login that it knows. */
const refusals = [
  ['no right', 403, 'AccessDenied', ''],
  ['a bucket that is not there', 404, 'NoSuchBucket', 'the bucket does not exist'],
] as const;

describe('a login that the cloud gives', () => {
  const before = { ...process.env };
  let sts: StsServer;

  beforeEach(async () => {
    sts = await startStsServer();
    sts.answer = { credentials: { id: 'ASIAOFTHEROLE0000000', key: 'key-of-the-role' } };
  });
  afterEach(async () => {
    process.env = { ...before };
    await sts.stop();
  });

  const roleArn = 'arn:aws:iam::123456789012:role/backups';
  const none = { secret: undefined } as unknown as Partial<S3Task>;
  /** EKS's webhook sets the same variables as the controller does for a role that the spec names. */
  const byRole = async (token: string) => {
    await writeFile(token, 'token-canary');
    return { AWS_ROLE_ARN: roleArn, AWS_WEB_IDENTITY_TOKEN_FILE: token, AWS_ENDPOINT_URL_STS: sts.endpoint };
  };
  const byChain = async () => ({ AWS_ACCESS_KEY_ID: 'ASIAOFTHENODE0000000', AWS_SECRET_ACCESS_KEY: 'key-canary' });
  const ways = [
    ['workloadIdentity with a role', { roleArn }, byRole, 'ASIAOFTHEROLE0000000'],
    ['workloadIdentity without a role', none, byRole, 'ASIAOFTHEROLE0000000'],
    ['default', none, byChain, 'ASIAOFTHENODE0000000'],
  ] as const;

  test.each(ways.flatMap(([way, ...how]) => refusals.map((refusal) => [way, refusal[0], how, refusal] as const)))(
    '%s meets %s, which is StorageDenied',
    async (_way, _what, [over, variables, id], [, status, code, said]) => {
      const { storage, one } = await open(over, 'token-canary');
      const file = join(one.run.folders.cloudToken, 'token');
      Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', ...(await variables(file)) });
      proxy.onRequest = () => ({ status, body: xml(code) });
      const error = await storage.probe('postgres/a.snap').catch((cause: unknown) => cause);
      expect(error).toMatchObject({ reason: 'StorageDenied' });
      expect(String(error)).toContain(`in bucket "answers": ${code} (HTTP ${status})${said === '' ? '' : `, ${said}`}`);
      expect(String(error)).not.toMatch(/canary/i);
      expect(proxy.seen.map(({ headers }) => headers.authorization)).toEqual([expect.stringContaining(`=${id}/`)]);
    },
  );
});

test('with nothing to log in with the SDK finds no identity, which is a failed login', async () => {
  const { storage } = await open({ secret: undefined } as unknown as Partial<S3Task>);
  const before = { ...process.env };
  try {
    Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true' });
    const error = await storage.probe('postgres/a.snap').catch((cause: unknown) => cause);
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    expect(String(error)).toContain('no credentials were found');
  } finally {
    process.env = before;
  }
});
