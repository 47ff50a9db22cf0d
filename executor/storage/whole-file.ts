// Writes a file of a volume so that it appears under its name only when it is whole and on the disk, and never over another.
import { constants } from 'node:fs';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../errors.ts';
import { untilAborted } from './parts.ts';

const fileMode = 0o640;

export const partialName = (name: string): string => `.${name}.part`;

/** The inverse of partialName; undefined for other names. */
export function nameOfPartial(partial: string): string | undefined {
  return /^\.(.+)\.part$/.exec(partial)?.[1];
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

/** What makes a new name in a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Some network volumes have no link: there the name is taken first. Killed before the rename, both are taken back as an unfinished upload. */
async function appear(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path);
    await unlink(partial);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) throw error;
    await (await open(path, 'wx', fileMode)).close();
    await rename(partial, path);
  }
}

async function fill(file: FileHandle, source: AsyncIterable<Buffer>, signal?: AbortSignal): Promise<number> {
  let size = 0;
  try {
    // A source that says nothing would keep an upload that is called off, and its file.
    for await (const chunk of signal === undefined ? source : untilAborted(source, signal)) {
      await writeAll(file, chunk);
      size += chunk.length;
    }
    signal?.throwIfAborted();
    await file.sync();
  } finally {
    await file.close();
  }
  return size;
}

/** Gives the size. Fails with EEXIST when the name is taken; whatever fails, nothing of it is left. */
export async function writeWhole(
  folder: string,
  name: string,
  source: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<number> {
  const partial = join(folder, partialName(name));
  const file = await open(partial, 'wx', fileMode);
  try {
    const size = await fill(file, source, signal);
    await appear(partial, join(folder, name));
    await syncFolder(folder);
    return size;
  } catch (error) {
    await unlink(partial).catch(() => {});
    throw error;
  }
}

/** Writes a little and takes it away again: shows whether the volume takes anything. */
export async function writeNothing(folder: string, name: string): Promise<void> {
  const partial = join(folder, partialName(name));
  const file = await open(partial, 'wx', fileMode);
  try {
    await writeAll(file, Buffer.from('dbbackup\n'));
    await file.sync();
  } finally {
    await file.close();
    await unlink(partial);
  }
}
