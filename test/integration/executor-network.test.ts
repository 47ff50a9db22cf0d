// Stores and networks that misbehave for a moment or for good: what can be retried is, what was done but not heard of counts as done, and
// what is not whole is never a snapshot.
import { readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { readCommitted } from '../../executor/exchange.ts';
import { prepare } from '../../executor/prepare.ts';
import { openS3 } from '../../executor/storage/s3.ts';
import { ObjectExists, type Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import type { Ended } from '../executor/pod.ts';
import { type Fault, type Request, type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { storeSnapshot } from '../executor/stored-snapshot.ts';
import { Place, startWorld, type World } from '../executor/world.ts';

let world: World;
let proxy: S3Proxy;
let place: Place;
let bare: BareRun;
let storage: Storage;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => world?.stop());

beforeEach(async () => {
  proxy = await startS3Proxy(world.s3.endpoint);
  place = new Place(world, 's3');
  bare = await bareRun(place.s3Task(proxy.endpoint));
  for (const [name, value] of Object.entries(place.keys))
    await writeFile(join(bare.run.folders.storageSecret, name), value);
  const { task } = bare.run;
  if (task.storage.kind !== 's3') throw new Error('these tests need S3');
  // Fewer tries than in earnest, so that what fails for good fails soon.
  storage = await openS3(bare.run, task.storage, 5);
});
afterEach(async () => {
  storage.close();
  await bare.remove();
  await place.remove();
  await proxy.stop();
});

const isPart = ({ path }: Request) => path.includes('partNumber=');
const isComplete = ({ method, path }: Request) => method === 'POST' && path.includes('uploadId=');
const isManifest = ({ method, path }: Request) =>
  method === 'PUT' && (path.split('?')[0]?.endsWith('.snap.json') ?? false);
const isSinglePut = ({ method, path }: Request) => method === 'PUT' && !path.includes('uploadId=');
const internalError = { status: 500, body: '<Error><Code>InternalError</Code></Error>' };

/** The fault for the first requests that match, the real server for all else. */
function first(matches: (request: Request) => boolean, fault: Fault, times = 1): void {
  let left = times;
  proxy.onRequest = (request) => {
    if (!matches(request) || left === 0) return 'pass';
    left -= 1;
    return fault;
  };
}

async function* content(size: number): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < size; at += 1_000_000) yield Buffer.alloc(Math.min(1_000_000, size - at), at % 251);
}

const large = 20_000_000;

async function put(size = large): Promise<string> {
  const key = `${place.prefix}a.snap`;
  await storage.put(key, content(size), { signal: new AbortController().signal, expectedBytes: 0 });
  return key;
}

async function expectWhole(key: string, size: number): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of storage.get(key)) chunks.push(chunk);
  const wanted: Buffer[] = [];
  for await (const chunk of content(size)) wanted.push(chunk);
  expect(Buffer.concat(chunks).equals(Buffer.concat(wanted))).toBe(true);
  expect(await storage.pending(place.prefix)).toEqual([]);
}

describe('an upload goes through', () => {
  test.each<[string, (request: Request) => boolean, Fault, number]>([
    ['F30 although a part meets an internal error twice', isPart, internalError, 2],
    [
      'F30 although a part is told to slow down',
      isPart,
      { status: 503, body: '<Error><Code>SlowDown</Code></Error>' },
      1,
    ],
    ['F30 although the connection of a part breaks', isPart, 'reset', 2],
    ['F30 although the answer to a part is lost', isPart, 'lose-answer', 1],
    ['F30 although the answer to its beginning is lost', ({ path }) => path.endsWith('uploads='), 'lose-answer', 1],
    ['F31 although its completion meets an internal error', isComplete, internalError, 1],
    [
      'F31 although its completion is answered by an error with status 200',
      isComplete,
      { ...internalError, status: 200 },
      1,
    ],
    ['F32 although the answer to its completion is lost', isComplete, 'lose-answer', 1],
    ['F32 although the answer to its completion is lost again and again', isComplete, 'lose-answer', 5],
  ])('%s', async (_what, matches, fault, times) => {
    first(matches, fault, times);
    await expectWhole(await put(), large);
  });

  test.each([1, 5])('F32 although the answer to a small one is lost %d times', async (times) => {
    first(isSinglePut, 'lose-answer', times);
    await expectWhole(await put(1000), 1000);
  });

  test('F39 although the store knows no conditional writes; a key that is taken is still refused', async () => {
    const notImplemented = { status: 501, body: '<Error><Code>NotImplemented</Code></Error>' };
    proxy.onRequest = ({ headers }) => (headers['if-none-match'] === undefined ? 'pass' : notImplemented);
    for (const size of [1000, large]) {
      const key = await put(size);
      await expectWhole(key, size);
      await expect(put(size)).rejects.toThrow(ObjectExists);
      await storage.delete(key);
    }
  });
});

describe('an upload fails and leaves nothing', () => {
  test.each<[string, (request: Request) => boolean, Fault, Reason]>([
    ['F34 when a bit of a part is turned on its way', isPart, 'flip', 'DigestMismatch'],
    ['F30 when a part is never taken', isPart, internalError, 'UploadFailed'],
    ['F31 when its completion is never taken', isComplete, internalError, 'UploadFailed'],
    [
      'F38 when there is no room',
      isPart,
      { status: 507, body: '<Error><Code>InsufficientStorage</Code></Error>' },
      'StorageFull',
    ],
    [
      'F38 when a quota is used up',
      isPart,
      { status: 403, body: '<Error><Code>QuotaExceeded</Code></Error>' },
      'StorageFull',
    ],
    [
      'F38 when it is not allowed',
      isPart,
      { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
      'StorageDenied',
    ],
    ['F30 when its connections always break', isPart, 'reset', 'StorageUnreachable'],
  ])('%s', async (_what, matches, fault, reason) => {
    first(matches, fault, Number.POSITIVE_INFINITY);
    await expect(put()).rejects.toMatchObject({ reason });
    proxy.onRequest = () => 'pass';
    expect(await storage.head(`${place.prefix}a.snap`)).toBeUndefined();
    expect(await storage.pending(place.prefix)).toEqual([]);
  });
});

test('F38 an upload whose part is refused fails at once, though its source says nothing more', async () => {
  first(isPart, { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' }, Number.POSITIVE_INFINITY);
  async function* silent(): AsyncGenerator<Buffer, void, void> {
    yield* content(10_000_000);
    await new Promise(() => {});
  }
  const putting = storage.put(`${place.prefix}a.snap`, silent(), {
    signal: new AbortController().signal,
    expectedBytes: 0,
  });
  await expect(putting).rejects.toMatchObject({ reason: 'StorageDenied' });
  expect(await storage.pending(place.prefix)).toEqual([]);
});

describe('a whole run', () => {
  /** Run number n, for the window of day n. */
  const run = async (day = 1, over: Partial<Task> = {}): Promise<Ended> => {
    const task = { ...place.s3Task(proxy.endpoint), time: `2026-03-0${day}T01:00:00Z`, ...over };
    return (await place.pod(`job-${day}`, task)).run(world.postgres);
  };
  const keepLast: Partial<Task> = { retention: { keepLast: 1, maxDeletesPerRun: 10 } };
  /** The stored file of the one data object. */
  const dataFile = async () => {
    const folder = join(world.s3.directory, 'backups', place.prefix);
    const name = (await readdir(folder)).find((one) => one.endsWith('.snap')) ?? '';
    return join(folder, name);
  };

  test.each([1, 10])(
    'attack 31: whose manifest is written %d times because the answers are lost has succeeded',
    async (times) => {
      first(isManifest, 'lose-answer', times);
      const { result, output } = await run();
      expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
      expect(await place.names()).toHaveLength(2);
    },
  );

  test('attack 7: whose data is gone when the manifest is written takes the manifest back', async () => {
    proxy.onAnswer = async (request) => {
      if (isManifest(request)) await rm(await dataFile());
    };
    const { result, output } = await run();
    expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'UploadFailed' });
    expect(await place.names()).toEqual([]);
  });

  test('F35 whose data is shorter in the store than it was sent writes no manifest', async () => {
    proxy.onAnswer = async (request) => {
      if (isSinglePut(request) && !isManifest(request)) await truncate(await dataFile(), 100);
    };
    const { result, output } = await run();
    expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'UploadFailed' });
    expect(output).toContain('the store holds 100 bytes');
    expect(await place.names()).toEqual([]);
  });

  test('F40 on a node whose clock is far from the store does not begin, and names both times', async () => {
    proxy.clockOffset = -8 * 60_000;
    const { result, output, code } = await run();
    expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'ConfigInvalid' });
    expect(result?.run.outcome === 'Failed' && result.run.message).toMatch(/on this node and .* in the store/);
    expect(code).toBe(10);
  });

  test('F40 on such a node, of a Job whose snapshot is there already, has nothing to begin', async () => {
    const { id } = await storeSnapshot(bare.run, storage);
    proxy.clockOffset = -8 * 60_000;
    await prepare(bare.run);
    expect(await readCommitted(bare.run.folders.run)).toMatchObject({ id });
  });

  test('F40 during which the clocks part still succeeds and deletes nothing', async () => {
    for (const day of [1, 2]) await run(day);
    proxy.onAnswer = (request) => {
      if (isManifest(request)) proxy.clockOffset = -8 * 60_000;
    };
    const { result, output } = await run(3, keepLast);
    expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
    expect(result?.inventory).toMatchObject({ count: 3, deleted: 0, pruneError: expect.stringContaining('clock') });
    expect(await place.names()).toHaveLength(6);
  });

  test('F38 that may not delete has succeeded and says what it could not do', async () => {
    await run();
    const denied = { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' };
    proxy.onRequest = ({ method, path }) => (method === 'DELETE' && !path.includes('uploadId=') ? denied : 'pass');
    const { code, result, output } = await run(2, keepLast);
    expect(code).toBe(0);
    expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
    expect(result?.inventory).toMatchObject({
      count: 2,
      deleted: 0,
      pruneError: expect.stringContaining('AccessDenied'),
    });
  });

  test('F40 whose listing is older than its commit deletes nothing', async () => {
    await run();
    let listing: { status: number; body: string } | undefined;
    proxy.onRequest = (request) => {
      if (isManifest(request))
        listing = { status: 200, body: '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>' };
      return listing !== undefined && request.path.includes('list-type=2') ? listing : 'pass';
    };
    const { result, output } = await run(2, keepLast);
    expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
    expect(result?.inventory).toMatchObject({
      deleted: 0,
      pruneError: expect.stringContaining('the listing does not show'),
    });
    expect(await place.names()).toHaveLength(4);
  });
});
