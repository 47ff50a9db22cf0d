// The commands that work on snapshots without a database, as processes against a real S3 server: what they write, how they end, what they leave.
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import type { Order, VerifyOrder } from '../../crds/rules/contract-commands.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import type { Pod } from '../executor/pod.ts';
import { type Done, orderVariable, perform, withIdentity } from '../executor/restore-pod.ts';
import { type S3Proxy, startS3Proxy } from '../executor/s3-proxy.ts';
import { Place, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

const latest: VerifyOrder = { command: 'verify', choice: { latest: true } };
let world: World;
let proxy: S3Proxy;
let place: Place;
let identity: string;
let ids: string[];

beforeAll(async () => {
  world = await startWorld();
  proxy = await startS3Proxy(world.s3.endpoint);
  identity = await generateIdentity();
  place = new Place(world, 's3', { recipients: [await identityToRecipient(identity)] });
  ids = [];
  for (const day of [1, 2, 3]) {
    const pod = await place.pod(`job-${day}`, { time: `2026-03-0${day}T01:00:00Z` });
    const { result, output } = await pod.run(world.postgres);
    if (result?.run.outcome !== 'Succeeded') throw new Error(`the backup failed: ${output}`);
    ids.unshift(result.run.id);
  }
});
afterAll(async () => {
  await place?.remove();
  await proxy?.stop();
  await world?.stop();
});
beforeEach(() => {
  proxy.onRequest = () => 'pass';
  proxy.seen.splice(0);
});

const podWith = (over: Partial<Task> = {}): Promise<Pod> =>
  place.pod('job-x', { ...place.s3Task(proxy.endpoint), retention: { keepLast: 10, maxDeletesPerRun: 10 }, ...over });

const ask = async (order: Order, over?: Partial<Task>): Promise<Done> => perform(await podWith(over), order);

/** Requests that change something in the store. */
const changes = () => proxy.seen.filter(({ method }) => method !== 'GET' && method !== 'HEAD');

test('list writes a line for each snapshot and counts them, and asks the store for nothing but to read', async () => {
  const { code, report, output } = await ask({ command: 'list' });
  expect(code, output).toBe(0);
  expect(report?.run).toMatchObject({
    outcome: 'Succeeded',
    command: 'list',
    own: 3,
    foreign: 0,
    broken: 0,
    orphans: 0,
  });
  expect(report?.inventory).toMatchObject({ count: 3, snapshots: ids.map((id) => ({ id })) });
  const lines = output.split('\n').filter((line) => line.includes('"listed"'));
  expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(ids);
  expect(changes()).toEqual([]);
});

describe('verify', () => {
  test('opens the newest to its end, and asks the store for nothing but to read', async () => {
    const { code, report, output } = await perform(...(await sealed(latest)));
    expect(report?.run, output).toMatchObject({ outcome: 'Succeeded', id: ids[0], opened: true });
    expect(code).toBe(0);
    expect(changes()).toEqual([]);
    expect(output).not.toContain(identity);
  });

  test('finds what turned on the way, with and without the identity', async () => {
    proxy.onRequest = ({ path, method }) => (method === 'GET' && /\.snap(\?|$)/.test(path) ? 'flip-answer' : 'pass');
    for (const { code, report, output } of [await ask(latest), await perform(...(await sealed(latest)))]) {
      expect(report?.run, output).toMatchObject({ outcome: 'Failed', reason: 'DigestMismatch' });
      expect(code).toBe(reasons.DigestMismatch.exitCode);
    }
  });

  test('told to stop while the store does not answer, it ends and says why', async () => {
    proxy.onRequest = ({ path, method }) => (method === 'GET' && /\.snap(\?|$)/.test(path) ? 'hang' : 'pass');
    const pod = await podWith();
    const verifying = pod.executor('verify', orderVariable(latest));
    await waitFor('the object to be read', async () => proxy.seen.some(({ path }) => /\.snap(\?|$)/.test(path)));
    verifying.kill('SIGTERM');
    const { code, result } = await pod.conclude(verifying);
    expect(result?.run).toMatchObject({ outcome: 'Failed', reason: 'Canceled' });
    expect(code).toBe(reasons.Canceled.exitCode);
  });

  async function sealed(order: VerifyOrder): Promise<[Pod, VerifyOrder]> {
    const pod = await podWith();
    return [pod, await withIdentity(pod, order, identity)];
  }
});

test('an order that is missing or for another command is refused before anything is asked', async () => {
  const pod = await podWith();
  for (const env of [{}, orderVariable({ command: 'list' })]) {
    const { code, result, output } = await pod.conclude(pod.executor('prune', env));
    expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'ConfigInvalid' });
    expect(code).toBe(reasons.ConfigInvalid.exitCode);
  }
  expect(proxy.seen).toEqual([]);
});

test('a store that refuses the login is told as such, without the key', async () => {
  const pod = await place.pod('job-y', {}, { ...place.keys, key: 'canary-storage-key' });
  const { code, report, output } = await perform(pod, { command: 'list' });
  expect(report?.run, output).toMatchObject({ outcome: 'Failed', reason: 'StorageAuthFailed' });
  expect(code).toBe(reasons.StorageAuthFailed.exitCode);
  expect(output).not.toContain('canary-storage-key');
});

test('prune deletes by the rules and counts, and nothing where the listing is stale or the clocks are apart', async () => {
  const retention = { keepLast: 2, maxDeletesPerRun: 10 };
  const stale = await ask({ command: 'prune', newest: '20260309T010000Z-1a2b3c4d' }, { retention });
  expect(stale.report?.run, stale.output).toMatchObject({ outcome: 'Failed', reason: 'SnapshotNotFound' });
  expect(stale.report?.inventory).toMatchObject({ count: 3, deleted: 0 });
  proxy.clockOffset = -8 * 60_000;
  const skewed = await ask({ command: 'prune', newest: ids[0] ?? '' }, { retention });
  expect(skewed.report?.run, skewed.output).toMatchObject({ outcome: 'Failed', reason: 'ConfigInvalid' });
  proxy.clockOffset = 0;
  expect(await place.names()).toHaveLength(6);

  const done = await ask({ command: 'prune', newest: ids[0] ?? '' }, { retention });
  expect(done.report, done.output).toMatchObject({
    run: { outcome: 'Succeeded', command: 'prune' },
    inventory: { count: 2, deleted: 1, snapshots: [{ id: ids[0] }, { id: ids[1] }] },
  });
  expect(done.code).toBe(0);
  expect(await place.names()).toHaveLength(4);
});
