// Restores that go wrong at every point that matters: the target is as it was, the end comes in bounded time, and the reason is the right one.
import { access, mkdtemp, open, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { decodeReport, type RestoreOrder } from '../../crds/rules/contract-commands.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import { firstRangeBytes, rangeBytes } from '../../executor/download.ts';
import { into, type Login, type Restoring, restoreLatest, startRestore } from '../executor/restore-pod.ts';
import { type Request, type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { brokenRestore } from '../executor/tools.ts';
import { contentOf, Place, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

let world: World;
let proxy: S3Proxy;
let place: Place;
let id: string;
let target: string;
let empty: string;
let targets = 0;
let scratch: string;
const trusting: RestoreOrder = { ...restoreLatest, verifyFirst: false };
const raw: Partial<Task> = { compression: { algorithm: 'none', level: 0 } };

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dbbackup-restore-'));
  world = await startWorld();
  // Some 38 MB: five ranges.
  await world.sql(`create table large as
    select n, (select string_agg(md5((n * 100 + m)::text), '') from generate_series(1, 30) m) as text from generate_series(1, 40000) n`);
  proxy = await startS3Proxy(world.s3.endpoint);
  place = new Place(world, 's3', raw);
  const { result, output } = await (await place.pod('job-1')).run(world.postgres);
  if (result?.run.outcome !== 'Succeeded') throw new Error(`the backup failed: ${output}`);
  id = result.run.id;
});
afterAll(async () => {
  await place?.remove();
  await rm(scratch, { recursive: true, force: true });
  await proxy?.stop();
  await world?.stop();
});
beforeEach(async () => {
  targets += 1;
  target = `fault_${targets}`;
  await world.sql(`create database ${target}`, 'postgres');
  empty = await contentOf(world, target);
});
afterEach(() => {
  proxy.onRequest = () => 'pass';
});

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

async function start(order: RestoreOrder = trusting, login: Partial<Login> = {}): Promise<Restoring> {
  const pod = await place.pod(`restore-${target}`, { ...place.s3Task(proxy.endpoint), ...into(place, target) });
  return startRestore(pod, { ...world.postgres, ...login }, order);
}

/** Where the third range of the data object begins: the tool has got a part of the dump by then. */
const thirdRange = firstRangeBytes + rangeBytes;

/** A range of the data object; undefined for any other request. */
function rangeOf({ method, path, headers }: Request): number | undefined {
  if (method !== 'GET' || !path.split('?')[0]?.endsWith('.snap')) return undefined;
  return Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? Number.NaN);
}

async function untouched(): Promise<void> {
  // The server ends what its client was in the middle of a moment later.
  await waitFor('the target to be as it was', async () => (await contentOf(world, target)) === empty);
}

async function expectFailure({ done }: Restoring, reason: keyof typeof reasons, message?: RegExp): Promise<string> {
  const { code, report, output } = await done;
  expect(report?.run, output).toMatchObject({ outcome: 'Failed', reason });
  if (message !== undefined) expect(report?.run).toMatchObject({ message: expect.stringMatching(message) });
  expect(code).toBe(reasons[reason].exitCode);
  await untouched();
  return output;
}

describe('what is read', () => {
  test('comes through connections that break in the middle of its ranges', async () => {
    let cuts = 0;
    proxy.onRequest = (request) => {
      if (rangeOf(request) === undefined || cuts >= 4) return 'pass';
      cuts += 1;
      return 'cut';
    };
    const { report, output } = await (await start()).done;
    expect(report?.run, output).toMatchObject({ outcome: 'Succeeded', id });
    expect(cuts).toBe(4);
    expect(await contentOf(world, target)).toBe(await contentOf(world, 'orders'));
  });

  test('ends the restore when a range cannot be had', async () => {
    proxy.onRequest = (request) => ((rangeOf(request) ?? 0) >= thirdRange ? 'cut' : 'pass');
    await expectFailure(await start(), 'StorageUnreachable');
  });

  test('is found out when a bit of it turned on the way, with and without a look before', async () => {
    proxy.onRequest = (request) => (rangeOf(request) === thirdRange ? 'flip-answer' : 'pass');
    const looked = await expectFailure(await start(restoreLatest), 'DigestMismatch', /stored bytes have the digest/);
    expect(looked).not.toContain('the first byte goes to the target');
    // Here the whole dump but its last chunk had reached the tool.
    const trusted = await expectFailure(await start(), 'DigestMismatch');
    expect(trusted).toContain('the first byte goes to the target');
  });

  test('is found out when a bit of it turned in the store, or its end is missing', async () => {
    const key = join(world.s3.directory, 'backups', place.prefix, `${id}.snap`);
    const file = await open(key, 'r+');
    const whole = await file.stat();
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, 20_000_000);
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, 20_000_000);
    await expectFailure(await start(restoreLatest), 'DigestMismatch');
    await file.write(byte, 0, 1, 20_000_000);
    const last = Buffer.alloc(100);
    await file.read(last, 0, 100, whole.size - 100);
    await truncate(key, whole.size - 100);
    await expectFailure(await start(), 'SnapshotNotFound');
    await expectFailure(await start({ ...trusting, choice: { snapshot: id } }), 'DigestMismatch', /its data has/);
    await file.write(last, 0, 100, whole.size - 100);
    await file.close();
  });
});

describe('the tool', () => {
  test.each([
    ['ends with a code', 'dd bs=65536 count=40 > /dev/null 2>&1; echo it broke >&2; exit 3', /exit code 3: it broke/],
    ['is killed', 'dd bs=65536 count=40 > /dev/null 2>&1; kill -9 $$', /exit code 137/],
    ['never reads', 'exit 4', /exit code 4/],
    [
      'ends well before it has read all',
      'dd bs=65536 count=40 > /dev/null 2>&1; exit 0',
      /said that it had ended well/,
    ],
  ])('%s', async (_how, body, message) => {
    const running = await start(trusting, { tools: await brokenRestore(scratch, body) });
    await expectFailure(running, 'RestoreFailed', message);
  });

  test('loses its connection: what it had written is taken back', async () => {
    const rest = Promise.withResolvers<void>();
    const passed = rest.promise.then(() => 'pass' as const);
    proxy.onRequest = (request) => ((rangeOf(request) ?? 0) >= thirdRange ? passed : 'pass');
    const running = await start();
    const copies = `from pg_stat_activity where datname = '${target}' and query like 'COPY%'`;
    await waitFor('rows to be written', async () => (await world.sql(`select count(*) ${copies}`)).trim() !== '0');
    expect((await world.sql(`select pg_terminate_backend(pid) ${copies}`)).trim()).toBe('t');
    rest.resolve();
    await expectFailure(running, 'RestoreFailed', /restore tool ended with exit code/);
  });

  test('and its whole container are killed for memory', { timeout: 240_000 }, async () => {
    proxy.onRequest = (request) => ((rangeOf(request) ?? 0) >= thirdRange ? 'hang' : 'pass');
    const running = await start();
    await waitFor('the restore to begin', async () => running.executor.output().includes('the first byte goes'));
    running.restore.kill('SIGKILL');
    proxy.onRequest = () => 'pass';
    await expectFailure(running, 'RestoreFailed', /it was killed/);
  });
});

describe('a target', () => {
  test('that was emptied and not filled again is told as incomplete', async () => {
    await world.sql('create table old (id int)', target);
    const overwrite = { ifNotEmpty: 'Overwrite', choice: { snapshot: id }, notAfter: '2099-01-01T00:00:00Z' } as const;
    const tools = await brokenRestore(scratch, 'dd bs=65536 count=40 > /dev/null 2>&1; echo it broke >&2; exit 3');
    await expectFailure(await start({ ...trusting, ...overwrite }, { tools }), 'RestoreIncomplete', /it broke/);
  });

  test.each(['Fail', 'Skip'] as const)(
    'that is filled by others while the snapshot is verified is left alone: %s',
    async (ifNotEmpty) => {
      const fill = async () => {
        await world.sql('create table if not exists meanwhile (id int)', target);
        return 'pass' as const;
      };
      proxy.onRequest = (request) => (rangeOf(request) === thirdRange ? fill() : 'pass');
      const { done, restore } = await start({ ...restoreLatest, ifNotEmpty });
      const { code, report, output } = await done;
      const told =
        ifNotEmpty === 'Fail'
          ? { outcome: 'Failed', reason: 'TargetNotEmpty' }
          : { outcome: 'Skipped', why: 'TargetNotEmpty' };
      expect(report?.run, output).toMatchObject({ ...told, message: expect.stringContaining('holds 1 things now') });
      const expected = ifNotEmpty === 'Fail' ? reasons.TargetNotEmpty.exitCode : 0;
      expect([code, await restore.ended]).toEqual([expected, expected]);
      expect(await world.sql("select tablename from pg_tables where schemaname = 'public'", target)).toBe(
        'meanwhile\n',
      );
    },
  );
});

describe('an executor half way', () => {
  async function halfWay(login: Partial<Login> = {}): Promise<Restoring> {
    proxy.onRequest = (request) => ((rangeOf(request) ?? 0) >= thirdRange ? 'hang' : 'pass');
    const running = await start(trusting, login);
    await waitFor('the restore to begin', async () => running.executor.output().includes('the first byte goes'));
    return running;
  }

  test('that is told to stop ends as canceled, and the tool with it', async () => {
    const running = await halfWay();
    running.executor.kill('SIGTERM');
    await expectFailure(running, 'Canceled');
    expect(await running.restore.ended).not.toBe(0);
  });

  test('that is killed takes the tool with it, and what it left says that a restore was under way', {
    timeout: 240_000,
  }, async () => {
    const running = await halfWay();
    running.executor.kill('SIGKILL');
    const { output } = await running.done;
    expect(await running.restore.ended).not.toBe(0);
    expect(output).toContain('the executor has given up or is gone');
    const left = decodeReport(await readFile(running.pod.message, 'utf8'));
    expect(left?.run).toMatchObject({ outcome: 'Failed', reason: 'RestoreFailed' });
    await untouched();
  });

  test('that is killed is never the end of the input to a tool that would take it for the end', {
    timeout: 240_000,
  }, async () => {
    const ended = join(scratch, 'ended');
    const tools = await brokenRestore(scratch, `cat > /dev/null; : > ${ended}`);
    const running = await halfWay({ tools });
    running.executor.kill('SIGKILL');
    await running.done;
    expect(await there(ended)).toBe(false);
  });
});
