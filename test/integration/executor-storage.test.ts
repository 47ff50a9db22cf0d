// The storage conformance suite against a real S3 server and a real disk, and what is special about each.
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { S3Task } from '../../crds/rules/contract.ts';
import { RunError } from '../../executor/errors.ts';
import { openStorage } from '../../executor/storage/open.ts';
import { openS3 } from '../../executor/storage/s3.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { storageConformance } from '../conformance/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { startS3Proxy } from '../executor/s3-proxy.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';

const log = (line: string) => console.error(line);
const bare: BareRun[] = [];
let s3: Versitygw;
let bucket: Storage;
let directory: Storage;

const s3Task = (over: Partial<S3Task> = {}): S3Task => ({
  kind: 's3',
  bucket: 'conformance',
  region: s3.region,
  endpoint: s3.endpoint,
  forcePathStyle: true,
  secret: { name: 's3-credentials', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' },
  ...over,
});

async function newRun(task: Parameters<typeof taskFor>[0], keys: Record<string, string> = {}): Promise<BareRun> {
  const one = await bareRun(taskFor(task, {}));
  bare.push(one);
  for (const [name, value] of Object.entries(keys)) await writeFile(join(one.run.folders.storageSecret, name), value);
  return one;
}

const keys = () => ({ id: s3.accessKeyId, key: `${s3.secretAccessKey}\n` });

beforeAll(async () => {
  s3 = await startVersitygw({ log });
  await s3.createBucket('conformance');
  bucket = await openStorage((await newRun(s3Task(), keys())).run);
  directory = await openStorage((await newRun({ kind: 'directory', claimName: 'backups', subPath: 'a/b' })).run);
});

afterAll(async () => {
  bucket?.close();
  await s3?.stop();
  for (const one of bare) await one.remove();
});

const part = 8 * 1024 * 1024;
storageConformance('S3 (versitygw)', { part, listsPending: true }, () => bucket);
storageConformance('a directory', { part, listsPending: true }, () => directory);

/** More than one part, and then it breaks. */
async function* breaking(): AsyncGenerator<Buffer, void, void> {
  for (let part = 0; part < 3; part++) yield Buffer.alloc(8 * 1024 * 1024, part);
  throw new RunError('DumpFailed', 'the source broke');
}

test('an S3 upload that outlives its abort, since a part was still being written, is aborted again', async () => {
  const proxy = await startS3Proxy(s3.endpoint);
  let aborts = 0;
  proxy.onRequest = ({ method, path }) => {
    if (method !== 'DELETE' || !path.includes('uploadId=')) return 'pass';
    aborts += 1;
    return aborts < 3 ? { status: 204, body: '' } : 'pass';
  };
  const storage = await openStorage((await newRun(s3Task({ endpoint: proxy.endpoint }), keys())).run);
  try {
    const { signal } = new AbortController();
    await expect(storage.put('outlives/a.snap', breaking(), { signal, expectedBytes: 0 })).rejects.toThrow('broke');
    expect(aborts).toBe(3);
    expect(await storage.pending('outlives/')).toEqual([]);
  } finally {
    storage.close();
    await proxy.stop();
  }
});

describe('S3 refuses with the right reason', () => {
  const failure = async (task: Partial<S3Task>, files: Record<string, string>) => {
    const { run } = await newRun(s3Task(task), files);
    const use = async () => {
      const storage = await openS3(run, s3Task(task), 3);
      await storage.probe('postgres/a.snap').finally(() => storage.close());
    };
    return use().catch((error: unknown) => error);
  };

  test('a wrong secret key', async () => {
    expect(await failure({}, { ...keys(), key: 'wrong-canary-key' })).toMatchObject({ reason: 'StorageAuthFailed' });
  });

  test('an unknown access key id, which the message does not repeat', async () => {
    const error = await failure({}, { ...keys(), id: 'AKIACANARY0000000000' });
    expect(error).toMatchObject({ reason: 'StorageAuthFailed' });
    expect(String(error)).not.toContain('AKIACANARY');
  });

  test('a bucket that is not there', async () => {
    const error = await failure({ bucket: 'missing' }, keys());
    expect(error).toMatchObject({ reason: 'StorageDenied' });
    expect(String(error)).toContain('"missing"');
  });

  test('a port where nobody listens', async () => {
    expect(await failure({ endpoint: 'http://127.0.0.1:9' }, keys())).toMatchObject({ reason: 'StorageUnreachable' });
  });

  test('a name that does not resolve', async () => {
    expect(await failure({ endpoint: 'https://s3.invalid' }, keys())).toMatchObject({ reason: 'StorageUnreachable' });
  });

  test.each([
    ['is missing', { id: 'some-access-key' }],
    ['is empty', { id: 'some-access-key', key: '\n' }],
  ])('a key of the Secret that %s, by name', async (_what, files) => {
    const error = await failure({}, files);
    expect(error).toMatchObject({ reason: 'SecretInvalid' });
    expect(String(error)).toContain('Secret "s3-credentials": key "key"');
  });

  test('a key of the Secret that is not text', async () => {
    const { run } = await newRun(s3Task(), keys());
    await writeFile(join(run.folders.storageSecret, 'key'), Buffer.from([0xff, 0xfe, 0x00]));
    await expect(openStorage(run)).rejects.toMatchObject({ reason: 'SecretInvalid' });
  });
});

test('the store tells its clock', async () => {
  for await (const _one of bucket.list('postgres/')) break;
  expect(Math.abs(bucket.clockAhead() ?? Number.NaN)).toBeLessThan(300_000);
  expect(directory.clockAhead()).toBeUndefined();
});

describe('a directory', () => {
  test('does not follow a link that leaves the volume', async () => {
    const { run, root } = await newRun({ kind: 'directory', claimName: 'backups', subPath: 'in' });
    await mkdir(join(root, 'outside'));
    await symlink(join(root, 'outside'), join(run.folders.volume, 'in'));
    const storage = await openStorage(run);
    await expect(storage.putSmall('a/b.snap', 'x')).rejects.toMatchObject({ reason: 'ConfigInvalid' });
    await expect(storage.delete('a/b.snap')).rejects.toMatchObject({ reason: 'ConfigInvalid' });
    expect(await readdir(join(root, 'outside'))).toEqual([]);
  });

  test('follows a link that stays inside', async () => {
    const { run } = await newRun({ kind: 'directory', claimName: 'backups', subPath: 'in' });
    await mkdir(join(run.folders.volume, 'real'));
    await symlink('real', join(run.folders.volume, 'in'));
    const storage = await openStorage(run);
    await storage.putSmall('a/b.snap', 'x');
    expect(await readdir(join(run.folders.volume, 'real', 'a'))).toEqual(['b.snap']);
  });

  test.each(['../x', 'a/../../x'])('refuses the sub path %s', async (subPath) => {
    const { run } = await newRun({ kind: 'directory', claimName: 'backups', subPath });
    const storage = await openStorage(run);
    await expect(storage.putSmall('a/b.snap', 'x')).rejects.toMatchObject({ reason: 'ConfigInvalid' });
  });

  test('a file that is a link is not taken for an object', async () => {
    const { run, root } = await newRun({ kind: 'directory', claimName: 'backups' });
    await mkdir(join(run.folders.volume, 'a'));
    await writeFile(join(root, 'secret'), 'text');
    await symlink(join(root, 'secret'), join(run.folders.volume, 'a', 'b.snap'));
    const storage = await openStorage(run);
    expect(await storage.head('a/b.snap')).toBeUndefined();
    expect(await storage.getSmall('a/b.snap', 100)).toBeUndefined();
  });

  test('a volume that is not mounted is told as such', async () => {
    const { run } = await newRun({ kind: 'directory', claimName: 'backups' });
    const elsewhere = { ...run, folders: { ...run.folders, volume: '/no/such/volume' } };
    await expect(openStorage(elsewhere)).rejects.toThrow('claim "backups"');
  });

  test('files are for owner and group only', async () => {
    const { run } = await newRun({ kind: 'directory', claimName: 'backups' });
    await chmod(run.folders.volume, 0o770);
    const storage = await openStorage(run);
    await storage.putSmall('a/b.snap', 'x');
    const { mode } = await import('node:fs').then(({ statSync }) => statSync(join(run.folders.volume, 'a', 'b.snap')));
    expect(mode & 0o777).toBe(0o640);
  });
});
