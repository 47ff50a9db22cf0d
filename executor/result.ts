// Writes the termination message. The file exists already and belongs to the kubelet: it is rewritten in place, since nothing can be
// renamed over it.
import { closeSync, constants, ftruncateSync, openSync, writeSync } from 'node:fs';
import { encodeResult, type Result } from '../crds/rules/contract.ts';
import { encodeReport, type Report } from '../crds/rules/contract-commands.ts';
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

/**
 * Strikes secrets out of free text, and out of nothing else: a login's id may well be the name of a database too, and a key without it is
 * that of no snapshot. Before it is encoded, since what is cut to its length may end in half a secret.
 */
function struck<T extends Result | Report>({ secrets }: Pick<Run, 'secrets'>, told: T): T {
  const { run, inventory } = told;
  return {
    ...told,
    run: 'message' in run ? { ...run, message: secrets.strike(run.message) } : run,
    ...(inventory && { inventory: { ...inventory, pruneError: secrets.strike(inventory.pruneError) } }),
  };
}

/** A message that cannot be written is logged and loses nothing that is stored. */
function write({ log }: Pick<Run, 'log'>, path: string, text: string): void {
  try {
    rewrite(path, text);
  } catch (error) {
    log.error({ code: codeOf(error) }, 'the termination message could not be written');
  }
}

/** Tells how a backup ended. */
export function report(run: Pick<Run, 'log' | 'secrets'>, path: string, result: Result): void {
  write(run, path, encodeResult(struck(run, result)));
}

/** Tells how another command ended. */
export function say(run: Pick<Run, 'log' | 'secrets'>, path: string, told: Report): void {
  write(run, path, encodeReport(struck(run, told)));
}
