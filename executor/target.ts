// The restore container as the executor sees it: what it tells of the target, whether it lives, how it ended; and what it is told.
import { setTimeout as pause } from 'node:timers/promises';
import { decodeFacts } from '../crds/rules/contract.ts';
import type { TargetFacts, Verdict } from '../crds/rules/contract-commands.ts';
import { RunError } from './errors.ts';
import { type DumpExit, readExit, readIfThere, runFile, waitForExit, writeRunFile } from './exchange.ts';
import type { Run } from './run.ts';

const pollMilliseconds = 200;
/** For what is over in a moment as a rule. */
const soonMilliseconds = 50;
/** It counts every two seconds; one that stands still for so long is gone. */
const deadMilliseconds = 60_000;

function decodeTarget(text: string): TargetFacts {
  const { serverVersion, toolVersion, identity } = decodeFacts(text);
  const contents = /^contents=\s*(\d{1,15})\s*$/m.exec(text)?.[1];
  if (contents === undefined)
    throw new RunError('RestoreFailed', 'read what the target holds: the restore container told no number');
  return { serverVersion, toolVersion, identity, contents: Number(contents) };
}

/** How it ended, as a failure. */
export function failureOf({ code, reason, error }: DumpExit): RunError {
  const detail = error === '' ? `the restore ended with exit code ${code}` : error;
  return new RunError(reason === 'DumpFailed' ? 'RestoreFailed' : reason, detail);
}

/** Waits until the container has logged in and looked at the target. */
export async function readTarget(run: Run): Promise<TargetFacts> {
  const { firstByteSeconds } = run.task.limits;
  const deadline = performance.now() + firstByteSeconds * 1000;
  for (;;) {
    run.signal.throwIfAborted();
    const exit = await readExit(run.folders.run);
    const facts = await readIfThere(runFile(run.folders.run, 'facts'));
    if (facts !== undefined) return decodeTarget(facts);
    if (exit !== undefined) throw failureOf(exit);
    if (performance.now() > deadline)
      throw new RunError(
        'RestoreFailed',
        `wait for the restore container: it told nothing within ${firstByteSeconds} s`,
      );
    await pause(soonMilliseconds);
  }
}

/** @param details what runFiles.verdict has below the verdict */
export function writeVerdict(run: Run, verdict: Verdict, details: readonly string[] = []): Promise<void> {
  return writeRunFile(run.folders.run, 'verdict', `${[verdict, ...details].join('\n')}\n`);
}

/** Says that every byte was given and is right: only now may the tool see the end. */
export function writeComplete(run: Run): Promise<void> {
  return writeRunFile(run.folders.run, 'complete', '');
}

/** Its end, for which it may take as long as it lives: indexes are made after the last byte. */
export function waitForEnd(run: Run): Promise<DumpExit> {
  return watchForEnd(run, soonMilliseconds);
}

async function watchForEnd(run: Run, everyMilliseconds = pollMilliseconds): Promise<DumpExit> {
  let last: string | undefined;
  let since = performance.now();
  for (;;) {
    const exit = await readExit(run.folders.run);
    if (exit !== undefined) return exit;
    run.signal.throwIfAborted();
    const beat = await readIfThere(runFile(run.folders.run, 'alive'));
    if (beat !== last) [last, since] = [beat, performance.now()];
    if (performance.now() - since > deadMilliseconds)
      throw new RunError('RestoreFailed', 'wait for the restore: its container gives no sign of life; it was killed');
    await pause(everyMilliseconds);
  }
}

/** Its end when nothing reads the FIFO any more. */
export function readEnd(run: Run): Promise<DumpExit> {
  return waitForExit(
    run,
    new RunError('RestoreFailed', 'feed the restore: it ended without an exit code; it was killed'),
  );
}

/** Aborts when the container stands still while it is fed: a tool may take its time over a chunk, its container lives meanwhile. */
export function watchTarget(run: Run, gone: AbortController): () => void {
  const stop = new AbortController();
  const either = AbortSignal.any([run.signal, stop.signal]);
  watchForEnd({ ...run, signal: either }).catch((error: unknown) => {
    if (!either.aborted) gone.abort(error);
  });
  return () => stop.abort(new RunError('Canceled', 'watch no longer'));
}
