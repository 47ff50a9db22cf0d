// Identities of Azure and refusals that its stand-in cannot give, played back as Microsoft documents them.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AzureTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { openAzure } from '../../executor/storage/azure.ts';
import { ObjectLocked, type Storage } from '../../executor/storage/storage.ts';
import { type Answer, type Playback, startPlayback } from '../rig/faults/playback.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';

let cloud: Playback;
let bare: BareRun;
let storage: Storage | undefined;
/** What the store answers, and what the token services do. */
let store: (method: string, query: URLSearchParams) => Answer;
let token: Answer;

const tokenPaths = ['/metadata/identity/oauth2/token', '/tenant-1/oauth2/v2.0/token'];

beforeEach(async () => {
  cloud = await startPlayback();
  token = { status: 200, body: { access_token: 'canary-access-token', expires_in: '3599' } };
  cloud.answer = ({ path, method, query }) => (tokenPaths.includes(path) ? token : store(method, query));
});
afterEach(async () => {
  storage?.close();
  storage = undefined;
  await bare.remove();
  await cloud.stop();
});

const key = Buffer.alloc(64, 'canary').toString('base64');
const logins: Record<string, AzureTask['auth']> = {
  accountKey: { kind: 'accountKey', secretKey: { secret: 'azure', key: 'login' } },
  connectionString: { kind: 'connectionString', secretKey: { secret: 'azure', key: 'login' } },
  sasToken: { kind: 'sasToken', secretKey: { secret: 'azure', key: 'login' } },
  managedIdentity: { kind: 'managedIdentity', clientId: 'c-1' },
  workloadIdentity: { kind: 'workloadIdentity', clientId: 'c-1', tenantId: 'tenant-1' },
};
const secrets: Record<string, string> = {
  accountKey: key,
  connectionString: `AccountName=acc;AccountKey=${key};EndpointSuffix=core.windows.net`,
  sasToken: 'sv=2021-12-02&sp=racwdl&sig=canary-signature',
};

async function open(auth: AzureTask['auth'], environment: Record<string, string> = {}): Promise<Storage> {
  const task: AzureTask = { kind: 'azure', container: 'backups', account: 'acc', endpoint: cloud.endpoint, auth };
  const hosts = { AZURE_AUTHORITY_HOST: cloud.endpoint, AZURE_POD_IDENTITY_AUTHORITY_HOST: cloud.endpoint };
  bare = await bareRun(taskFor(task, {}), { environment: { ...hosts, ...environment } });
  await writeFile(join(bare.run.folders.cloudToken, 'token'), 'canary-cluster-token\n');
  const text = secrets[auth.kind];
  if (text !== undefined) await writeFile(join(bare.run.folders.storageSecret, 'login'), text);
  storage = await openAzure(bare.run, task, { attempts: 2 });
  return storage;
}

const fails = async (one: Storage): Promise<unknown> => {
  const error = await one.probe('postgres/a.snap').catch((failure: unknown) => failure);
  expect(String(error)).not.toMatch(/canary|sig=/);
  return error;
};

/** https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes */
const refusal = (status: number, code: string, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'x-ms-error-code': code, ...headers },
  body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>canary</Message></Error>`,
});

describe.each(Object.entries(logins))('with %s', (_kind, auth) => {
  test.each<[string, Answer, Reason, string]>([
    ['wrong credentials', refusal(403, 'AuthenticationFailed'), 'StorageAuthFailed', 'AuthenticationFailed (HTTP 403)'],
    ['a token that is not taken', refusal(401, 'InvalidAuthenticationInfo'), 'StorageAuthFailed', 'HTTP 401'],
    [
      'no permission',
      refusal(403, 'AuthorizationPermissionMismatch'),
      'StorageDenied',
      'Storage Blob Data Contributor',
    ],
    ['a firewall', refusal(403, 'AuthorizationFailure'), 'StorageDenied', 'firewall'],
    [
      'no container',
      refusal(404, 'ContainerNotFound'),
      'StorageDenied',
      '"backups": ContainerNotFound (HTTP 404), the container does not exist',
    ],
    ['a busy store', refusal(503, 'ServerBusy'), 'UploadFailed', 'fewer requests'],
    ['no room', refusal(507, ''), 'StorageFull', 'HTTP 507'],
  ])('%s', async (_what, answer, reason, message) => {
    store = () => answer;
    expect(await fails(await open(auth))).toMatchObject({ reason, message: expect.stringContaining(message) });
  });
});

test('account keys that the account does not allow', async () => {
  store = () => refusal(403, 'KeyBasedAuthenticationNotPermitted');
  expect(await fails(await open({ kind: 'accountKey', secretKey: { secret: 'azure', key: 'login' } }))).toMatchObject({
    reason: 'StorageDenied',
    message: expect.stringContaining('use workloadIdentity or managedIdentity'),
  });
});

test('a SAS token that was replaced meanwhile is read again when the store refuses the first', async () => {
  const one = await open({ kind: 'sasToken', secretKey: { secret: 'azure', key: 'login' } });
  store = (_method, query) =>
    query.get('sig') === 'canary-second' ? { status: 412 } : refusal(403, 'AuthenticationFailed');
  await writeFile(join(bare.run.folders.storageSecret, 'login'), 'sv=2021-12-02&sp=racwdl&sig=canary-second');
  await one.probe('postgres/a.snap');
  expect(cloud.asked.map(({ query }) => query.get('sig'))).toEqual(['canary-signature', 'canary-second']);
});

test('a clock that is far off is told as such', async () => {
  const date = new Date(Date.now() - 1_200_000).toUTCString();
  store = () => refusal(403, 'AuthenticationFailed', { date });
  expect(await fails(await open({ kind: 'accountKey', secretKey: { secret: 'azure', key: 'login' } }))).toMatchObject({
    reason: 'ConfigInvalid',
    message: expect.stringContaining("this node's clock is far from the store's"),
  });
});

describe('a managed identity', () => {
  const auth = { kind: 'managedIdentity', clientId: 'c-1' } as const;

  test('is asked for once and used in each request', async () => {
    store = () => ({ status: 412 });
    const one = await open(auth);
    await one.probe('a');
    await one.probe('b');
    const [first, ...uses] = cloud.asked;
    expect(first).toMatchObject({ path: '/metadata/identity/oauth2/token', headers: { metadata: 'true' } });
    expect(Object.fromEntries(first?.query ?? [])).toEqual({
      'api-version': '2018-02-01',
      resource: 'https://storage.azure.com/',
      client_id: 'c-1',
    });
    expect(uses.map(({ headers }) => headers['authorization'])).toEqual(Array(2).fill('Bearer canary-access-token'));
    expect(bare.run.secrets.strike('canary-access-token')).toBe('[secret]');
  });

  test('that the store no longer takes is asked for anew', async () => {
    let refused = false;
    store = () => {
      if (refused) return { status: 412 };
      refused = true;
      return refusal(401, 'InvalidAuthenticationInfo');
    };
    await (await open(auth)).probe('a');
    expect(cloud.asked.filter(({ path }) => path.startsWith('/metadata'))).toHaveLength(2);
  });

  test('is asked for again while the metadata service is being updated', async () => {
    let asked = 0;
    cloud.answer = ({ path }) => {
      if (!tokenPaths.includes(path)) return { status: 412 };
      asked += 1;
      return asked === 1 ? { status: 410 } : token;
    };
    await (await open(auth)).probe('a');
    expect(asked).toBe(2);
  });

  test('that the node has not', async () => {
    token = { status: 400, body: { error: 'invalid_request', error_description: 'Identity not found, canary' } };
    expect(await fails(await open(auth))).toMatchObject({
      reason: 'StorageAuthFailed',
      message: expect.stringMatching(/managedIdentity: invalid_request \(HTTP 400\), the node has no such identity/),
    });
  });
});

describe('a workload identity', () => {
  const auth = { kind: 'workloadIdentity', clientId: 'c-1', tenantId: 'tenant-1' } as const;
  const codes: [number, number, string][] = [
    [401, 700213, 'no federated credential of the identity names this service account'],
    [401, 700211, 'names this issuer'],
    [400, 700016, 'the client id belongs to no application'],
    [400, 90002, 'the tenant does not exist'],
    [401, 700024, 'compare the clocks'],
  ];

  test("gives the cluster's token in exchange for one for storage", async () => {
    store = () => ({ status: 412 });
    await (await open(auth)).probe('a');
    expect(Object.fromEntries(new URLSearchParams(cloud.asked[0]?.body))).toEqual({
      client_id: 'c-1',
      scope: 'https://storage.azure.com/.default',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: 'canary-cluster-token',
      grant_type: 'client_credentials',
    });
    expect(cloud.asked[1]?.headers['authorization']).toBe('Bearer canary-access-token');
  });

  test("takes what is not given from the variables of the cluster's webhook", async () => {
    store = () => ({ status: 412 });
    const one = await open({ kind: 'workloadIdentity' }, { AZURE_CLIENT_ID: 'c-2', AZURE_TENANT_ID: 'tenant-1' });
    await writeFile(join(bare.root, 'webhook-token'), 'canary-webhook-token');
    bare.run.environment = { ...bare.run.environment, AZURE_FEDERATED_TOKEN_FILE: join(bare.root, 'webhook-token') };
    await one.probe('a');
    const form = new URLSearchParams(cloud.asked[0]?.body);
    expect([form.get('client_id'), form.get('client_assertion')]).toEqual(['c-2', 'canary-webhook-token']);
  });

  test('without a client id anywhere', async () => {
    expect(await fails(await open({ kind: 'workloadIdentity' }))).toMatchObject({
      reason: 'ConfigInvalid',
      message: expect.stringContaining('spec.storage.azure.auth'),
    });
  });

  test.each(codes)('that Entra refuses with HTTP %d and AADSTS%d', async (status, code, message) => {
    token = {
      status,
      body: { error: 'invalid_client', error_description: `AADSTS${code}: canary`, error_codes: [code] },
    };
    expect(await fails(await open(auth))).toMatchObject({
      reason: 'StorageAuthFailed',
      message: expect.stringContaining(`AADSTS${code} (HTTP ${status})`),
    });
    expect(String(await fails(storage as Storage))).toContain(message);
  });
});

describe('deleting', () => {
  const auth = { kind: 'accountKey', secretKey: { secret: 'azure', key: 'login' } } as const;

  test('with versions deletes the object and then the version that it has become', async () => {
    store = (method) =>
      method === 'HEAD' ? { status: 200, headers: { 'x-ms-version-id': '2026-01-01T00:00:00.1Z' } } : { status: 202 };
    await (await open(auth)).delete('postgres/a.snap');
    expect(cloud.asked.map(({ method, query }) => [method, query.get('versionid')])).toEqual([
      ['HEAD', null],
      ['DELETE', null],
      ['DELETE', '2026-01-01T00:00:00.1Z'],
    ]);
  });

  test('what a policy locks is told as such', async () => {
    store = (method) => (method === 'HEAD' ? { status: 200 } : refusal(409, 'BlobImmutableDueToPolicy'));
    await expect((await open(auth)).delete('postgres/a.snap')).rejects.toThrow(ObjectLocked);
  });

  /** https://learn.microsoft.com/rest/api/storageservices/get-blob-properties */
  test.each<[string, Record<string, string>, string | undefined]>([
    ['a legal hold', { 'x-ms-legal-hold': 'true' }, 'delete "a.snap": it is locked'],
    [
      'a policy',
      { 'x-ms-immutability-policy-until-date': 'Tue, 01 Jan 2999 00:00:00 GMT' },
      'delete "a.snap": it is locked until 2999-01-01T00:00:00.000Z',
    ],
    [
      'nothing any more',
      { 'x-ms-legal-hold': 'false', 'x-ms-immutability-policy-until-date': 'Wed, 01 Jan 2020 00:00:00 GMT' },
      undefined,
    ],
    ['nothing', {}, undefined],
  ])('of what %s holds is known before it is tried', async (_what, headers, message) => {
    store = () => ({ status: 200, headers });
    expect((await (await open(auth)).locked('a.snap'))?.message).toBe(message);
  });
});
