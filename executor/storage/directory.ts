// Storage in a directory of a mounted volume. A file appears under its name only when it is whole and on the disk.
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, link, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { DirectoryTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError, toRunError } from '../errors.ts';
import { Folders } from './folders.ts';
import { ObjectExists, type PendingUpload, type PutOptions, type Storage, type StoredObject } from './storage.ts';

const fileMode = 0o640;
const readBytes = 1_048_576;
/** `.<name>.part` beside the file that it becomes. */
const partialName = /^\.(.+)\.part$/;

export async function openDirectory(volume: string, task: DirectoryTask): Promise<Storage> {
  return new DirectoryStorage(await Folders.below(volume, task), task.claimName);
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

/** What makes a new name in a folder survive a power cut. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Gives a whole file its name, never over another. Some network volumes have no link: there the name is taken first. */
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

class DirectoryStorage implements Storage {
  readonly #folders: Folders;
  readonly #claim: string;

  constructor(folders: Folders, claim: string) {
    this.#folders = folders;
    this.#claim = claim;
  }

  async #try<T>(verb: string, key: string, action: () => Promise<T>, fallback: Reason = 'UploadFailed'): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (error instanceof ObjectExists) throw error;
      throw toRunError(error, `${verb} "${key}" on claim "${this.#claim}"`, fallback);
    }
  }

  put(key: string, source: AsyncIterable<Buffer>, { signal }: PutOptions): Promise<number> {
    return this.#try('write', key, async () => {
      const folder = await this.#folders.make(key);
      const name = posix.basename(key);
      const partial = join(folder, `.${name}.part`);
      const file = await open(partial, 'wx', fileMode);
      try {
        const size = await this.#fill(file, source, signal);
        await appear(partial, join(folder, name));
        await syncFolder(folder);
        return size;
      } catch (error) {
        await unlink(partial).catch(() => {});
        throw codeOf(error) === 'EEXIST' ? new ObjectExists(key) : error;
      }
    });
  }

  async #fill(file: FileHandle, source: AsyncIterable<Buffer>, signal: AbortSignal): Promise<number> {
    let size = 0;
    try {
      for await (const chunk of source) {
        signal.throwIfAborted();
        await writeAll(file, chunk);
        size += chunk.length;
      }
      signal.throwIfAborted();
      await file.sync();
    } finally {
      await file.close();
    }
    return size;
  }

  async putSmall(key: string, text: string): Promise<void> {
    const source = (async function* () {
      yield Buffer.from(text);
    })();
    await this.put(key, source, { signal: new AbortController().signal, expectedBytes: 0 });
  }

  async getSmall(key: string, limit: number): Promise<Buffer | undefined> {
    const found = await this.head(key);
    if (found === undefined) return undefined;
    if (found.size > limit)
      throw new RunError('UploadFailed', `read "${key}": ${found.size} bytes, at most ${limit} are expected`);
    const chunks: Buffer[] = [];
    for await (const chunk of this.get(key)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async *get(key: string, start = 0): AsyncGenerator<Buffer, void, void> {
    const file = await this.#try('read', key, async () => {
      const path = join(await this.#folders.find(key), posix.basename(key));
      return open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    });
    yield* file.createReadStream({ start, highWaterMark: readBytes });
  }

  async #entries(prefix: string): Promise<{ folder: string; files: Dirent[] }> {
    return this.#try('list', prefix, async () => {
      const folder = await this.#folders.findIfThere(prefix);
      if (folder === undefined) return { folder: '', files: [] };
      const entries = await readdir(folder, { withFileTypes: true });
      return { folder, files: entries.filter((entry) => entry.isFile()) };
    });
  }

  async #stat(path: string, key: string): Promise<StoredObject | undefined> {
    return this.#try('look at', key, async () => {
      try {
        const found = await lstat(path);
        return found.isFile() ? { key, size: found.size, modifiedAt: found.mtime } : undefined;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    const { folder, files } = await this.#entries(prefix);
    for (const { name } of files) {
      if (name.startsWith('.')) continue;
      const found = await this.#stat(join(folder, name), prefix + name);
      if (found !== undefined) yield found;
    }
  }

  async head(key: string): Promise<StoredObject | undefined> {
    const folder = await this.#try('look at', key, () => this.#folders.findIfThere(key));
    return folder === undefined ? undefined : this.#stat(join(folder, posix.basename(key)), key);
  }

  async delete(key: string): Promise<void> {
    await this.#remove('delete', key, posix.basename(key));
  }

  async #remove(verb: string, key: string, name: string): Promise<void> {
    await this.#try(verb, key, async () => {
      const folder = await this.#folders.findIfThere(key);
      if (folder === undefined) return;
      try {
        await unlink(join(folder, name));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
      await syncFolder(folder);
    });
  }

  async pending(prefix: string): Promise<PendingUpload[]> {
    const { folder, files } = await this.#entries(prefix);
    const found: PendingUpload[] = [];
    for (const { name } of files) {
      const target = partialName.exec(name)?.[1];
      if (target === undefined) continue;
      const key = prefix + target;
      const file = await this.#stat(join(folder, name), key);
      if (file !== undefined) found.push({ key, startedAt: file.modifiedAt, id: name });
    }
    return found;
  }

  async abortPending({ key, id }: PendingUpload): Promise<void> {
    await this.#remove('remove the unfinished', key, id);
  }

  async probe(key: string): Promise<void> {
    await this.#try('write', key, async () => {
      const partial = join(await this.#folders.make(key), `.${posix.basename(key)}.part`);
      const file = await open(partial, 'wx', fileMode);
      try {
        await writeAll(file, Buffer.from('dbbackup\n'));
        await file.sync();
      } finally {
        await file.close();
        await unlink(partial);
      }
    });
  }

  /** The volume's times are this node's, or those of a server that does not tell its own. */
  clockAhead(): undefined {
    return undefined;
  }

  close(): void {}
}
