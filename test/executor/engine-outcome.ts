// What the tests of the engines ask of a backup that has ended, and how large their data is.
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import type { Backup } from './engine-run.ts';

/** `DBBACKUP_TEST_SIZE=full` takes ten thousand tables and a GiB of rows, which needs some minutes. */
const isFull = process.env['DBBACKUP_TEST_SIZE'] === 'full';
export const tables = isFull ? 10_000 : 500;
export const mebibytes = isFull ? 1024 : 64;

/** For a backup whose dump is in its store as it is. */
export const raw = { task: { compression: { algorithm: 'none', level: 0 } } } as const;

/** The bytes of an uncompressed backup's dump. */
export const dumpOf = (backup: Backup): Promise<Buffer> =>
  readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '');

/** It has failed for a reason, and nothing is stored. */
export function expectFailure(ended: Backup, reason: Reason, message: RegExp): void {
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Failed', reason });
  expect(ended.result?.run.outcome === 'Failed' && ended.result.run.message).toMatch(message);
  expect(ended.code).toBe(reasons[reason].exitCode);
  expect(ended.names).toEqual([]);
}
