// Programs of a rig: recorded before they begin, never mistaken for another.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  childrenOf,
  isAlive,
  killAll,
  logTail,
  parseRecord,
  recordedPrograms,
  startProgram,
} from './cluster/processes.ts';
import { withLock } from './lock.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-processes-'));
});
afterEach(async () => {
  await killAll(await recordedPrograms(directory));
  await rm(directory, { recursive: true, force: true });
});

it('records a program with the pid and start time it runs with', async () => {
  const started = await startProgram(directory, 'sleeper', ['sleep', '60']);
  expect(await isAlive(started)).toBe(true);
  expect(await recordedPrograms(directory)).toEqual([started]);
});

it('kills what it started, and takes an ended program for what it is', async () => {
  const started = await startProgram(directory, 'sleeper', ['sleep', '60']);
  await killAll([started]);
  expect(await isAlive(started)).toBe(false);
  await killAll([started]);
});

it('does not kill a process that was given the pid of an ended one', async () => {
  const stranger = spawn('sleep', ['60']);
  try {
    await killAll([{ program: 'ended', pid: stranger.pid ?? 0, startTime: '1 of an earlier boot' }]);
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
  } finally {
    stranger.kill('SIGKILL');
  }
});

it('keeps the last lines of a program that ends at once', async () => {
  const started = await startProgram(directory, 'broken', ['sh', '-c', 'echo "bad flag" >&2; exit 3']);
  await expect.poll(() => isAlive(started)).toBe(false);
  expect(await logTail(directory, 'broken')).toBe('  broken: bad flag');
});

it('finds the children of a program', async () => {
  const parent = await startProgram(directory, 'parent', ['sh', '-c', 'sleep 60; true']);
  await expect.poll(async () => (await childrenOf(parent)).length).toBe(1);
  await killAll(await childrenOf(parent));
});

it('reads a process whose name holds brackets and spaces', () => {
  const fields = Array.from({ length: 30 }, (_, index) => index + 3);
  const found = parseRecord('x', `42 (a) b (c) S 7 ${fields.join(' ')}\nboot\n`);
  expect(found).toMatchObject({ pid: 42, state: 'S', parent: 7, startTime: '20 of boot' });
});

it('passes over a record that a crash cut short', async () => {
  await startProgram(directory, 'sleeper', ['sleep', '60']);
  await writeFile(path.join(directory, 'pids', 'cut'), '12 (sle');
  expect((await recordedPrograms(directory)).map((one) => one.program)).toEqual(['sleeper']);
});

it('lets one holder of a lock work at a time', async () => {
  const lock = path.join(directory, 'lock');
  const events: string[] = [];
  const work = (name: string) =>
    withLock(
      lock,
      name,
      () => {},
      async () => {
        events.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 100));
        events.push(`${name} ends`);
      },
    );
  await Promise.all([work('a'), work('b')]);
  const [first, second] = events[0] === 'a begins' ? ['a', 'b'] : ['b', 'a'];
  expect(events).toEqual([`${first} begins`, `${first} ends`, `${second} begins`, `${second} ends`]);
});

it('frees a lock whose holder was killed', async () => {
  const lock = path.join(directory, 'lock');
  const code = `import { withLock } from ${JSON.stringify(path.join(import.meta.dirname, 'lock.ts'))};
await withLock(${JSON.stringify(lock)}, 'x', () => {}, async () => { console.log('held'); await new Promise((r) => setTimeout(r, 60000)); });`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  holder.kill('SIGKILL');
  expect(
    await withLock(
      lock,
      'x',
      () => {},
      async () => 'mine',
    ),
  ).toBe('mine');
});
