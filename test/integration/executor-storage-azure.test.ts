// The storage conformance suite against a real Azure Blob server, and every way to log in that it checks.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AzureTask } from '../../crds/rules/contract.ts';
import { openAzure } from '../../executor/storage/azure.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { storageConformance } from '../conformance/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { type Azurite, startAzurite } from '../rig/servers/azurite.ts';

const part = 65_536;
const bare: BareRun[] = [];
let server: Azurite;
let storage: Storage;

type SecretKind = 'accountKey' | 'connectionString' | 'sasToken';

async function open(kind: SecretKind, text: string, over: Partial<AzureTask> = {}, attempts = 3): Promise<Storage> {
  const { account, endpoint } = server;
  const auth = { kind, secretKey: { secret: 'azure', key: 'login' } } as const;
  const task: AzureTask = { kind: 'azure', container: 'conformance', account, endpoint, auth, ...over };
  const one = await bareRun(taskFor(task, {}));
  bare.push(one);
  await writeFile(join(one.run.folders.storageSecret, 'login'), text);
  return openAzure(one.run, task, { attempts, firstPart: part });
}

beforeAll(async () => {
  server = await startAzurite({ log: (line) => console.error(line) });
  await server.createContainer('conformance');
  storage = await open('accountKey', `${server.accountKey}\n`, {}, 10);
});

afterAll(async () => {
  storage?.close();
  await server?.stop();
  for (const one of bare) await one.remove();
});

storageConformance('Azure (azurite)', { part, listsPending: false }, () => storage);

test('the store tells its clock', async () => {
  for await (const _one of storage.list('postgres/')) break;
  expect(Math.abs(storage.clockAhead() ?? Number.NaN)).toBeLessThan(300_000);
});

/** All that a run does with a store. */
async function use(one: Storage, prefix: string): Promise<string[]> {
  const key = `${prefix}/a b+c.snap`;
  await one.probe(key);
  await one.putSmall(key, 'text');
  expect((await one.getSmall(key, 10))?.toString()).toBe('text');
  const found: string[] = [];
  for await (const object of one.list(`${prefix}/`)) found.push(object.key);
  await one.delete(key);
  one.close();
  return found;
}

describe('a login with', () => {
  test('a connection string', async () => {
    const { account, accountKey, endpoint } = server;
    const text = `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${accountKey};BlobEndpoint=${endpoint};`;
    expect(await use(await open('connectionString', text), 'connection')).toEqual(['connection/a b+c.snap']);
  });

  test('a connection string that holds a SAS token', async () => {
    const text = `BlobEndpoint=${server.endpoint};SharedAccessSignature=${server.sas('racwdl')}`;
    expect(await use(await open('connectionString', text), 'connection-sas')).toEqual(['connection-sas/a b+c.snap']);
  });

  test.each(['', '?'])('a SAS token that begins with "%s"', async (start) => {
    expect(await use(await open('sasToken', start + server.sas('racwdl')), 'sas')).toEqual(['sas/a b+c.snap']);
  });
});

describe('Azure refuses with the right reason', () => {
  const probe = async (opening: Promise<Storage>) => {
    const one = await opening;
    return one.probe('postgres/a.snap').finally(() => one.close());
  };
  const failure = async (...how: Parameters<typeof open>) => probe(open(...how)).catch((error: unknown) => error);
  const wrongKey = Buffer.alloc(64, 'canary').toString('base64');
  // To azurite a wrong signature and an expired token are AuthorizationFailure. Azure's own AuthenticationFailed is played back in
  // test/executor/azure-logins.test.ts.
  const refused = {
    reason: 'StorageDenied',
    message: expect.stringContaining('the key or SAS token is not good for this'),
  };

  test('a wrong account key, which the message does not repeat', async () => {
    const error = await failure('accountKey', wrongKey);
    expect(error).toMatchObject(refused);
    expect(String(error)).not.toContain(wrongKey.slice(0, 20));
  });

  test('a SAS token with a wrong signature, which the message does not repeat', async () => {
    const error = await failure('sasToken', server.sas('racwdl').replace(/sig=[^&]*/, 'sig=Y2FuYXJ5Y2FuYXJ5'));
    expect(error).toMatchObject(refused);
    expect(String(error)).not.toContain('Y2FuYXJ5');
  });

  test('a SAS token that has expired', async () => {
    expect(await failure('sasToken', server.sas('racwdl', -60))).toMatchObject(refused);
  });

  test('a SAS token that may only read', async () => {
    expect(await failure('sasToken', server.sas('rl'))).toMatchObject({ reason: 'StorageDenied' });
  });

  test('a container that is not there, by name', async () => {
    expect(await failure('accountKey', server.accountKey, { container: 'missing' })).toMatchObject({
      reason: 'StorageDenied',
      message: expect.stringMatching(/"missing".*does not exist/),
    });
  });

  test('a port where nobody listens', async () => {
    expect(await failure('accountKey', server.accountKey, { endpoint: 'http://127.0.0.1:9' })).toMatchObject({
      reason: 'StorageUnreachable',
    });
  });

  test('a name that does not resolve', async () => {
    expect(await failure('accountKey', server.accountKey, { endpoint: 'https://azure.invalid' })).toMatchObject({
      reason: 'StorageUnreachable',
    });
  });

  test.each<[string, SecretKind, string, string]>([
    ['an empty key', 'accountKey', '\n', 'Secret "azure": key "login" is missing or empty'],
    ['an account key that is none', 'accountKey', 'canary-canary', 'is not an account key in Base64'],
    ['a SAS token without a signature', 'sasToken', 'sv=2021-12-02&sp=canary', 'is not a SAS token'],
    ['a connection string without a key', 'connectionString', 'AccountName=rigaccount', 'neither AccountKey'],
    [
      'a connection string of another account',
      'connectionString',
      'AccountName=canary;AccountKey=eA==',
      'another account',
    ],
  ])('%s, by the name of the Secret', async (_what, kind, text, message) => {
    const error = await failure(kind, text);
    expect(error).toMatchObject({ reason: 'SecretInvalid', message: expect.stringContaining(message) });
    expect(String(error)).not.toContain('canary');
  });
});
