// The restore container as the executor sees it: what it tells of the target, whether it lives, how it ended; and what it is told.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { decodeFacts } from '../crds/rules/contract.ts';
import type { TargetFacts, Verdict } from '../crds/rules/contract-commands.ts';
import { codeOf, RunError } from './errors.ts';
import { type DumpExit, readExit, runFile } from './exchange.ts';
import type { Run } from './run.ts';

const pollMilliseconds = 200;
/** It counts every two seconds; one that stands still for so long is gone. */
const deadMilliseconds = 60_000;
/** A container that was killed writes no exit file: that is waited for this long after its end of the FIFO has gone. */
const exitMilliseconds = 15_000;

async function read(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

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
    const facts = await read(runFile(run.folders.run, 'facts'));
    if (facts !== undefined) return decodeTarget(facts);
    if (exit !== undefined) throw failureOf(exit);
    if (performance.now() > deadline)
      throw new RunError(
        'RestoreFailed',
        `wait for the restore container: it told nothing within ${firstByteSeconds} s`,
      );
    await pause(pollMilliseconds);
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.part`, text);
  await rename(`${path}.part`, path);
}

export function writeVerdict(run: Run, verdict: Verdict): Promise<void> {
  return writeWhole(runFile(run.folders.run, 'verdict'), `${verdict}\n`);
}

/** Says that every byte was given and is right: only now may the tool see the end. */
export function writeComplete(run: Run): Promise<void> {
  return writeWhole(runFile(run.folders.run, 'complete'), '');
}

/** Its end, for which it may take as long as it lives: indexes are made after the last byte. */
export async function waitForEnd(run: Run): Promise<DumpExit> {
  let last: string | undefined;
  let since = performance.now();
  for (;;) {
    const exit = await readExit(run.folders.run);
    if (exit !== undefined) return exit;
    run.signal.throwIfAborted();
    const beat = await read(runFile(run.folders.run, 'alive'));
    if (beat !== last) [last, since] = [beat, performance.now()];
    if (performance.now() - since > deadMilliseconds)
      throw new RunError('RestoreFailed', 'wait for the restore: its container gives no sign of life; it was killed');
    await pause(pollMilliseconds);
  }
}

/** Its end when nothing reads the FIFO any more. */
export async function readEnd(run: Run): Promise<DumpExit> {
  const deadline = performance.now() + exitMilliseconds;
  for (;;) {
    const exit = await readExit(run.folders.run);
    if (exit !== undefined) return exit;
    run.signal.throwIfAborted();
    if (performance.now() > deadline)
      throw new RunError('RestoreFailed', 'feed the restore: it ended without an exit code; it was killed');
    await pause(pollMilliseconds);
  }
}

/** Aborts when the container stands still while it is fed: a tool may take its time over a chunk, its container lives meanwhile. */
export function watchTarget(run: Run, gone: AbortController): () => void {
  const stop = new AbortController();
  const either = AbortSignal.any([run.signal, stop.signal]);
  waitForEnd({ ...run, signal: either }).catch((error: unknown) => {
    if (!either.aborted) gone.abort(error);
  });
  return () => stop.abort(new RunError('Canceled', 'watch no longer'));
}
