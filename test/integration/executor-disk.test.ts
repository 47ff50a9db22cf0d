// A volume that is full, or that does not take writes: the run fails with that reason, and what was there before is untouched.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { paths, type Task } from '../../crds/rules/contract.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import type { Pod } from '../executor/pod.ts';
import { Place, startWorld, type World } from '../executor/world.ts';
import { run } from '../rig/command.ts';

let world: World;
let place: Place;
let first: Pod;
let volume = '';

beforeAll(async () => {
  world = await startWorld();
  place = new Place(world, 'directory', { compression: { algorithm: 'none', level: 0 } });
  first = await place.pod('job-1', on(1));
  volume = first.path(paths.volume);
  await run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', volume]);
  await mkdir(join(volume, 'dumps'));
});
afterAll(async () => {
  if (volume !== '') await run(['umount', volume]);
  await place?.remove();
  await world?.stop();
});

const on = (day: number): Partial<Task> => ({ time: `2026-03-0${day}T01:00:00Z` });
let before: string[] = [];

beforeEach(async () => {
  if (before.length > 0) return;
  expect((await first.run(world.postgres)).code).toBe(0);
  before = await place.names();
});

test('F38 a disk that fills up half way', async () => {
  await writeFile(join(volume, 'ballast'), Buffer.alloc(21 * 1_048_576));
  const { code, result, output } = await (await place.pod('job-2', on(2))).run(world.postgres);
  expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'StorageFull' });
  expect(code).toBe(reasons.StorageFull.exitCode);
  expect(await place.names()).toEqual(before);
  expect(await place.pending()).toBe(0);
});

test('F38 a volume mounted for reading only', async () => {
  await run(['mount', '-o', 'remount,ro', volume]);
  const { code, result, output } = await (await place.pod('job-3', on(3))).run(world.postgres);
  await run(['mount', '-o', 'remount,rw', volume]);
  expect(result?.run, output).toMatchObject({ outcome: 'Failed', reason: 'StorageDenied' });
  expect(code).toBe(reasons.StorageDenied.exitCode);
  expect(await place.names()).toEqual(before);
});

test('F38 a disk that fails when it is told to keep what was written', async () => {
  await rm(join(volume, 'ballast'), { force: true });
  const pod = await place.pod('job-4', on(4));
  const file = join(pod.root, 'break.mjs');
  // The one error of a disk that many programs have taken for success.
  const text = `
import { open } from 'node:fs/promises';
const handle = await open('/dev/null');
Object.getPrototypeOf(handle).sync = async () => {
  throw Object.assign(new Error('broken by the test'), { code: 'EIO' });
};
await handle.close();
`;
  await writeFile(file, text);
  expect(await pod.prepare().ended).toBe(0);
  const dump = await pod.dump(world.postgres);
  const ended = await pod.conclude(pod.backup({ NODE_OPTIONS: `--import=${file}` }));
  await dump.ended;
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Failed', reason: 'UploadFailed' });
  expect(ended.result?.run.outcome === 'Failed' && ended.result.run.message).toMatch(/on claim "backups": EIO/);
  expect(await place.names()).toEqual(before);
  expect(await place.pending()).toBe(0);
});
