// Whole backups of a real database to real stores: what is stored can be restored with stock tools alone, runs that are repeated do nothing
// twice, and no secret shows anywhere.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Result, Task } from '../../crds/rules/contract.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import { contentOf, type Kind, kinds, Place, restore, startWorld, type World } from '../executor/world.ts';

let world: World;
const places: Place[] = [];

beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => world?.stop());
afterEach(async () => {
  for (const place of places.splice(0)) await place.remove();
});

function placeFor(kind: Kind, over: Partial<Task> = {}): Place {
  const place = new Place(world, kind, over);
  places.push(place);
  return place;
}

function succeeded(result: Result | undefined, output: string) {
  if (result?.run.outcome !== 'Succeeded') throw new Error(`the run failed: ${output}`);
  return result.run;
}

describe.each(kinds)('%s', (kind) => {
  test.each([
    ['zstd', 'age'],
    ['gzip', 'age'],
    ['zstd', 'none'],
    ['none', 'none'],
  ] as const)(
    'a backup with %s and %s restores with stock tools to an equal database',
    async (algorithm, encryption) => {
      const identity = await generateIdentity();
      const recipients = encryption === 'age' ? [await identityToRecipient(identity)] : [];
      const place = placeFor(kind, { compression: { algorithm, level: 3 }, recipients });
      const pod = await place.pod('job-1');
      const { code, result, output } = await pod.run(world.postgres);
      const run = succeeded(result, output);
      expect(code).toBe(0);
      expect(result?.inventory).toMatchObject({ count: 1, deleted: 0, pruneError: '', snapshots: [{ id: run.id }] });
      expect(await place.names()).toEqual([`${run.id}.snap`, `${run.id}.snap.json`]);

      const manifest = await place.manifest(run.id);
      expect(manifest).toMatchObject({
        owner: place.task.owner,
        jobUid: 'job-1',
        plainSize: run.size,
        storedSize: run.storedSize,
        storedSha256: run.sha256,
        compression: algorithm,
        encryption,
      });
      expect(manifest.serverVersion).toMatch(/^\d+\.\d+/);
      expect(manifest.identity).toMatch(/^\d+\/\d+$/);

      const database = `restored_${kind}_${algorithm}_${encryption}`;
      await world.sql(`create database ${database}`, 'postgres');
      await writeFile(join(pod.root, 'identity'), identity);
      await place.download(run.id, pod.root);
      await restore(world, manifest, pod.root, database, join(pod.root, 'identity'));
      expect(await contentOf(world, database)).toBe(await contentOf(world, 'orders'));
    },
  );

  test('an empty database is a whole snapshot', async () => {
    await world.sql(`create database empty_${kind}`, 'postgres');
    const place = placeFor(kind);
    const task = { ...place.task, database: { ...place.task.database, name: `empty_${kind}` } };
    const { result, output } = await (await place.pod('job-1', task)).run(world.postgres);
    expect(succeeded(result, output).size).toBeGreaterThan(0);
  });

  test('attack 12: a second pod of a Job that has committed dumps nothing and tells the same facts', async () => {
    const place = placeFor(kind);
    const first = await (await place.pod('job-1')).run(world.postgres);
    const again = await place.pod('job-1');
    const second = await again.run({ ...world.postgres, password: 'would be refused' });
    expect(second.result?.run).toEqual(succeeded(first.result, first.output));
    expect(second.result?.inventory).toMatchObject({ count: 1 });
    expect(second.code).toBe(0);
    expect(await place.names()).toHaveLength(2);
  });

  test('another Job for the same window is another snapshot', async () => {
    const place = placeFor(kind);
    for (const uid of ['job-1', 'job-2']) await (await place.pod(uid)).run(world.postgres);
    expect(await place.names()).toHaveLength(4);
  });

  test('older snapshots go when a newer one is committed, as many as retention says', async () => {
    const place = placeFor(kind, { retention: { keepLast: 2, maxDeletesPerRun: 10 } });
    const ids: string[] = [];
    for (const day of ['01', '02', '03', '04']) {
      const pod = await place.pod(`job-${day}`, { time: `2026-03-${day}T01:00:00Z` });
      const { result, output } = await pod.run(world.postgres);
      ids.push(succeeded(result, output).id);
      expect(result?.inventory).toMatchObject({ count: Math.min(2, ids.length), deleted: ids.length > 2 ? 1 : 0 });
    }
    expect(await place.names()).toEqual(ids.slice(-2).flatMap((id) => [`${id}.snap`, `${id}.snap.json`]));
  });

  test('no secret shows in a log, a message or the manifest, of a good run and of failing ones', async () => {
    const place = placeFor(kind);
    const canaries = [
      world.postgres.password,
      world.s3.secretAccessKey,
      'canary-storage-key',
      'canary-database-password',
    ];
    const good = await (await place.pod('job-1')).run(world.postgres);
    const id = succeeded(good.result, good.output).id;
    const noLogin = await (await place.pod('job-2')).run({ ...world.postgres, password: 'canary-database-password' });
    expect(noLogin.result?.run).toMatchObject({ outcome: 'Failed', reason: 'DatabaseAuthFailed' });
    expect(noLogin.code).toBe(reasons.DatabaseAuthFailed.exitCode);
    const outputs = [good.output, noLogin.output, JSON.stringify(await place.manifest(id))];
    if (kind === 's3') {
      const refused = await place.pod('job-3', {}, { ...place.keys, key: 'canary-storage-key' });
      outputs.push((await refused.run(world.postgres)).output);
    }
    for (const canary of canaries) expect(outputs.join('\n')).not.toContain(canary);
  });
});

test('attack 18: the dump container sees no storage Secret and the executor no database Secret', async () => {
  const place = placeFor('s3');
  const pod = await place.pod('job-1');
  const prepare = pod.prepare();
  expect(await prepare.ended).toBe(0);
  const executor = pod.backup();
  const dump = await pod.dump(world.postgres);
  for (const [{ child }, own] of [
    [executor, 'DBBACKUP_TASK='],
    [dump, 'DBBACKUP_SECRET='],
  ] as const) {
    const environment = await readFile(`/proc/${child.pid}/environ`, 'utf8');
    expect(environment).toContain(own);
    expect(environment).not.toContain(world.postgres.password);
    expect(environment).not.toContain(world.s3.secretAccessKey);
  }
  await Promise.all([dump.ended, executor.ended]);
  expect((await pod.conclude(executor)).code).toBe(0);
});
