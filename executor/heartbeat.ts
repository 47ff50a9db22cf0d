// A number that grows while the executor lives. The dump ends itself when it stands still.
import { closeSync, openSync, writeSync } from 'node:fs';
import { runFile } from './exchange.ts';

const beatMilliseconds = 5000;

/** Starts beating and gives the way to stop. */
export function startHeartbeat(folder: string): () => void {
  const file = openSync(runFile(folder, 'heartbeat'), 'w', 0o644);
  let beat = 0;
  // Each number is at least as long as the one it is written over, so no half of one is ever read.
  const write = () => {
    beat += 1;
    writeSync(file, String(beat), 0);
  };
  write();
  const timer = setInterval(write, beatMilliseconds);
  timer.unref();
  return () => {
    clearInterval(timer);
    closeSync(file);
  };
}
