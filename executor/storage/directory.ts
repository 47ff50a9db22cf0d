// Storage in a directory of a mounted volume.
import { constants, type Dirent } from 'node:fs';
import { lstat, open, readdir, unlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { DirectoryTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError } from '../errors.ts';
import { Folders, volumeError } from './folders.ts';
import {
  ObjectExists,
  type ObjectLocked,
  type PendingUpload,
  type PutOptions,
  type Storage,
  type StoredObject,
} from './storage.ts';
import { nameOfPartial, syncFolder, writeNothing, writeWhole } from './whole-file.ts';

const readBytes = 1_048_576;

export async function openDirectory(volume: string, task: DirectoryTask): Promise<Storage> {
  return new DirectoryStorage(await Folders.below(volume, task), task.claimName);
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
      throw volumeError(error, `${verb} "${key}" on claim "${this.#claim}"`, fallback);
    }
  }

  put(key: string, source: AsyncIterable<Buffer>, { signal }: PutOptions): Promise<number> {
    return this.#try('write', key, async () => {
      const folder = await this.#folders.make(key);
      try {
        return await writeWhole(folder, posix.basename(key), source, signal);
      } catch (error) {
        throw codeOf(error) === 'EEXIST' ? new ObjectExists(key) : error;
      }
    });
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

  async *get(key: string, start = 0, length?: number): AsyncGenerator<Buffer, void, void> {
    const file = await this.#try('read', key, async () => {
      const path = join(await this.#folders.find(key), posix.basename(key));
      return open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    });
    const end = length === undefined ? {} : { end: start + length - 1 };
    yield* file.createReadStream({ start, ...end, highWaterMark: readBytes });
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

  async locked(): Promise<ObjectLocked | undefined> {
    return undefined;
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
      const target = nameOfPartial(name);
      if (target === undefined) continue;
      const key = prefix + target;
      const file = await this.#stat(join(folder, name), key);
      if (file !== undefined) found.push({ key, startedAt: file.modifiedAt, id: name });
    }
    return found;
  }

  async abortPending({ key, id }: PendingUpload): Promise<void> {
    // A volume without links has the name taken first: what was killed then is an empty file, which would stand for a commit.
    if ((await this.head(key))?.size === 0) await this.delete(key);
    await this.#remove('remove the unfinished', key, id);
  }

  async probe(key: string): Promise<void> {
    await this.#try('write', key, async () => writeNothing(await this.#folders.make(key), posix.basename(key)));
  }

  /** The volume's times are this node's, or those of a server that does not tell its own. */
  clockAhead(): undefined {
    return undefined;
  }

  close(): void {}
}
