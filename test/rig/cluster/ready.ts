// Waiting for a rig, watching at the same time that what is waited for has not died.
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, logTail, recordedPrograms } from './processes.ts';

/** A slow shared machine takes several times what a quiet one does; nothing here should take this long. */
const LIMIT_MS = 120_000;

/** Asks `test` until it is true. Ends at once, with the last lines of its log, when a program of the rig has ended. */
export async function waitFor(what: string, directory: string, test: () => Promise<boolean>): Promise<void> {
  const started = performance.now();
  let last = '';
  while (performance.now() - started < LIMIT_MS) {
    try {
      if (await test()) return;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    for (const program of await recordedPrograms(directory)) {
      if (await isAlive(program)) continue;
      throw new Error(`wait for ${what}: ${program.program} has ended\n${await logTail(directory, program.program)}`);
    }
    await sleep(100);
  }
  const tails = (await recordedPrograms(directory)).map((program) => logTail(directory, program.program));
  throw new Error(
    `wait for ${what}: not within ${LIMIT_MS / 1000} s; ${last}\n${(await Promise.all(tails)).join('\n')}`,
  );
}
