// Writing a file on a volume that knows no links, such as SMB: still whole or not there, and never over another.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { writeWhole } from '../../executor/storage/whole-file.ts';

// Files share their modules: one that was imported before knows nothing of the mock, and none after shall know of it.
vi.hoisted(() => vi.resetModules());
afterAll(() => void vi.resetModules());
vi.mock('node:fs/promises', async (original) => ({
  ...(await original<typeof import('node:fs/promises')>()),
  link: () => Promise.reject(Object.assign(new Error('not supported'), { code: 'ENOTSUP' })),
}));

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-file-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function* source(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

test('attack 40: a file appears whole and alone', async () => {
  expect(await writeWhole(folder, 'a.snap', source('content'))).toBe(7);
  expect(await readdir(folder)).toEqual(['a.snap']);
  expect(await readFile(join(folder, 'a.snap'), 'utf8')).toBe('content');
});

test('attack 40: a name that is taken is refused and its file stays', async () => {
  await writeFile(join(folder, 'a.snap'), 'first');
  await expect(writeWhole(folder, 'a.snap', source('second'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(await readFile(join(folder, 'a.snap'), 'utf8')).toBe('first');
  expect(await readdir(folder)).toEqual(['a.snap']);
});
