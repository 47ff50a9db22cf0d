// What the manifest says of a run, and that one which no later run would read is told before anything is stored.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runFiles, type Task } from '../../crds/rules/contract.ts';
import { encodeManifest, manifestLimit } from '../../crds/rules/manifest.ts';
import { snapshotId } from '../../crds/rules/names.ts';
import { backup } from '../../executor/backup.ts';
import { checkLength, describe } from '../../executor/describe.ts';
import { openStorage } from '../../executor/storage/open.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';

let bare: BareRun;
const start = async (over: Partial<Task> = {}): Promise<void> => {
  bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}, over));
};
beforeEach(() => start());
afterEach(() => bare.remove());

const id = () => snapshotId(new Date(bare.run.task.time), bare.run.task.owner, '0001');
const digest = '0'.repeat(64);
const passed = () => ({ id: id(), plainSize: 1, plainSha256: digest, storedSize: 1, storedSha256: digest });

async function manifest(facts: string) {
  await mkdir(bare.run.folders.run, { recursive: true });
  await writeFile(join(bare.run.folders.run, runFiles.facts), facts);
  return describe(bare.run, await openStorage(bare.run), passed(), new Date('2026-03-01T01:00:05Z'));
}

test.each([
  ['2026-03-01T01:00:03Z', '2026-03-01T01:00:03Z'],
  ['2026-02-30T10:00:00Z', '2026-03-01T01:00:05.000Z'],
  ['2026-03-01T24:00:00Z', '2026-03-01T01:00:05.000Z'],
  ['March 1, 2026', '2026-03-01T01:00:05.000Z'],
  ['', '2026-03-01T01:00:05.000Z'],
])('a dump that says it started at %j started at %s', async (said, dumpStartedAt) => {
  expect(await manifest(`startedAt=${said}\n`)).toMatchObject({ dumpStartedAt });
});

/** A task of engine command whose restore is so many words of 1,000 letters. */
const restoring = (words: number, letter = 'x'): Partial<Task> => ({
  engine: 'command',
  database: { host: 'db', port: 1, restoreCommand: Array.from({ length: words }, () => letter.repeat(1000)) },
});

test('a manifest that is too long in bytes, though not in letters, names the field to shorten', async () => {
  await bare.remove();
  await start(restoring(25, '漢'));
  expect(encodeManifest(await manifest('')).length).toBeLessThan(manifestLimit);
  expect(() => checkLength(bare.run, id())).toThrow(/at most 65536 are read: shorten spec\.database\.restoreCommand,/);
});

test('a manifest that may be long is not refused, whatever the dump tells', async () => {
  await bare.remove();
  await start(restoring(55));
  expect(() => checkLength(bare.run, id())).not.toThrow();
  const long = '漢'.repeat(500);
  const facts = `serverVersion=${long}\ntoolVersion=${long}\nidentity=${long}\n`;
  expect(Buffer.byteLength(encodeManifest(await manifest(facts)))).toBeLessThanOrEqual(manifestLimit);
});

test('a backup whose manifest would be too long ends before it stores anything', async () => {
  await bare.remove();
  await start(restoring(64, "'"));
  await expect(backup(bare.run, () => {})).rejects.toMatchObject({ reason: 'ConfigInvalid' });
  expect(await readdir(bare.run.folders.volume, { recursive: true })).toEqual([]);
});
