// What is special about S3, against a real server: versions and locks, users without rights, TLS with authorities of one's own, and where
// a store's name may lead.
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { S3Task } from '../../crds/rules/contract.ts';
import { prune } from '../../executor/prune.ts';
import { openS3 } from '../../executor/storage/s3.ts';
import { ObjectLocked, type Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { storeSnapshot } from '../executor/stored-snapshot.ts';
import { Authority } from '../rig/cluster/certificates.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';
import { waitFor } from '../wait.ts';

const log = (line: string) => console.error(line);
const part = 8 * 1024 * 1024;
const day = 86_400_000;
const bare: BareRun[] = [];
const opened: Storage[] = [];
let s3: Versitygw;

interface Opening {
  task?: Partial<S3Task>;
  keys?: Record<string, string>;
  storeMayBeLocal?: boolean;
  /** The file of paths.storageAuthorities. */
  authorities?: string;
}

async function open({ task = {}, keys, storeMayBeLocal = true, authorities }: Opening = {}): Promise<Storage> {
  const whole: S3Task = {
    kind: 's3',
    bucket: 'plain',
    region: s3.region,
    endpoint: s3.endpoint,
    forcePathStyle: true,
    secret: { name: 's3-credentials', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' },
    ...task,
  };
  const one = await bareRun(taskFor(whole, {}), { storeMayBeLocal });
  bare.push(one);
  const { folders } = one.run;
  const files = keys ?? { id: s3.accessKeyId, key: s3.secretAccessKey };
  for (const [name, value] of Object.entries(files)) await writeFile(join(folders.storageSecret, name), value);
  if (authorities !== undefined) await writeFile(join(folders.storageAuthorities, 'ca.crt'), authorities);
  const storage = await openS3(one.run, whole, 2);
  opened.push(storage);
  return storage;
}

async function put(storage: Storage, key: string, size: number): Promise<void> {
  const source = async function* () {
    for (let left = size; left > 0; left -= part) yield Buffer.alloc(Math.min(part, left), 7);
  };
  await storage.put(key, source(), { signal: new AbortController().signal, expectedBytes: 0 });
}

/** Everything that the bucket holds of a key: its versions and what hides them. */
async function everything(bucket: string, key: string): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await s3.client.send(
    new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }),
  );
  return [...Versions.map(() => 'version'), ...DeleteMarkers.map(() => 'marker')];
}

const failure = (storage: Promise<Storage>, use: (storage: Storage) => Promise<unknown>): Promise<unknown> =>
  storage.then(use).then(
    () => 'it was allowed',
    (error: unknown) => error,
  );
const probe = (storage: Storage) => storage.probe('postgres/a.snap');

beforeAll(async () => {
  s3 = await startVersitygw({ log });
  for (const name of ['plain', 'versioned']) await s3.createBucket(name);
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await s3.client.send(new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration }));
  await s3.createBucket('locked', { lock: true });
});

afterAll(async () => {
  for (const storage of opened) storage.close();
  await s3?.stop();
  for (const one of bare) await one.remove();
});

describe('a bucket with versions', () => {
  const task = { bucket: 'versioned' };

  test.each([
    ['of one part', 1000],
    ['of many', 2 * part + 1],
  ])('keeps nothing of an object %s that was deleted, neither a version nor a mark', async (_what, size) => {
    const storage = await open({ task });
    const key = `gone/${size}.snap`;
    await put(storage, key, size);
    expect(await everything('versioned', key)).toEqual(['version']);
    await storage.delete(key);
    expect(await everything('versioned', key)).toEqual([]);
  });

  test('is not given marks of objects that were never there', async () => {
    await (await open({ task })).delete('never/there.snap');
    expect(await everything('versioned', 'never/')).toEqual([]);
  });

  test('has no object where somebody hid it, and its create-only writes begin anew', async () => {
    const storage = await open({ task });
    await storage.putSmall('hidden/a.snap', 'old');
    await s3.client.send(new DeleteObjectCommand({ Bucket: 'versioned', Key: 'hidden/a.snap' }));
    expect(await storage.head('hidden/a.snap')).toBeUndefined();
    expect(await storage.getSmall('hidden/a.snap', 100)).toBeUndefined();
    await storage.delete('hidden/a.snap');
    expect(await everything('versioned', 'hidden/')).toEqual(['version', 'marker']);
  });
});

describe('a bucket with object lock', () => {
  const objectLock = { mode: 'GOVERNANCE', days: 3 } as const;
  const task = { bucket: 'locked', objectLock };

  const lockOf = async (key: string) => s3.client.send(new HeadObjectCommand({ Bucket: 'locked', Key: key }));

  /** Lets the lock end soon, and deletes when it has. */
  async function unlockAndDelete(storage: Storage, key: string): Promise<void> {
    const { VersionId, ObjectLockMode } = await lockOf(key);
    // The store takes no time that is past when it is asked.
    const Retention = { Mode: ObjectLockMode, RetainUntilDate: new Date(Date.now() + 10_000) } as const;
    const which = { Bucket: 'locked', Key: key, VersionId };
    await s3.client.send(new PutObjectRetentionCommand({ ...which, Retention, BypassGovernanceRetention: true }));
    const end = await waitFor('the lock to end', async () => {
      const answer = await failure(Promise.resolve(storage), () => storage.delete(key));
      return !(answer instanceof ObjectLocked) && { answer };
    });
    expect(end).toEqual({ answer: 'it was allowed' });
  }

  test.each([
    ['a snapshot of one part', (storage: Storage, key: string) => put(storage, key, 1000)],
    ['a snapshot of many parts', (storage: Storage, key: string) => put(storage, key, 2 * part + 1)],
    ['a manifest', (storage: Storage, key: string) => storage.putSmall(key, '{}')],
  ])(
    'locks %s for the days that are asked for, says so when it is to go, and lets it go then',
    async (_what, write) => {
      const storage = await open({ task });
      const key = `locked/${randomUUID()}.snap`;
      const before = Date.now();
      await write(storage, key);
      const { ObjectLockMode, ObjectLockRetainUntilDate } = await lockOf(key);
      expect(ObjectLockMode).toBe('GOVERNANCE');
      const days = ((ObjectLockRetainUntilDate?.getTime() ?? 0) - before) / day;
      expect(days).toBeGreaterThan(2.99);
      expect(days).toBeLessThan(3.01);
      const refused = await failure(Promise.resolve(storage), () => storage.delete(key));
      expect(refused).toBeInstanceOf(ObjectLocked);
      expect(refused).toMatchObject({ until: ObjectLockRetainUntilDate });
      // A plain delete would have been let through and have hidden it.
      expect(await everything('locked', key)).toEqual(['version']);
      await unlockAndDelete(storage, key);
      expect(await everything('locked', key)).toEqual([]);
    },
  );

  test('with a legal hold on the data alone keeps the whole snapshot, until the hold is taken back', async () => {
    const one = await open({ task: { bucket: 'locked' } });
    const run = { ...(bare.at(-1) as BareRun).run, prefix: 'held/shop/orders-db/' };
    const [held, committed] = [await storeSnapshot(run, one, { day: 1 }), await storeSnapshot(run, one, { day: 2 })];
    run.task.retention = { keepLast: 1, maxDeletesPerRun: 10 };
    const hold = async (Status: 'ON' | 'OFF') => {
      const LegalHold = { Status };
      await s3.client.send(new PutObjectLegalHoldCommand({ Bucket: 'locked', Key: held.key, LegalHold }));
    };
    const names = async () => {
      const found: string[] = [];
      for await (const { key } of one.list(run.prefix)) found.push(key);
      return found.sort();
    };
    await hold('ON');
    expect(await one.locked(held.key)).toMatchObject({ until: undefined });
    expect(await prune(run, one, committed.id)).toMatchObject({ count: 2, deleted: 0, locked: 1, pruneError: '' });
    expect(await names()).toEqual([held, committed].flatMap(({ key }) => [key, `${key}.json`]));
    await hold('OFF');
    expect(await one.locked(held.key)).toBeUndefined();
    expect(await prune(run, one, committed.id)).toMatchObject({ count: 1, deleted: 1, pruneError: '' });
    expect(await names()).toEqual([committed.key, `${committed.key}.json`]);
  });

  test('can be probed, and keeps nothing of that', async () => {
    const storage = await open({ task });
    await probe(storage);
    expect(await storage.pending('postgres/')).toEqual([]);
    expect(await everything('locked', 'postgres/')).toEqual([]);
  });

  test('is asked for before the dump: a bucket that was made without it is told as such', async () => {
    const error = await failure(open({ task: { objectLock } }), probe);
    expect(error).toMatchObject({ reason: 'ConfigInvalid' });
    expect(String(error)).toContain('spec.storage.s3.objectLock');
  });
});

describe('a user', () => {
  const user = `reader-${randomUUID().slice(0, 8)}`;
  let keys: Record<string, string>;

  const allow = async (...actions: string[]) => {
    const statement = (resource: string, names: string[]) => ({
      Effect: 'Allow',
      Principal: [user],
      Action: names.map((name) => `s3:${name}`),
      Resource: [resource],
    });
    const ofBucket = actions.filter((name) => name.startsWith('List') && name !== 'ListMultipartUploadParts');
    const Statement = [
      ...(ofBucket.length === 0 ? [] : [statement('arn:aws:s3:::plain', ofBucket)]),
      statement('arn:aws:s3:::plain/*', ['GetObject', ...actions.filter((name) => !ofBucket.includes(name))]),
    ];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await s3.client.send(new PutBucketPolicyCommand({ Bucket: 'plain', Policy }));
  };

  beforeAll(async () => {
    keys = { id: user, key: await s3.createUser(user) };
  });

  test('without any right is denied, and not told that its login is wrong', async () => {
    const error = await failure(open({ keys }), probe);
    expect(error).toMatchObject({ reason: 'StorageDenied' });
    expect(String(error)).toContain('bucket "plain"');
    expect(String(error)).not.toContain(keys['key']);
  });

  test('who may only read is denied the probe, before anything is dumped', async () => {
    await allow('ListBucket', 'ListBucketMultipartUploads');
    const storage = await open({ keys });
    for await (const _one of storage.list('postgres/')) break;
    expect(await failure(Promise.resolve(storage), probe)).toMatchObject({ reason: 'StorageDenied' });
  });

  test('who may not delete can take backups; pruning is what it is denied', async () => {
    await allow('ListBucket', 'ListBucketMultipartUploads', 'PutObject', 'AbortMultipartUpload');
    const storage = await open({ keys });
    await probe(storage);
    await put(storage, 'append/a.snap', 1000);
    expect(await failure(Promise.resolve(storage), () => storage.delete('append/a.snap'))).toMatchObject({
      reason: 'StorageDenied',
    });
    expect(await storage.head('append/a.snap')).toMatchObject({ size: 1000 });
  });
});

describe('a store with a certificate of an authority of its own', () => {
  let folder: string;
  let own: string;
  let other: string;
  let tls: Versitygw;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbbackup-ca-'));
    const authority = await Authority.create(join(folder, 'own'));
    const certificate = await authority.sign('server', { commonName: 'store', names: ['127.0.0.1'] });
    [own, other] = (await Promise.all(
      [authority, await Authority.create(join(folder, 'other'))].map(({ cert }) => readFile(cert, 'utf8')),
    )) as [string, string];
    tls = await startVersitygw({ log, certificate });
  });

  afterAll(async () => {
    await tls?.stop();
    await rm(folder, { recursive: true });
  });

  const from = { kind: 'ConfigMap', name: 'company-ca', key: 'ca.crt' } as const;
  const trusting = (authorities: string | undefined, kind: 'ConfigMap' | 'Secret' = 'ConfigMap') =>
    open({
      task: { endpoint: tls.endpoint, authorities: { ...from, kind } },
      keys: { id: tls.accessKeyId, key: tls.secretAccessKey },
      ...(authorities === undefined ? {} : { authorities }),
    });
  // The bucket is not there: that is said by the store, so the connection was made.
  const reached = { reason: 'StorageDenied', message: expect.stringContaining('NoSuchBucket') };

  test('is reached with that authority, also among others', async () => {
    expect(await failure(trusting(own), probe)).toMatchObject(reached);
    expect(await failure(trusting(`${other}\n${own}`), probe)).toMatchObject(reached);
  });

  test('is not reached with those of the system, or with another', async () => {
    const keys = { id: tls.accessKeyId, key: tls.secretAccessKey };
    for (const error of [
      await failure(open({ task: { endpoint: tls.endpoint }, keys }), probe),
      await failure(trusting(other), probe),
    ]) {
      expect(error).toMatchObject({ reason: 'StorageUnreachable' });
      expect(String(error)).toContain('spec.storage.s3.ca');
    }
  });

  test.each([
    ['ConfigMap', 'ConfigInvalid', undefined, 'key "ca.crt" of ConfigMap "company-ca" is missing or empty'],
    ['Secret', 'SecretInvalid', '\n', 'key "ca.crt" of Secret "company-ca" is missing or empty'],
    ['Secret', 'SecretInvalid', 'no certificate', 'holds no certificate in PEM form'],
  ] as const)('needs what its %s lacks, which is %s', async (kind, reason, text, said) => {
    const error = await failure(trusting(text, kind), probe);
    expect(error).toMatchObject({ reason });
    expect(String(error)).toContain(said);
  });
});

describe('the name of a store', () => {
  const port = () => new URL(s3.endpoint).port;

  test.each([
    ['a name that leads to the pod itself', () => `http://localhost:${port()}`, 'localhost'],
    ['the pod itself', () => `http://127.0.0.1:${port()}`, '127.0.0.1'],
    ['the metadata service', () => 'http://169.254.169.254', '169.254.169.254'],
    ['the pod itself by IPv6', () => `http://[::1]:${port()}`, '::1'],
  ])('is refused at connect when it is %s', async (_what, endpoint, host) => {
    const error = await failure(open({ task: { endpoint: endpoint() }, storeMayBeLocal: false }), probe);
    expect(error).toMatchObject({ reason: 'ConfigInvalid' });
    expect(String(error)).toContain(`connect to the store "${host}"`);
  });
});
