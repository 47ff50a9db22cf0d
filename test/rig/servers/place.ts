// Where a server of the rig lives: a directory and a port nobody else has, and a way to wait until it answers.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { alive } from '../alive.ts';
import type { Child } from './child.ts';

const START_MS = 60_000;

/** A new directory whose name says which process it belongs to. Those that killed processes left behind are removed. */
export async function newPlace(kind: string): Promise<string> {
  const prefix = `dbbackup-${kind}-`;
  for (const entry of await readdir(tmpdir())) {
    const pid = entry.startsWith(prefix) ? Number(entry.slice(prefix.length).split('-')[0]) : 0;
    if (pid > 0 && !alive(pid)) await removePlace(join(tmpdir(), entry));
  }
  return mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
}

export function removePlace(directory: string): Promise<void> {
  return rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** A port of 127.0.0.1 that was free a moment ago; who loses the race for it asks again. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().on('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null
          ? done(address.port)
          : fail(new Error('find a free port: none')),
      );
    });
  });
}

/** Waits until the server answers, and stops it when it ends or stays silent, with its last words in the error. */
export async function untilReady(
  what: string,
  child: Child,
  ready: () => Promise<boolean>,
  limitMs = START_MS,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (child.running() && performance.now() < deadline) {
    if (await ready()) return;
    await pause(50);
  }
  const how = child.running() ? `not ready after ${limitMs / 1000} s` : 'it ended';
  await child.stop('SIGKILL');
  throw new Error(`start ${what}: ${how}: ${child.output() || 'it printed nothing'}`);
}

/** A second and a third try, each with a new port, for the rare loss of the race between finding a port and using it. */
export async function withFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let left = 2; ; left -= 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      const taken = error instanceof Error && /address already in use/i.test(error.message);
      if (!taken || left === 0) throw error;
    }
  }
}
