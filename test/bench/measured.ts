// One run of a side of the backup and restore benches: how long it took and what it used.
import { spawn } from 'node:child_process';
import type { Stage } from './dump-stage.ts';
import { type Usage, watchUsage } from './usage.ts';

/** The database's tools are the same on both sides: their use is not counted. */
const leftOut = ['pg_dump', 'pg_restore', 'psql', 'sh', 'unshare'];

export interface Measured extends Usage {
  seconds: number;
}

export async function timed(pids: () => number[], work: () => Promise<void>): Promise<Measured> {
  const started = performance.now();
  const working = work();
  const usage = watchUsage(pids(), leftOut);
  await working;
  const seconds = (performance.now() - started) / 1000;
  return { seconds, ...(await usage.stop()) };
}

export function shell(stage: Stage, script: string): Promise<Measured> {
  const child = spawn('bash', ['-c', `set -eo pipefail; ${script}`], {
    env: stage.env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise<void>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => (code === 0 ? done() : fail(new Error(`${script}: ended with ${code}`))));
  });
  return timed(
    () => [child.pid ?? 0],
    () => ended,
  );
}

export const side = (runs: readonly Measured[], value: (run: Measured) => number) => ({
  values: runs.map(value),
  memoryMiB: Math.max(...runs.map(({ memoryMiB }) => memoryMiB)),
});
