// Writes the termination message. The file exists already and belongs to the kubelet: it is rewritten in place, since nothing can be
// renamed over it.
import { closeSync, constants, ftruncateSync, openSync, writeSync } from 'node:fs';
import { encodeResult, type Result } from '../crds/rules/contract.ts';
import { codeOf } from './errors.ts';
import type { Run } from './run.ts';

/**
 * The new text goes over the old one and only then is the rest cut off: whoever is killed in between leaves a whole first line,
 * because the inventory that is added later follows the same one.
 */
export function rewrite(path: string, text: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o644);
  try {
    ftruncateSync(file, writeSync(file, text, 0));
  } finally {
    closeSync(file);
  }
}

/** Tells how a backup ended. */
export function report(run: Pick<Run, 'log' | 'secrets'>, path: string, result: Result): void {
  say(run, path, encodeResult(result));
}

/** Tells how a run ended. A message that cannot be written is logged and loses nothing that is stored. */
export function say(run: Pick<Run, 'log' | 'secrets'>, path: string, text: string): void {
  try {
    rewrite(path, run.secrets.strike(text));
  } catch (error) {
    run.log.error({ code: codeOf(error) }, 'the termination message could not be written');
  }
}
