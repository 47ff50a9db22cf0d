// Whose cluster is whose: those of processes that are gone are removed, all others are left alone.
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { checkRigName, rigNames, rigsDirectory } from './cluster/state.ts';
import { ownedRig, stopAbandonedRigs, stopOwnedRig } from './owned.ts';

afterEach(() => vi.unstubAllEnvs());

/** Above every process id that Linux gives out. */
const GONE = 2 ** 22 + 1;

test('a run names its cluster after itself, or uses the one it is told', () => {
  expect(ownedRig('e2e', {})).toBe(`test-e2e-${process.pid}`);
  checkRigName(ownedRig('integration', {}));
  expect(ownedRig('e2e', { DBBACKUP_RIG: 'dev' })).toBe('dev');
});

test('clusters of processes that are gone are removed, and nothing else', async () => {
  const state = await mkdtemp(join(tmpdir(), 'dbbackup-rigs-'));
  vi.stubEnv('XDG_STATE_HOME', state);
  const mine = ownedRig('e2e', {});
  for (const name of [mine, 'dev', `test-e2e-${GONE}`]) await mkdir(join(rigsDirectory(), name), { recursive: true });
  const said: string[] = [];
  await stopAbandonedRigs((line) => said.push(line));
  expect((await rigNames()).sort()).toEqual(['dev', mine].sort());
  expect(said).toEqual([expect.stringContaining(`"test-e2e-${GONE}"`)]);
  for (const name of [mine, 'dev']) await stopOwnedRig(name, () => {});
  expect(await readdir(rigsDirectory())).toEqual(['dev']);
  await rm(state, { recursive: true });
});
