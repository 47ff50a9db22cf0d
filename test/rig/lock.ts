// One holder at a time across processes. The lock is the kernel's, held by a child that lives as long as our end of its
// pipe: when this process dies in any way, the pipe closes, the child ends and the lock is free. Nothing can go stale.
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Log, withProgress } from './progress.ts';

/** Runs `work` while holding the lock file `file`, waiting for another holder as long as it takes. */
export async function withLock<T>(file: string, what: string, log: Log, work: () => Promise<T>): Promise<T> {
  await mkdir(path.dirname(file), { recursive: true });
  const release = await withProgress(`waiting for another process: ${what}`, log, () => acquire(file));
  try {
    return await work();
  } finally {
    release();
  }
}

function acquire(file: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // Its own session, so that Ctrl-C on the terminal does not take the lock from work that is still cleaning up.
      detached: true,
    });
    holder.stdin.on('error', () => {});
    holder.on('error', (error: NodeJS.ErrnoException) => {
      // Without flock (it is not on macOS) two processes may do the same work twice; what they make is renamed into
      // place whole, so that costs time and nothing else.
      if (error.code === 'ENOENT') resolve(() => {});
      else reject(new Error(`take lock "${file}": ${error.message}`));
    });
    holder.on('exit', (code) => reject(new Error(`take lock "${file}": flock ended with exit code ${code}`)));
    holder.stdout.once('data', () => resolve(() => holder.stdin.end()));
  });
}
