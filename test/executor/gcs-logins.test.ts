// Logging in to Google Cloud Storage and being refused, played back as Google documents it: no server here checks who asks.
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { GcsTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { openGcs } from '../../executor/storage/gcs.ts';
import type * as credentials from '../../executor/storage/gcs-credentials.ts';
import { ObjectLocked, type Storage } from '../../executor/storage/storage.ts';
import { type Answer, type Playback, type Played, startPlayback } from '../rig/faults/playback.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const account = {
  type: 'service_account',
  client_email: 'b@p.iam.gserviceaccount.com',
  private_key_id: 'k1',
  private_key: pem,
};

let cloud: Playback;
let bare: BareRun;
let storage: Storage | undefined;

// Here, so that its time does not count as that of the first test that needs it.
beforeAll(async () => {
  await import('google-auth-library');
}, 60_000);
beforeEach(async () => {
  cloud = await startPlayback();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  storage?.close();
  storage = undefined;
  await bare.remove();
  await cloud.stop();
});

async function open(over: Partial<GcsTask>, key?: string, attempts = 2): Promise<Storage> {
  const task: GcsTask = { kind: 'gcs', bucket: 'backups', endpoint: cloud.endpoint, ...over };
  bare = await bareRun(taskFor(task, {}));
  if (key !== undefined) await writeFile(join(bare.run.folders.storageSecret, 'key.json'), key);
  storage = await openGcs(bare.run, task, { attempts });
  return storage;
}

const keyFile = { secret: 'gcs', key: 'key.json' };
const withKey = (over: object = {}) => open({ keyFile }, JSON.stringify({ ...account, ...over }));

/** The metadata server of a node, beside the store. */
function metadata(answer: Answer): void {
  const store = cloud.answer;
  vi.stubEnv('GCE_METADATA_HOST', new URL(cloud.endpoint).host);
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '');
  vi.stubEnv('HOME', '/nonexistent');
  cloud.answer = (request) => {
    if (!request.path.startsWith('/computeMetadata/')) return store(request);
    const { headers = {}, ...rest } = request.path.endsWith('/token') ? answer : { status: 200, body: 'b@p' };
    return { ...rest, headers: { 'metadata-flavor': 'Google', 'content-type': 'application/json', ...headers } };
  };
}

/** Workload identity of a cluster that is not Google's: a file says where a token is exchanged for one of Google's. */
async function federation(answer: Answer): Promise<void> {
  const store = cloud.answer;
  const { root } = bare;
  await writeFile(join(root, 'token'), 'canary-cluster-token');
  const file = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: `${cloud.endpoint}/v1/token`,
    credential_source: { file: join(root, 'token') },
  };
  await writeFile(join(root, 'external.json'), JSON.stringify(file));
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', join(root, 'external.json'));
  cloud.answer = (request) =>
    request.path === '/v1/token' ? { headers: { 'content-type': 'application/json' }, ...answer } : store(request);
}

/** The library asks several times before it believes in a metadata server. */
const slow = 60_000;
const token = { status: 200, body: { access_token: 'canary-access-token', expires_in: 3599, token_type: 'Bearer' } };

/** https://cloud.google.com/storage/docs/json_api/v1/status-codes */
const refusal = (status: number, reason: string): Answer => ({
  status,
  body: {
    error: { code: status, message: 'canary-message', errors: [{ domain: 'global', reason, message: 'canary' }] },
  },
});

const refusals: [string, Answer, Reason, string][] = [
  ['wrong credentials', refusal(401, 'authError'), 'StorageAuthFailed', 'wrong, disabled or deleted'],
  ['no permission', refusal(403, 'forbidden'), 'StorageDenied', 'roles/storage.objectUser'],
  ['no bucket', refusal(404, 'notFound'), 'StorageDenied', '"backups": notFound (HTTP 404), the bucket does not exist'],
  ['a disabled account', refusal(403, 'accountDisabled'), 'StorageDenied', 'billing is off'],
  ['a quota that is used up', refusal(403, 'quotaExceeded'), 'StorageFull', 'quotaExceeded'],
  ['too many requests', refusal(429, 'rateLimitExceeded'), 'UploadFailed', 'fewer requests'],
  ['a bucket whose reader pays', refusal(400, 'userProjectMissing'), 'ConfigInvalid', 'spec.storage.gcs.project'],
];

const fails = async (one: Storage): Promise<unknown> => {
  const error = await one.probe('postgres/a.snap').catch((failure: unknown) => failure);
  expect(String(error)).not.toContain('canary');
  return error;
};

describe('with a key from the Secret', () => {
  test.each(refusals)('%s', async (_what, answer, reason, message) => {
    cloud.answer = () => answer;
    expect(await fails(await withKey())).toMatchObject({ reason, message: expect.stringContaining(message) });
  });

  test('the token is signed by the key, for storage only and for an hour, and a refused one is made anew', async () => {
    cloud.answer = () => refusal(401, 'authError');
    await fails(await withKey());
    expect(cloud.asked).toHaveLength(2);
    for (const { headers } of cloud.asked) {
      const [head = '', claims = '', signature = ''] = String(headers['authorization'])
        .replace('Bearer ', '')
        .split('.');
      const signed = Buffer.from(`${head}.${claims}`);
      expect(
        verify(
          'sha256',
          signed,
          createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })),
          Buffer.from(signature, 'base64url'),
        ),
      ).toBe(true);
      expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
      const { iss, sub, scope, iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString());
      expect([iss, sub, exp - iat]).toEqual([account.client_email, account.client_email, 3600]);
      expect(scope).toBe('https://www.googleapis.com/auth/devstorage.read_write');
    }
  });

  test('a clock that is far off is told as such', async () => {
    cloud.answer = () => ({
      ...refusal(401, 'authError'),
      headers: { date: new Date(Date.now() - 900_000).toUTCString() },
    });
    expect(await fails(await withKey())).toMatchObject({
      reason: 'ConfigInvalid',
      message: expect.stringContaining("this node's clock is far from the store's"),
    });
  });

  test('the project that pays is named', async () => {
    cloud.answer = () => refusal(404, 'notFound');
    await fails(await open({ keyFile, project: 'payer-1' }, JSON.stringify(account)));
    expect(cloud.asked[0]?.headers['x-goog-user-project']).toBe('payer-1');
  });

  test.each<[string, string, string]>([
    ['is no JSON', 'canary', 'is not the JSON file of a service account key'],
    [
      'is of another type',
      '{"type":"authorized_user","refresh_token":"canary"}',
      'is not of the type "service_account"',
    ],
    ['lacks the key', JSON.stringify({ ...account, private_key: undefined }), 'no client_email or no private_key'],
    ['has a broken key', JSON.stringify({ ...account, private_key: 'canary-canary' }), 'cannot be read'],
  ])('a Secret that %s', async (_what, text, message) => {
    const error = await open({ keyFile }, text).catch((failure: unknown) => failure);
    expect(error).toMatchObject({
      reason: 'SecretInvalid',
      message: expect.stringContaining(`Secret "gcs": key "key.json" ${message.startsWith('no ') ? 'has ' : ''}`),
    });
    expect(String(error)).toContain(message);
    expect(String(error)).not.toContain('canary');
  });
});

describe('with the metadata server', { timeout: slow }, () => {
  test.each(refusals)('%s', async (_what, answer, reason, message) => {
    cloud.answer = () => answer;
    metadata(token);
    const one = await open({});
    expect(await fails(one)).toMatchObject({ reason, message: expect.stringContaining(message) });
    const asked = cloud.asked.filter(({ path }) => path.startsWith('/upload'));
    expect(asked[0]?.headers['authorization']).toBe('Bearer canary-access-token');
    expect(bare.run.secrets.strike('canary-access-token')).toBe('[secret]');
  });

  test('a token that the store no longer takes is asked for anew', async () => {
    let refused = false;
    cloud.answer = ({ method }) => {
      if (method !== 'POST') return { status: 404 };
      if (refused) return { status: 200, headers: { location: `${cloud.endpoint}/upload/x?upload_id=1` } };
      refused = true;
      return refusal(401, 'authError');
    };
    metadata(token);
    await (await open({})).probe('postgres/a.snap');
    expect(cloud.asked.filter(({ path }) => path.endsWith('/token'))).toHaveLength(2);
  });

  test('a token comes in the bundle of a release too, where the library is a part of its own', async () => {
    cloud.answer = () => undefined;
    metadata(token);
    await open({});
    const outdir = join(bare.root, 'bundle');
    // As build.ts bundles the executor.
    const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    const options = { bundle: true, splitting: true, platform: 'node', format: 'esm', banner: { js: banner } } as const;
    await build({
      ...options,
      entryPoints: ['executor/storage/gcs-credentials.ts'],
      outdir,
      outExtension: { '.js': '.mjs' },
    });
    const { gcsTokens } = (await import(join(outdir, 'gcs-credentials.mjs'))) as Pick<typeof credentials, 'gcsTokens'>;
    const tokens = await gcsTokens(bare.run, { kind: 'gcs', bucket: 'backups' });
    expect(await tokens(false)).toBe('canary-access-token');
  });

  test('no service account', async () => {
    metadata({ status: 404, body: 'canary' });
    expect(await fails(await open({}))).toMatchObject({
      reason: 'StorageAuthFailed',
      message: expect.stringMatching(/application default credentials.*HTTP 404.*bind the service account/),
    });
  });
});

describe('with workload identity of another cluster', { timeout: slow }, () => {
  const begin = async (): Promise<Storage> => open({});

  test.each(refusals)('%s', async (_what, answer, reason, message) => {
    cloud.answer = () => answer;
    const one = await begin();
    await federation(token);
    expect(await fails(one)).toMatchObject({ reason, message: expect.stringContaining(message) });
    const exchange = cloud.asked.find(({ path }) => path === '/v1/token');
    expect(new URLSearchParams(exchange?.body).get('subject_token')).toBe('canary-cluster-token');
  });

  test('a token that the pool does not take', async () => {
    const one = await begin();
    await federation({ status: 400, body: { error: 'invalid_grant', error_description: 'canary' } });
    expect(await fails(one)).toMatchObject({
      reason: 'StorageAuthFailed',
      message: expect.stringContaining('HTTP 400'),
    });
  });
});

describe('deleting', () => {
  const object = { name: 'a', size: '1', updated: '2026-01-01T00:00:00Z', generation: '17' };
  const answering = (onDelete: (request: Played) => Answer) => {
    cloud.answer = (request) => (request.method === 'DELETE' ? onDelete(request) : { status: 200, body: object });
  };

  test('names the generation, so that no version stays', async () => {
    answering(() => ({ status: 204 }));
    await (await withKey()).delete('postgres/a.snap');
    expect(cloud.asked.at(-1)?.query.get('generation')).toBe('17');
    expect(cloud.asked.at(-1)?.path).toBe('/storage/v1/b/backups/o/postgres%2Fa.snap');
  });

  test.each(['retentionPolicyNotMet', 'objectUnderActiveHold'])(
    'what is locked (%s) is told as such',
    async (reason) => {
      answering(() => refusal(403, reason));
      await expect((await withKey()).delete('postgres/a.snap')).rejects.toThrow(ObjectLocked);
    },
  );

  /** https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
  const later = '2999-01-01T00:00:00.000Z';
  test.each<[string, object, string | undefined]>([
    ['a hold', { temporaryHold: true }, 'delete "a.snap": it is locked'],
    ['a hold until an event', { eventBasedHold: true }, 'delete "a.snap": it is locked'],
    ['the policy of the bucket', { retentionExpirationTime: later }, `delete "a.snap": it is locked until ${later}`],
    [
      'its own lock',
      { retention: { mode: 'Locked', retainUntilTime: later } },
      `delete "a.snap": it is locked until ${later}`,
    ],
    ['nothing any more', { temporaryHold: false, retentionExpirationTime: '2020-01-01T00:00:00.000Z' }, undefined],
    ['nothing', {}, undefined],
  ])('of what %s holds is known before it is tried', async (_what, fields, message) => {
    cloud.answer = () => ({ status: 200, body: { ...object, ...fields } });
    expect((await (await withKey()).locked('a.snap'))?.message).toBe(message);
  });

  test('of what is not there is held by nothing', async () => {
    cloud.answer = () => refusal(404, 'notFound');
    expect(await (await withKey()).locked('a.snap')).toBeUndefined();
  });
});
