// The FIFO against writers of every kind: late, slow, silent, killed, and none at all.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunError } from '../../executor/errors.ts';
import { type FifoOptions, readFifo } from '../../executor/fifo.ts';
import { run } from '../rig/command.ts';

let folder = '';
let path = '';
let ended = false;
const children: ReturnType<typeof spawn>[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-fifo-'));
  path = join(folder, 'dump.fifo');
  ended = false;
  await run(['mkfifo', path]);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

/** A shell whose FIFO is $1. */
function shell(script: string): Promise<void> {
  const child = spawn('sh', ['-c', script, 'sh', path], { stdio: 'ignore' });
  children.push(child);
  return new Promise((done) => child.on('exit', () => done()));
}

async function read(over: Partial<FifoOptions> = {}, pauseMilliseconds = 0): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const options: FifoOptions = {
    path,
    firstByteMilliseconds: 10_000,
    stallMilliseconds: 10_000,
    signal: new AbortController().signal,
    ended: async () => ended,
    ...over,
  };
  for await (const chunk of readFifo(options)) {
    chunks.push(chunk);
    if (pauseMilliseconds > 0) await pause(pauseMilliseconds);
  }
  return Buffer.concat(chunks);
}

test('a dump that never opens the FIFO ends at the first-byte limit', async () => {
  await expect(read({ firstByteMilliseconds: 300 })).rejects.toMatchObject({ reason: 'DumpStalled' });
});

test('a writer that holds the FIFO and says nothing ends at the first-byte limit', async () => {
  void shell('exec 3> "$1"; sleep 60');
  await expect(read({ firstByteMilliseconds: 500 })).rejects.toMatchObject({ reason: 'DumpStalled' });
});

test('a writer that comes late is waited for', async () => {
  void shell('sleep 0.5; printf late > "$1"');
  expect((await read()).toString()).toBe('late');
});

test('a writer that opens and closes without a byte is not the end of the stream', async () => {
  void shell(': > "$1"; sleep 0.4; printf second > "$1"');
  expect((await read()).toString()).toBe('second');
});

test('nothing is read of a dump that ended without a byte', async () => {
  await shell('exit 0');
  ended = true;
  expect((await read()).length).toBe(0);
});

test('what was written before the dump ended is read although its end was seen first', async () => {
  const reading = read();
  await shell('printf quick > "$1"');
  ended = true;
  expect((await reading).toString()).toBe('quick');
});

test('a slow writer is read to its end', async () => {
  void shell('exec 3> "$1"; for n in 1 2 3 4 5; do printf $n >&3; sleep 0.2; done');
  expect((await read({ stallMilliseconds: 2000 })).toString()).toBe('12345');
});

test('a writer that stops sending ends at the stall limit', async () => {
  void shell('exec 3> "$1"; printf some >&3; sleep 60');
  await expect(read({ stallMilliseconds: 400 })).rejects.toMatchObject({ reason: 'DumpStalled' });
});

test('time that the reader takes is not held against the writer', async () => {
  void shell('exec 3> "$1"; dd if=/dev/zero bs=64k count=48 >&3 2> /dev/null');
  expect((await read({ stallMilliseconds: 1000 }, 1500)).length).toBe(48 * 65_536);
});

test('a killed writer ends the stream, which is then not known to be whole', async () => {
  void shell('exec 3> "$1"; printf half >&3; sleep 0.3; kill -9 $$');
  expect((await read()).toString()).toBe('half');
});

test('calling the run off ends a reader that waits, before and after the first byte', async () => {
  const done = `${path}.done`;
  for (const script of ['', 'exec 3> "$1"; printf some >&3; ']) {
    void shell(`${script}touch "$1.done"; sleep 60`);
    const callOff = new AbortController();
    const reading = read({
      signal: callOff.signal,
      // Asked before each look for the first byte, so that the look comes after the byte; and the end of the run after the look.
      ended: async () => {
        while (!existsSync(done)) await pause(10);
        setImmediate(() => callOff.abort(new RunError('Canceled', 'stop')));
        return false;
      },
    });
    await expect(reading).rejects.toMatchObject({ reason: 'Canceled' });
    await rm(done);
  }
});

test('64 MiB pass unchanged', async () => {
  const source = join(folder, 'source');
  await writeFile(source, Buffer.alloc(64 * 1_048_576, 'some text that repeats, '));
  await chmod(path, 0o660);
  void shell(`cat ${source} > "$1"`);
  expect((await read()).equals(await readFile(source))).toBe(true);
});
