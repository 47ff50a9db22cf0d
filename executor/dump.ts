// The dump as a stream that ends only when the dump is whole: it ran to its end, said so with exit code 0, wrote something, and its
// last byte is where the format says. Anything else ends it with an error, so that what reads it stores nothing.
import { engines } from '../crds/rules/engines/table.ts';
import { RunError } from './errors.ts';
import { readExit, runFile, waitForExit } from './exchange.ts';
import { readFifo } from './fifo.ts';
import type { Run } from './run.ts';

/** Runs one check of the dump's content; what it throws says where the dump is not whole. */
async function check(step: () => void | Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    throw new RunError('DumpFailed', error instanceof Error ? error.message : String(error));
  }
}

/** @param firstByteMilliseconds how long from now the dump may take to its first byte */
export async function* readDump(run: Run, firstByteMilliseconds: number): AsyncGenerator<Buffer, void, void> {
  const marker = engines[run.task.engine].endMarker(run.task.database);
  const chunks = readFifo({
    path: runFile(run.folders.run, 'fifo'),
    firstByteMilliseconds,
    stallMilliseconds: run.task.limits.stallSeconds * 1000,
    signal: run.signal,
    ended: async () => (await readExit(run.folders.run)) !== undefined,
  });
  let empty = true;
  for await (const chunk of chunks) {
    empty = false;
    await check(() => marker.push(chunk));
    yield chunk;
  }
  const killed = new RunError('DumpFailed', 'read the dump: it ended without an exit code; it was killed');
  const exit = await waitForExit(run, killed);
  if (exit.code !== 0)
    throw new RunError(exit.reason, exit.error === '' ? `the dump ended with exit code ${exit.code}` : exit.error);
  if (empty) throw new RunError('DumpEmpty', 'read the dump: it ended with exit code 0 and wrote not a byte');
  await check(() => marker.end());
}
