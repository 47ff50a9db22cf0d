// Whole restores into a real database: what was backed up comes back equal, and a target that is not meant is left alone.
import { readFile } from 'node:fs/promises';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import { into, restoreInto, restoreLatest, startRestore, withIdentity } from '../executor/restore-pod.ts';
import { contentOf, type Kind, kinds, Place, startWorld, type World } from '../executor/world.ts';

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

async function backup(place: Place, day: number, over: Partial<Task> = {}): Promise<string> {
  const time = `2026-03-0${day}T01:00:00Z`;
  const { result, output } = await (await place.pod(`job-${day}`, { time, ...over })).run(world.postgres);
  if (result?.run.outcome !== 'Succeeded') throw new Error(`the backup failed: ${output}`);
  return result.run.id;
}

let databases = 0;
async function emptyDatabase(): Promise<string> {
  databases += 1;
  await world.sql(`create database target_${databases}`, 'postgres');
  return `target_${databases}`;
}

describe.each(kinds)('%s', (kind) => {
  test.each([
    ['zstd', 'age'],
    ['gzip', 'age'],
    ['none', 'none'],
  ] as const)('a backup with %s and %s comes back as an equal database', async (algorithm, encryption) => {
    const identity = await generateIdentity();
    const recipients = encryption === 'age' ? [await identityToRecipient(identity)] : [];
    const place = placeFor(kind, { compression: { algorithm, level: 3 }, recipients });
    const id = await backup(place, 1);
    const target = await emptyDatabase();
    const { code, report, output } = await restoreInto(place, target, restoreLatest, { identity });
    expect(report?.run, output).toMatchObject({ outcome: 'Succeeded', command: 'restore', id });
    expect(code).toBe(0);
    expect(await contentOf(world, target)).toBe(await contentOf(world, 'orders'));
  });

  test('a database that holds something is left alone: skipped by default, a failure on demand', async () => {
    const place = placeFor(kind);
    await backup(place, 1);
    const target = await emptyDatabase();
    await world.sql('create table living (id int)', target);
    const before = await contentOf(world, target);
    const skipped = await restoreInto(place, target);
    expect(skipped.report?.run, skipped.output).toMatchObject({ outcome: 'Skipped', why: 'TargetNotEmpty' });
    expect(skipped.code).toBe(0);
    const failed = await restoreInto(place, target, { ...restoreLatest, ifNotEmpty: 'Fail' });
    expect(failed.report?.run, failed.output).toMatchObject({ outcome: 'Failed', reason: 'TargetNotEmpty' });
    expect(failed.code).toBe(reasons.TargetNotEmpty.exitCode);
    expect(await contentOf(world, target)).toBe(before);
  });
});

describe('which snapshot', () => {
  test('latest passes over what was dumped of the target while it was empty, and asOf goes by the dump', async () => {
    const place = placeFor('s3');
    const good = await backup(place, 1);
    const target = await emptyDatabase();
    const poison = await backup(place, 2, { database: { ...place.task.database, name: target } });
    const { report, output } = await restoreInto(place, target);
    expect(report?.run, output).toMatchObject({ outcome: 'Succeeded', id: good });
    expect(await contentOf(world, target)).toBe(await contentOf(world, 'orders'));

    // Both were dumped before now; for another empty database each may be the one.
    const other = await emptyDatabase();
    const ambiguous = await restoreInto(place, other);
    expect(ambiguous.report?.run, ambiguous.output).toMatchObject({ outcome: 'Failed', reason: 'SnapshotAmbiguous' });
    expect(ambiguous.report?.run).toMatchObject({ message: expect.stringContaining(poison) });
    const named = await restoreInto(place, other, { ...restoreLatest, choice: { snapshot: good } });
    expect(named.report?.run, named.output).toMatchObject({ outcome: 'Succeeded', id: good });
    const early = await restoreInto(place, await emptyDatabase(), {
      ...restoreLatest,
      choice: { asOf: '2020-01-01T00:00:00Z' },
    });
    expect(early.report?.run, early.output).toMatchObject({ outcome: 'Failed', reason: 'SnapshotNotFound' });
  });

  test('with none there, it is skipped only when that is asked for', async () => {
    const place = placeFor('directory');
    const target = await emptyDatabase();
    const failed = await restoreInto(place, target);
    expect(failed.report?.run, failed.output).toMatchObject({ outcome: 'Failed', reason: 'SnapshotNotFound' });
    expect(failed.code).toBe(reasons.SnapshotNotFound.exitCode);
    const skipped = await restoreInto(place, target, { ...restoreLatest, ifNoSnapshot: 'Skip' });
    expect(skipped.report?.run, skipped.output).toMatchObject({ outcome: 'Skipped', why: 'NoSnapshot' });
    expect(skipped.code).toBe(0);
    const unnamed = {
      ...restoreLatest,
      ifNoSnapshot: 'Skip',
      choice: { snapshot: '20260301T010000Z-1a2b3c4d' },
    } as const;
    const missing = await restoreInto(place, target, unnamed);
    expect(missing.report?.run, missing.output).toMatchObject({ outcome: 'Failed', reason: 'SnapshotNotFound' });
  });
});

describe('overwrite', () => {
  test('takes a named snapshot and a time that has not passed, and then replaces what is there', async () => {
    const place = placeFor('s3');
    const id = await backup(place, 1);
    const target = await emptyDatabase();
    await world.sql('create table old (id int); select lo_from_bytea(0, decode($$00$$, $$hex$$))', target);
    const overwrite = { ...restoreLatest, ifNotEmpty: 'Overwrite', choice: { snapshot: id } } as const;

    const unbounded = await restoreInto(place, target, overwrite);
    expect(unbounded.report?.run, unbounded.output).toMatchObject({ outcome: 'Failed', reason: 'ConfigInvalid' });
    const latest = await restoreInto(place, target, {
      ...restoreLatest,
      ifNotEmpty: 'Overwrite',
      notAfter: '2099-01-01T00:00:00Z',
    });
    expect(latest.report?.run, latest.output).toMatchObject({ outcome: 'Failed', reason: 'ConfigInvalid' });
    // A manifest left in Git must not overwrite a living database when its namespace is made anew.
    const late = await restoreInto(place, target, { ...overwrite, notAfter: '2026-01-01T00:00:00Z' });
    expect(late.report?.run, late.output).toMatchObject({ outcome: 'Skipped', why: 'Expired' });
    expect(await world.sql("select count(*) from pg_tables where tablename = 'old'", target)).toBe('1\n');

    const done = await restoreInto(place, target, { ...overwrite, notAfter: '2099-01-01T00:00:00Z' });
    expect(done.report?.run, done.output).toMatchObject({ outcome: 'Succeeded', id });
    expect(await contentOf(world, target)).toBe(await contentOf(world, 'orders'));
  });

  test('drops nothing for a snapshot that the identity does not open, and names whose would', async () => {
    const recipient = await identityToRecipient(await generateIdentity());
    const place = placeFor('directory', { recipients: [recipient] });
    const choice = { snapshot: await backup(place, 1) };
    const target = await emptyDatabase();
    await world.sql('create table living (id int); insert into living values (7)', target);
    const before = await contentOf(world, target);
    const order = { ...restoreLatest, ifNotEmpty: 'Overwrite', choice, notAfter: '2099-01-01T00:00:00Z' } as const;
    for (const verifyFirst of [true, false]) {
      const { report, output } = await restoreInto(...[place, target, { ...order, verifyFirst }], {
        identity: await generateIdentity(),
      });
      expect(report?.run, output).toMatchObject({
        ...{ outcome: 'Failed', reason: 'DecryptFailed' },
        message: expect.stringContaining(`not one of its recipients: ${recipient}`),
      });
      expect(await contentOf(world, target)).toBe(before);
    }
  });
});

test('no secret shows in a log, a message, an argument or a variable, of a good restore and of failing ones', async () => {
  const [identity, stranger] = [await generateIdentity(), await generateIdentity()];
  const place = placeFor('s3', { recipients: [await identityToRecipient(identity)] });
  await backup(place, 1);
  const outputs: string[] = [];
  const pod = await place.pod('restore-good', into(place, await emptyDatabase()));
  const order = await withIdentity(pod, restoreLatest, `# created: today\n${identity}\n`);
  const running = await startRestore(pod, world.postgres, order);
  for (const { child } of [running.executor, running.restore])
    for (const what of ['environ', 'cmdline']) outputs.push(await readFile(`/proc/${child.pid}/${what}`, 'utf8'));
  const good = await running.done;
  expect(good.report?.run, good.output).toMatchObject({ outcome: 'Succeeded' });
  outputs.push(good.output);
  const wrong = await restoreInto(place, await emptyDatabase(), restoreLatest, { identity: stranger });
  expect(wrong.report?.run).toMatchObject({ outcome: 'Failed', reason: 'DecryptFailed' });
  outputs.push(wrong.output);
  for (const [broken, reason] of [
    [`${identity.slice(0, 40)}-canary`, 'SecretInvalid'],
    [identity.toLowerCase(), 'SecretInvalid'],
    ['', 'SecretInvalid'],
    [`${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`, 'DecryptFailed'],
  ] as const) {
    const { report, output } = await restoreInto(place, await emptyDatabase(), restoreLatest, { identity: broken });
    expect(report?.run, output).toMatchObject({ outcome: 'Failed', reason });
    if (broken !== '') expect(output).not.toContain(broken);
    outputs.push(output);
  }
  const none = await restoreInto(place, await emptyDatabase());
  expect(none.report?.run).toMatchObject({ outcome: 'Failed', reason: 'DecryptFailed' });
  const noLogin = await restoreInto(place, await emptyDatabase(), restoreLatest, {
    identity,
    login: { password: 'canary-database-password' },
  });
  expect(noLogin.report?.run).toMatchObject({ outcome: 'Failed', reason: 'DatabaseAuthFailed' });
  outputs.push(none.output, noLogin.output);
  const canaries = [identity, stranger, world.postgres.password, world.s3.secretAccessKey, 'canary-database-password'];
  for (const canary of canaries) expect(outputs.join('\n')).not.toContain(canary);
});
