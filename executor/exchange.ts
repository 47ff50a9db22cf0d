// The executor's side of the files that the pod's containers share: what the dump tells, and what it is told.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type DumpFacts, decodeFacts, runFiles, untouched } from '../crds/rules/contract.ts';
import { decodeManifest, type Manifest } from '../crds/rules/manifest.ts';
import { isReason, type Reason, reasonOfExitCode } from '../crds/rules/reasons.ts';
import { codeOf, type RunError } from './errors.ts';
import type { Run } from './run.ts';

/** A container killed for memory writes no exit file: that is waited for this long after its end of the FIFO has gone. */
const exitMilliseconds = 15_000;
const pollMilliseconds = 100;

/** How the dump ended. */
export interface DumpExit {
  code: number;
  /** DumpFailed unless the dump knew better. */
  reason: Reason;
  /** The last of its complaint. */
  error: string;
  /** A restore that was to overwrite has destroyed nothing. */
  isUntouched: boolean;
}

/** The whole text of a file, undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function runFile(folder: string, name: keyof typeof runFiles): string {
  return join(folder, runFiles[name]);
}

/** undefined while the dump runs, and for ever when it was killed. */
export async function readExit(folder: string): Promise<DumpExit | undefined> {
  const text = await readIfThere(runFile(folder, 'exit'));
  if (text === undefined) return undefined;
  const [code = '', reason = '', last] = text.trim().split(' ');
  const number = /^\d{1,3}$/.test(code) ? Number(code) : 1;
  const error = ((await readIfThere(runFile(folder, 'error'))) ?? '').trim();
  const known = isReason(reason) ? reason : (reasonOfExitCode(number) ?? 'DumpFailed');
  return { code: number, reason: known, error, isUntouched: last === untouched };
}

/** How it ended, once it no longer has the FIFO open. Throws `killed` when it does not say so in bounded time. */
export async function waitForExit(run: Run, killed: RunError): Promise<DumpExit> {
  const deadline = performance.now() + exitMilliseconds;
  for (;;) {
    const exit = await readExit(run.folders.run);
    if (exit !== undefined) return exit;
    run.signal.throwIfAborted();
    if (performance.now() > deadline) throw killed;
    await pause(pollMilliseconds);
  }
}

export async function readFacts(folder: string): Promise<DumpFacts> {
  return decodeFacts((await readIfThere(runFile(folder, 'facts'))) ?? '');
}

/** Tells the dump to end. */
export async function writeAbort(folder: string): Promise<void> {
  await writeFile(runFile(folder, 'abort'), '');
}

/** The manifest of the snapshot that an earlier pod of this Job committed. */
export async function readCommitted(folder: string): Promise<Manifest | undefined> {
  const text = await readIfThere(runFile(folder, 'committed'));
  if (text === undefined) return undefined;
  const { key } = JSON.parse(text) as { key: string };
  return decodeManifest(text, key);
}

/** Appears whole, so that no half of it is read. */
export async function writeRunFile(folder: string, name: keyof typeof runFiles, text: string): Promise<void> {
  const path = runFile(folder, name);
  await writeFile(`${path}.part`, text);
  await rename(`${path}.part`, path);
}

/** Takes away what an earlier start of the same pod left, so that nothing old is taken for new. */
export async function clearRunFiles(folder: string): Promise<void> {
  for (const name of ['facts', 'exit', 'error', 'abort', 'committed', 'alive', 'verdict', 'complete'] as const)
    await rm(runFile(folder, name), { force: true });
}
