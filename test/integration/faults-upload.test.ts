// F29 to F38: what befalls an upload between the executor and a real S3 server. What is not whole is never visible, what can be sent again is,
// and what cannot has its reason.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { dataKey, snapshotId } from '../../crds/rules/names.ts';
import { RunError } from '../../executor/errors.ts';
import { prepare } from '../../executor/prepare.ts';
import {
  archiveOf,
  type BarePlace,
  isManifest,
  isPart,
  type Played,
  type Store,
  startStore,
  useLogin,
} from '../executor/bare-backup.ts';
import type { Fault, Request } from '../executor/s3-proxy.ts';
import { waitFor } from '../wait.ts';

let store: Store;

beforeAll(async () => {
  store = await startStore();
});
afterAll(async () => store?.stop());
afterEach(() => {
  vi.useRealTimers();
  store.proxy.onRequest = () => 'pass';
  store.proxy.onAnswer = () => {};
});

const raw: Partial<Task> = { compression: { algorithm: 'none', level: 0 } };
const recipients = ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'];
const mebibyte = 1_048_576;
const part = 8 * mebibyte;
/** Two parts and a bit. */
const whole = archiveOf(2.2 * part);

const failureOf = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => 'no failure',
    (error: unknown) => error,
  );

async function expectNothing(place: BarePlace, what = ''): Promise<void> {
  expect(await place.names(), what).toEqual([]);
  expect(await place.pending(), what).toBe(0);
}

/** A source that stands still after its first part has been stored until a step is done, which happens once. */
async function* inTwo(step: () => Promise<void>): AsyncGenerator<Buffer, void, void> {
  const from = store.proxy.seen.length;
  let answered = false;
  store.proxy.onAnswer = (request) => {
    if (isPart(request)) answered = true;
  };
  // One byte more than a part: only then is it known not to be the last.
  yield Buffer.alloc(part + 1, 1);
  await waitFor('the first part to be stored', async () => answered && store.proxy.seen.length > from);
  await step();
  yield Buffer.alloc(part, 2);
}

describe('F29 a dump that ends badly', () => {
  /** Where it ends, how, and what the run is then said to be. */
  interface Ending {
    offset: number;
    how: 'fails' | 'is cut and says it went well' | 'is called off';
  }
  const hows: Ending['how'][] = ['fails', 'is cut and says it went well', 'is called off'];

  /** Offsets at every scale, and close to where parts end; always the same ones. */
  function endings(count: number): Ending[] {
    let state = 20_261_121;
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    return Array.from({ length: count }, (_, n) => {
      const scaled = Math.floor(whole.length ** random());
      const close = (1 + (n % 2)) * part - 3 + Math.floor(random() * 7);
      const offset = n % 16 === 0 ? Math.floor(random() * whole.length) : n % 16 === 8 ? close : scaled;
      return { offset: Math.min(offset, whole.length - 1), how: hows[n % 3] ?? 'fails' };
    });
  }

  const packed: Partial<Task> = { compression: { algorithm: 'zstd', level: 1 }, recipients };

  test('F29 at 200 places leaves nothing, visible or pending, and the run that follows succeeds', {
    timeout: 600_000,
  }, async () => {
    const place = store.place();
    for (const [n, { offset, how }] of endings(200).entries()) {
      const callOff = new AbortController();
      const bare = await place.run(n % 4 === 3 ? packed : raw, { signal: callOff.signal });
      const bytes = whole.subarray(0, offset);
      const played: Played = { bytes, exit: how === 'fails' ? '1 DumpFailed' : '0 -' };
      if (how === 'is called off') setTimeout(() => callOff.abort(new RunError('Canceled', 'called off')), n % 40);
      const error = await failureOf(place.backup(bare, played));
      const wanted = how === 'is called off' ? /Canceled|DumpFailed|DumpEmpty/ : /DumpFailed|DumpEmpty/;
      expect((error as RunError).reason, `${offset} ${how}: ${error}`).toMatch(wanted);
      await expectNothing(place, `${n}: ${offset} ${how}`);
      await bare.remove();
    }
    const next = await place.run(raw);
    await prepare(next.run);
    const told = await place.backup(next, { bytes: whole, exit: '0 -' });
    expect(told).toMatchObject({ run: { outcome: 'Succeeded', size: whole.length }, inventory: { count: 1 } });
  });
});

test('F30 a part that meets an error, a request to slow down, a broken connection and silence is sent with the same bytes', {
  timeout: 240_000,
}, async () => {
  const faults: Fault[] = [
    { status: 500, body: '<Error><Code>InternalError</Code></Error>' },
    { status: 503, body: '<Error><Code>SlowDown</Code></Error>' },
    'reset',
    'hang',
  ];
  const place = store.place(raw);
  const bare = await place.run();
  store.proxy.onRequest = (request) => (isPart(request) ? (faults[request.number - 1] ?? 'pass') : 'pass');
  const from = store.proxy.seen.length;
  await place.backup(bare, { bytes: archiveOf(part + mebibyte), exit: '0 -' });
  const sent = Map.groupBy(store.proxy.seen.slice(from).filter(isPart), ({ path }) => path);
  expect([...sent.values()].map(({ length }) => length)).toEqual([5, 5]);
  for (const requests of sent.values()) expect(new Set(requests.map(({ sha256 }) => sha256)).size).toBe(1);
});

test.each([
  ['an object of one piece', mebibyte, ({ method, path }: Request) => method === 'PUT' && path.includes('.snap?x-id=')],
  ['its completion', part + mebibyte, ({ method, path }: Request) => method === 'POST' && path.includes('uploadId=')],
])(
  'F42 a run that is called off when the store has %s, and the executor has not heard of it, leaves nothing',
  async (_what, size, matches) => {
    const place = store.place(raw);
    const callOff = new AbortController();
    store.proxy.onAnswer = (request) => {
      if (matches(request)) callOff.abort(new RunError('Canceled', 'called off'));
    };
    const bare = await place.run({}, { signal: callOff.signal });
    const error = await failureOf(place.backup(bare, { bytes: archiveOf(size), exit: '0 -' }));
    expect(callOff.signal.aborted).toBe(true);
    expect(error).toMatchObject({ reason: 'Canceled' });
    await expectNothing(place);
  },
);

describe('F35 what a proxy leaves out', () => {
  test.each([
    ['of a part', 2 * part],
    ['of an object of one piece', mebibyte],
  ])('F35 %s is noticed, and nothing is left', async (_what, size) => {
    const place = store.place(raw);
    store.proxy.onRequest = ({ method, path }) =>
      method === 'PUT' && (path.includes('partNumber=1&') || !path.includes('?') || path.includes('x-id=PutObject'))
        ? 'shorten'
        : 'pass';
    const error = await failureOf(place.backup(await place.run(), { bytes: archiveOf(size), exit: '0 -' }));
    // The length is part of what is signed.
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    await expectNothing(place);
  });

  test('F35 of a manifest that is read has it passed over, and its snapshot stays', async () => {
    const place = store.place({ ...raw, retention: { keepLast: 1, maxDeletesPerRun: 10 } });
    const bytes = archiveOf(mebibyte);
    const keep = { retention: { keepLast: 3, maxDeletesPerRun: 10 } };
    for (const day of [1, 2])
      await place.backup(await place.run({ ...keep, time: `2026-03-0${day}T01:00:00Z` }), { bytes, exit: '0 -' });
    const before = await place.names();
    const isOld = (request: Request) => isManifest(request) && request.path.includes('20260301T010000Z');
    store.proxy.onRequest = (request) => (request.method === 'GET' && isOld(request) ? 'shorten-answer' : 'pass');
    const told = await place.backup(await place.run({ time: '2026-03-03T01:00:00Z' }), { bytes, exit: '0 -' });
    expect(told).toMatchObject({ run: { outcome: 'Succeeded' }, inventory: { deleted: 1, count: 1 } });
    expect(await place.names()).toEqual(expect.arrayContaining(before.slice(0, 2)));
  });
});

describe('F37 credentials that are rotated during an upload', () => {
  const first = { id: 'canary-access-id-one', key: 'canary-secret-key-one' };
  const second = { id: 'canary-access-id-two', key: 'canary-secret-key-two' };

  beforeAll(async () => {
    await store.s3.addUser({ access: second.id, secret: second.key, role: 'admin' });
  });

  /** Puts an object whose login is taken away once its first part is stored, when the Secret's files hold `now`. */
  async function rotate(place: BarePlace, now: typeof first, meanwhile = () => {}): Promise<unknown> {
    await store.s3.addUser({ access: first.id, secret: first.key, role: 'admin' });
    const bare = await place.run({}, {}, first);
    const storage = await place.storage(bare, 2);
    const source = inTwo(async () => {
      await useLogin(bare.run, now);
      await store.s3.removeUser(first.id);
      meanwhile();
    });
    const options = { signal: new AbortController().signal, expectedBytes: 0 };
    const id = snapshotId(new Date(bare.run.task.time), bare.run.task.owner, '0000');
    return failureOf(storage.put(dataKey(bare.run.prefix, id), source, options));
  }

  test('F37 are read again when the store refuses the first, and the upload goes through at once', async () => {
    const place = store.place();
    expect(await rotate(place, second)).toBe('no failure');
    expect(await place.names()).toHaveLength(1);
    expect(await place.pending()).toBe(0);
  });

  test('F37 that have not come yet fail the upload, without a word of them, and the next run takes it back', async () => {
    const place = store.place();
    const error = await rotate(place, first);
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    expect(String(error)).not.toMatch(/canary/);
    expect(await place.names()).toEqual([]);
    const next = await place.run({}, {}, second);
    await prepare(next.run);
    await expectNothing(place);
  });

  test('F37 are read again after some minutes, before the store refuses the first', async () => {
    const place = store.place();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const from = store.proxy.seen.length;
    expect(await rotate(place, second, () => vi.setSystemTime(Date.now() + 9 * 60_000))).toBe('no failure');
    const refused = (one: Request) => one.number > 1 && isPart(one);
    expect(store.proxy.seen.slice(from).filter(refused)).toEqual([]);
    expect(await place.names()).toHaveLength(1);
  });
});

describe('F38 a store that refuses', () => {
  test('F38 because the bucket is gone half way fails the upload with that reason', async () => {
    const place = store.place();
    const { run } = await place.run();
    const { storage: task } = run.task;
    if (task.kind !== 's3') throw new Error('these tests need S3');
    await store.s3.createBucket('short-lived');
    const bare = await place.run({ storage: { ...task, bucket: 'short-lived' } });
    const storage = await place.storage(bare, 2);
    const source = inTwo(() => rm(join(store.s3.directory, 'short-lived'), { recursive: true }));
    const options = { signal: new AbortController().signal, expectedBytes: 0 };
    const error = await failureOf(storage.put(`${run.prefix}a.snap`, source, options));
    expect(error).toMatchObject({ reason: 'StorageDenied' });
    expect(String(error)).toContain('the bucket does not exist');
  });

  /** A login of the real server that a policy of the bucket allows only some things. */
  async function limited(access: string, actions: string[]): Promise<{ id: string; key: string }> {
    const login = { id: access, key: `canary-key-of-${access}` };
    await store.s3.addUser({ access, secret: login.key, role: 'user' });
    const { endpoint, region, accessKeyId, secretAccessKey } = store.s3;
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
    const Principal = { AWS: [access] };
    const Resource = ['arn:aws:s3:::backups', 'arn:aws:s3:::backups/*'];
    const Action = actions.map((one) => `s3:${one}`);
    const allow = { Effect: 'Allow', Principal };
    const Statement = [
      { ...allow, Action: Action.filter((one) => one.includes('ListBucket')), Resource: Resource[0] },
      { ...allow, Action: Action.filter((one) => !one.includes('ListBucket')), Resource: Resource[1] },
    ];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await client.send(new PutBucketPolicyCommand({ Bucket: 'backups', Policy }));
    client.destroy();
    return login;
  }

  const reading = ['ListBucket', 'ListBucketMultipartUploads', 'GetObject'];
  const writing = ['PutObject', 'AbortMultipartUpload'];

  test('F38 a login that may only read is refused before anything is dumped', async () => {
    const place = store.place();
    const login = await limited('reader', reading);
    const { run } = await place.run({}, {}, login);
    const error = await failureOf(prepare(run));
    expect(error).toMatchObject({ reason: 'StorageDenied' });
    expect(String(error)).not.toContain('canary');
    await expectNothing(place);
  });

  test('F38 a login that may write and not delete keeps every snapshot and says so', async () => {
    const place = store.place({ ...raw, retention: { keepLast: 1, maxDeletesPerRun: 10 } });
    const login = await limited('appender', [...reading, ...writing]);
    const bytes = archiveOf(part + mebibyte);
    for (const day of [1, 2]) {
      const bare = await place.run({ time: `2026-03-0${day}T01:00:00Z` }, {}, login);
      await prepare(bare.run);
      const told = await place.backup(bare, { bytes, exit: '0 -' });
      const pruneError = day === 1 ? '' : expect.stringContaining('AccessDenied');
      expect(told).toMatchObject({ run: { outcome: 'Succeeded' }, inventory: { count: day, deleted: 0, pruneError } });
    }
    expect(await place.names()).toHaveLength(4);
  });
});
