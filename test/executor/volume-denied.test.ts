// A volume that does not let the pod in: what is said leads to the pod's group and to the claim, and not to a bucket.
import { chmod } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { taskFor } from './pod.ts';

let bare: BareRun;
let storage: Storage;

beforeEach(async () => {
  bare = await bareRun(taskFor({ kind: 'directory', claimName: 'backups' }, {}));
  await chmod(bare.root, 0o755);
  await chmod(bare.run.folders.volume, 0o555);
  storage = await openStorage(bare.run);
});
afterEach(async () => {
  await chmod(bare.run.folders.volume, 0o755);
  await bare.remove();
});

/** Root may write everywhere: for so long it is the user of the image. */
async function asUser<T>(action: () => Promise<T>): Promise<T> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65532);
  try {
    return await action();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('F30 a folder of another owner is StorageDenied, and names the field that lets the pod in', async () => {
  const error = await asUser(() => storage.probe(`${bare.run.prefix}a.snap`).catch((cause: unknown) => cause));
  expect(error).toMatchObject({
    reason: 'StorageDenied',
    message: expect.stringMatching(
      /^write ".*a\.snap" on claim "backups": EACCES, the pod may not: set spec\.job\.fsGroup/,
    ),
  });
});
