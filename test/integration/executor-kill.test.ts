// Runs that are killed or called off at every point that matters: before the commit nothing is a snapshot, after it everything is, and the
// next run clears what was left.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import type { Container, Pod } from '../executor/pod.ts';
import { type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { brokenDump, heldDump } from '../executor/tools.ts';
import { type Kind, kinds, Place, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

let world: World;
let proxy: S3Proxy;
const places: Place[] = [];
const raw: Partial<Task> = {
  compression: { algorithm: 'none', level: 0 },
  retention: { keepLast: 1, maxDeletesPerRun: 10 },
};

beforeAll(async () => {
  world = await startWorld();
  await world.sql(`create table large as
    select n, (select string_agg(md5((n * 100 + m)::text), '') from generate_series(1, 30) m) as text from generate_series(1, 40000) n`);
  proxy = await startS3Proxy(world.s3.endpoint);
});
afterAll(async () => {
  await proxy?.stop();
  await world?.stop();
});
afterEach(async () => {
  proxy.onRequest = () => 'pass';
  proxy.onAnswer = () => {};
  for (const place of places.splice(0)) await place.remove();
});

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

interface Running {
  pod: Pod;
  dump: Container;
  executor: Container;
}

/** A pod whose dump is held half way, with parts of it stored already. */
async function halfWay(place: Place, jobUid: string): Promise<Running> {
  const pod = await place.pod(jobUid);
  expect(await pod.prepare().ended).toBe(0);
  const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 20, ''));
  const dump = await pod.dump(world.postgres, tools);
  const executor = pod.backup();
  await waitFor('the dump to be half way', () => there(join(pod.root, 'half')));
  await waitFor('an upload under way', async () => (await place.pending()) > 0);
  return { pod, dump, executor };
}

function placeFor(kind: Kind): Place {
  const place = new Place(world, kind, raw);
  places.push(place);
  return place;
}

describe.each(kinds)('%s', (kind) => {
  test('F33 an executor killed half way leaves no snapshot and prunes nothing, and the next run takes its upload back', async () => {
    const place = placeFor(kind);
    await (await place.pod('job-1', { time: '2026-03-01T01:00:00Z' })).run(world.postgres);
    const before = await place.names();
    expect(before).toHaveLength(2);

    const { dump, executor } = await halfWay(place, 'job-2');
    executor.kill('SIGKILL');
    await executor.ended;
    dump.kill('SIGKILL');
    expect(await place.names()).toEqual(before);
    expect(await place.pending()).toBe(1);

    const next = await place.pod('job-3', { time: '2026-03-02T01:00:00Z' });
    const { result, output } = await next.run(world.postgres);
    expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
    expect(output).toContain('an unfinished upload was taken back');
    expect(await place.pending()).toBe(0);
    const id = result?.run.outcome === 'Succeeded' ? result.run.id : '';
    expect(await place.names()).toEqual([`${id}.snap`, `${id}.snap.json`]);
  });

  test('F42 an executor told to stop half way ends as canceled and leaves nothing', async () => {
    const place = placeFor(kind);
    const { pod, dump, executor } = await halfWay(place, 'job-1');
    executor.kill('SIGTERM');
    const ended = await pod.conclude(executor);
    expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Failed', reason: 'Canceled' });
    expect(ended.code).toBe(reasons.Canceled.exitCode);
    expect(await place.names()).toEqual([]);
    expect(await place.pending()).toBe(0);
    // The dump sees that the executor has given up and ends by itself.
    expect(await dump.ended).not.toBe(0);
  });

  test('F42 prepare told to stop ends as canceled', async () => {
    const place = placeFor(kind);
    const pod = await place.pod('job-1');
    const prepare = pod.prepare();
    await waitFor('prepare to begin', () => there(join(pod.path('/dbbackup/run'), 'dump.fifo')));
    prepare.kill('SIGTERM');
    const { code, result } = await pod.conclude(prepare);
    // It may have been done already; then it went well.
    expect(code === 0 || code === reasons.Canceled.exitCode).toBe(true);
    expect(result?.run.outcome).not.toBe('Succeeded');
    expect(await place.pending()).toBe(0);
  });
});

describe('S3, at a single request', () => {
  async function start(place: Place, jobUid: string, over: Partial<Task> = {}): Promise<Running> {
    const pod = await place.pod(jobUid, { ...place.s3Task(proxy.endpoint), ...over });
    expect(await pod.prepare().ended).toBe(0);
    const dump = await pod.dump(world.postgres);
    return { pod, dump, executor: pod.backup() };
  }

  const isManifestPut = ({ method, path }: { method: string; path: string }) =>
    method === 'PUT' && path.split('?')[0]?.endsWith('.snap.json') === true;

  test('attack 7: killed between data and manifest: data alone is no snapshot, it is not touched, and the next run succeeds', async () => {
    const place = placeFor('s3');
    let executor: Container | undefined;
    proxy.onRequest = (request) => {
      if (!isManifestPut(request)) return 'pass';
      executor?.kill('SIGKILL');
      return 'reset';
    };
    const running = await start(place, 'job-1');
    executor = running.executor;
    await executor.ended;
    await running.dump.ended;
    const left = await place.names();
    expect(left).toEqual([expect.stringMatching(/\.snap$/)]);

    proxy.onRequest = () => 'pass';
    const { result, output } = await (await place.pod('job-1')).run(world.postgres);
    expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
    expect(result?.inventory).toMatchObject({ count: 1, deleted: 0 });
    // Young data without a manifest may belong to a run that goes on.
    expect(await place.names()).toEqual(expect.arrayContaining(left));
  });

  test('attack 12: killed after the manifest: the next pod of the Job finds the commit and dumps nothing', async () => {
    const place = placeFor('s3');
    let executor: Container | undefined;
    proxy.onAnswer = (request) => {
      if (isManifestPut(request)) executor?.kill('SIGKILL');
    };
    const running = await start(place, 'job-1');
    executor = running.executor;
    await executor.ended;
    await running.dump.ended;
    expect(await place.names()).toHaveLength(2);
    const again = await (await place.pod('job-1')).run({ ...world.postgres, password: 'would be refused' });
    expect(again.result?.run, again.output).toMatchObject({ outcome: 'Succeeded' });
    expect(await place.names()).toHaveLength(2);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'attack 13: %s while it prunes: the run has succeeded and says so',
    async (signal) => {
      const place = placeFor('s3');
      const first = await (await place.pod('job-1', { time: '2026-03-01T01:00:00Z' })).run(world.postgres);
      expect(first.code).toBe(0);
      let executor: Container | undefined;
      proxy.onRequest = ({ method, path }) => {
        if (method !== 'DELETE' || path.includes('uploadId=')) return 'pass';
        executor?.kill(signal);
        return 'hang';
      };
      const running = await start(place, 'job-2', { time: '2026-03-02T01:00:00Z' });
      executor = running.executor;
      const { code, result, output } = await running.pod.conclude(executor);
      if (signal === 'SIGTERM') expect(code).toBe(0);
      expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
      expect(await place.names()).toHaveLength(4);
    },
  );

  test('F42 told to stop while the store does not answer: it still ends, and says why', async () => {
    const place = placeFor('s3');
    let executor: Container | undefined;
    proxy.onRequest = ({ path }) => {
      if (!path.includes('partNumber=')) return 'pass';
      proxy.onRequest = () => 'hang';
      executor?.kill('SIGTERM');
      return 'hang';
    };
    const running = await start(place, 'job-1');
    executor = running.executor;
    const { code, result, output } = await running.pod.conclude(executor);
    expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'Canceled' });
    expect(code).toBe(reasons.Canceled.exitCode);
    expect(await place.names()).toEqual([]);
  });
});

test('attack 15a: a dump whose executor is gone without a word ends by itself', { timeout: 180_000 }, async () => {
  const place = placeFor('directory');
  const pod = await place.pod('job-1');
  expect(await pod.prepare().ended).toBe(0);
  const tools = await brokenDump(pod.root, world.postgres.bin, `: > ${pod.root}/started; exec sleep 1000`);
  const dump = await pod.dump(world.postgres, tools);
  const executor = pod.backup();
  await waitFor('the dump to start', () => there(join(pod.root, 'started')));
  executor.kill('SIGKILL');
  await executor.ended;
  expect(await dump.ended).toBe(reasons.DumpFailed.exitCode);
  expect(dump.output()).toContain('the executor has given up or is gone');
});
