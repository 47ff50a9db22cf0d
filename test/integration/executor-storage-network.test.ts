// Google's and Azure's stores behind a network that misbehaves: what can be retried is, what was done but not heard of counts as done, and
// what is not whole is not there. The same faults on S3 are in executor-network.test.ts.
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AzureTask, GcsTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { RunError } from '../../executor/errors.ts';
import { openAzure } from '../../executor/storage/azure.ts';
import { openGcs } from '../../executor/storage/gcs.ts';
import { ObjectExists, type Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { type Fault, type Request, type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { GcsSessions } from '../rig/faults/gcs-sessions.ts';
import { type Azurite, startAzurite } from '../rig/servers/azurite.ts';
import { type FakeGcs, startFakeGcs } from '../rig/servers/fake-gcs.ts';

const log = (line: string) => console.error(line);
/** A multiple of what Google demands twice over, so that half a part can be taken too. */
const part = 524_288;
const large = 3 * part + 1000;
const small = 1000;
/** Fewer tries than in earnest, so that what fails for good fails soon. */
const tuning = { attempts: 4, firstPart: part };

let azurite: Azurite;
let gcs: FakeGcs;
let proxy: S3Proxy;
let bare: BareRun;
let storage: Storage;

beforeAll(async () => {
  azurite = await startAzurite({ log });
  await azurite.createContainer('faults');
  gcs = await startFakeGcs({ log });
  await gcs.createBucket('faults');
});
afterAll(async () => {
  await azurite?.stop();
  await gcs?.stop();
});
afterEach(async () => {
  storage.close();
  await bare.remove();
  await proxy.stop();
});

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const accountKey = {
  type: 'service_account',
  client_email: 'backup@example.iam.gserviceaccount.com',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
};

async function openBehind(kind: 'GCS' | 'Azure'): Promise<void> {
  const secret = kind === 'GCS' ? JSON.stringify(accountKey) : azurite.accountKey;
  const secretKey = { secret: 'login', key: 'login' };
  proxy = await startS3Proxy(new URL(kind === 'GCS' ? gcs.endpoint : azurite.endpoint).origin);
  const gcsTask: GcsTask = { kind: 'gcs', bucket: 'faults', endpoint: proxy.endpoint, keyFile: secretKey };
  const azureTask: AzureTask = {
    kind: 'azure',
    container: 'faults',
    account: azurite.account,
    endpoint: `${proxy.endpoint}/${azurite.account}`,
    auth: { kind: 'accountKey', secretKey },
  };
  bare = await bareRun(taskFor(kind === 'GCS' ? gcsTask : azureTask, {}));
  await writeFile(join(bare.run.folders.storageSecret, 'login'), secret);
  storage = kind === 'GCS' ? await openGcs(bare.run, gcsTask, tuning) : await openAzure(bare.run, azureTask, tuning);
}

type Matches = (request: Request) => boolean;
const answersOf = (request: Request): string => request.headers['content-range'] ?? '';

/** Which requests of a store are which step of an upload. */
const steps: Record<'GCS' | 'Azure', { whole: Matches; begin: Matches; part: Matches; end: Matches; read: Matches }> = {
  GCS: {
    whole: ({ path }) => path.includes('uploadType=multipart'),
    begin: ({ method, path }) => method === 'POST' && path.includes('uploadType=resumable'),
    part: (request) => /^bytes \d+-\d+\/\*/.test(answersOf(request)),
    end: (request) => /^bytes \d+-\d+\/\d+/.test(answersOf(request)),
    read: ({ path }) => path.includes('alt=media'),
  },
  Azure: {
    whole: ({ method, path }) => method === 'PUT' && !path.includes('comp='),
    begin: ({ method }) => method === 'HEAD',
    part: ({ path }) => path.includes('comp=block&'),
    end: ({ path }) => path.includes('comp=blocklist'),
    read: ({ method }) => method === 'GET',
  },
};

async function* content(size: number): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < size; at += 100_000) yield Buffer.alloc(Math.min(100_000, size - at), at % 251);
}

let number = 0;

describe.each(['GCS', 'Azure'] as const)('%s', (kind) => {
  const step = steps[kind];
  let sessions: GcsSessions;
  let key: string;

  /** The fault for the first requests that match, the real server for all else. */
  function first(matches: Matches, fault: Fault, times = 1): void {
    let left = times;
    proxy.onRequest = async (request) => {
      const known = kind === 'GCS' ? await sessions.answer(request) : undefined;
      if (known !== undefined) return known;
      if (!matches(request) || left === 0) return 'pass';
      left -= 1;
      return fault;
    };
  }

  beforeEach(async () => {
    await openBehind(kind);
    sessions = new GcsSessions(gcs.endpoint, 'faults');
    proxy.onAnswer = (request) => sessions.note(request);
    number += 1;
    key = `faults/${number}/a.snap`;
  });

  const put = (size = large) =>
    storage.put(key, content(size), { signal: new AbortController().signal, expectedBytes: 0 });

  async function expectWhole(size: number): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of storage.get(key)) chunks.push(chunk);
    const wanted: Buffer[] = [];
    for await (const chunk of content(size)) wanted.push(chunk);
    expect(Buffer.concat(chunks).equals(Buffer.concat(wanted))).toBe(true);
  }

  const busy = { status: 503, body: '' };

  describe('an upload goes through although', () => {
    test.each<[string, Matches, Fault, number]>([
      ['its beginning meets a busy store', step.begin, busy, 2],
      ['a part meets a busy store, again and again', step.part, busy, 3],
      ['a part is told to slow down', step.part, { status: 429, body: '' }, 1],
      ['the connection of a part breaks before it', step.part, 'reset', 2],
      ['the connection of a part breaks in its middle', step.part, 'break', 2],
      ['the answer to a part is lost', step.part, 'lose-answer', 1],
      ['the answer to its beginning is lost', step.begin, 'lose-answer', 1],
      ['its end meets an internal error', step.end, { status: 500, body: '' }, 1],
      ['the answer to its end is lost', step.end, 'lose-answer', 1],
      ['the answer to its end is lost again and again', step.end, 'lose-answer', 4],
    ])('%s', async (_what, matches, fault, times) => {
      first(matches, fault, times);
      expect(await put()).toBe(large);
      await expectWhole(large);
    });

    test.each([1, 4])('the answer to a small one is lost %d times', async (times) => {
      first(step.whole, 'lose-answer', times);
      expect(await put(small)).toBe(small);
      await expectWhole(small);
    });
  });

  describe('an upload fails and leaves nothing when', () => {
    test.each<[string, Matches, Fault, Reason, number]>([
      ['a bit of a part is turned on its way', step.part, 'flip', 'DigestMismatch', large],
      ['a bit of its one part is turned on its way', step.whole, 'flip', 'DigestMismatch', small],
      ['a part is never taken', step.part, busy, 'UploadFailed', large],
      ['its end is never taken', step.end, busy, 'UploadFailed', large],
      ['there is no room', step.part, { status: 507, body: '' }, 'StorageFull', large],
      ['it is not allowed', step.part, { status: 403, body: '' }, 'StorageDenied', large],
      ['its connections always break', step.part, 'reset', 'StorageUnreachable', large],
    ])('%s', async (_what, matches, fault, reason, size) => {
      first(matches, fault, Number.POSITIVE_INFINITY);
      await expect(put(size)).rejects.toMatchObject({ reason });
      proxy.onRequest = () => 'pass';
      expect(await storage.head(key)).toBeUndefined();
    });
  });

  test('a key that another has taken in the meantime is told as such, and stays', async () => {
    const options = { signal: new AbortController().signal, expectedBytes: 0 };
    const others = 2 * part + 7;
    let taken = false;
    proxy.onRequest = async (request): Promise<Fault> => {
      if (step.end(request) && !taken) {
        taken = true;
        await storage.put(key, content(others), options);
      }
      return 'pass';
    };
    await expect(put()).rejects.toThrow(ObjectExists);
    expect(taken).toBe(true);
    expect((await storage.head(key))?.size).toBe(others);
    await expectWhole(others);
  });

  test('an upload that is called off while its end stands still leaves nothing, and ends soon', async () => {
    const callOff = new AbortController();
    first((request) => {
      if (!step.end(request)) return false;
      callOff.abort(new RunError('Canceled', 'called off'));
      return true;
    }, 'hang');
    const putting = storage.put(key, content(large), { signal: callOff.signal, expectedBytes: 0 });
    await expect(putting).rejects.toMatchObject({ reason: 'Canceled' });
    expect(await storage.head(key)).toBeUndefined();
  });

  test('a download that breaks off is gone on with', async () => {
    await put();
    first(step.read, 'cut', 3);
    await expectWhole(large);
    expect(proxy.seen.filter(step.read).at(-1)?.headers.range).toMatch(/^bytes=[1-9]/);
  });

  test('a download that never gets anywhere fails', async () => {
    await put();
    first(step.read, 'reset', Number.POSITIVE_INFINITY);
    const reading = async () => {
      for await (const _chunk of storage.get(key));
    };
    await expect(reading()).rejects.toMatchObject({ reason: 'StorageUnreachable' });
  });
});

test('Google may keep only half of a chunk: the rest is sent again', async () => {
  await openBehind('GCS');
  const sessions = new GcsSessions(gcs.endpoint, 'faults');
  let halved = 0;
  /** The chunk that the server gets and says it has. */
  const half: Fault = {
    change: (headers, body) => {
      const [, from = 0, total = '*'] = /^bytes (\d+)-\d+\/(.+)$/.exec(headers['content-range'] ?? '') ?? [];
      const kept = body.subarray(0, body.length >> 1);
      const range = `bytes ${from}-${Number(from) + kept.length - 1}/${total}`;
      return { headers: { ...headers, 'content-range': range, 'content-length': String(kept.length) }, body: kept };
    },
  };
  proxy.onRequest = async (request) => {
    if (!steps.GCS.part(request) && !steps.GCS.end(request)) return (await sessions.answer(request)) ?? 'pass';
    halved += 1;
    return halved % 2 === 1 ? half : 'pass';
  };
  await storage.put('faults/half.snap', content(large), { signal: new AbortController().signal, expectedBytes: 0 });
  expect((await storage.head('faults/half.snap'))?.size).toBe(large);
  expect(halved).toBeGreaterThan(4);
});
