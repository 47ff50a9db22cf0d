// The folders of a volume, each looked at before it is entered: a symbolic link that leaves the volume is not followed.
import { mkdir, realpath } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import type { DirectoryTask } from '../../crds/rules/contract.ts';
import type { Reason } from '../../crds/rules/reasons.ts';
import { codeOf, RunError, toRunError } from '../errors.ts';

const folderMode = 0o750;

/** What lets a pod into a volume is no right of a store. */
const notAllowed =
  ', the pod may not: set spec.job.fsGroup to a group that may write the volume, or give its folder to that group';
const hints: Record<string, string> = {
  EACCES: notAllowed,
  EPERM: notAllowed,
  EROFS: ', the volume is mounted read-only: spec.storage.pvc needs a claim that can be written',
};

/** As toRunError, with what to do where the volume does not let the pod in. */
export function volumeError(error: unknown, doing: string, fallback: Reason): RunError {
  if (error instanceof RunError) return error;
  const { reason, message } = toRunError(error, doing, fallback);
  return new RunError(reason, `${message}${hints[codeOf(error)] ?? ''}`, { cause: error });
}

export class Folders {
  readonly #volume: string;
  readonly #subPath: string;

  private constructor(volume: string, subPath: string) {
    this.#volume = volume;
    this.#subPath = subPath;
  }

  static async below(volume: string, task: DirectoryTask): Promise<Folders> {
    try {
      return new Folders(await realpath(volume), task.subPath ?? '');
    } catch (error) {
      throw volumeError(error, `open the volume of claim "${task.claimName}"`, 'StorageUnreachable');
    }
  }

  /** The folder that a key's file is in, made where it is missing. A prefix with its final slash names its own folder. */
  make(key: string): Promise<string> {
    return this.#walk(key, async (path) => {
      await mkdir(path, { mode: folderMode }).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      });
    });
  }

  find(key: string): Promise<string> {
    return this.#walk(key, async () => {});
  }

  async findIfThere(key: string): Promise<string | undefined> {
    try {
      return await this.find(key);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #walk(key: string, enter: (path: string) => Promise<void>): Promise<string> {
    const folder = key.slice(0, key.lastIndexOf('/') + 1);
    const segments = posix.join(this.#subPath, folder).split('/');
    let at = this.#volume;
    for (const segment of segments.filter((one) => one !== '' && one !== '.')) {
      if (segment === '..') throw this.#leaves(key);
      await enter(join(at, segment));
      at = await realpath(join(at, segment));
      if (at !== this.#volume && !at.startsWith(this.#volume + sep)) throw this.#leaves(key);
    }
    return at;
  }

  #leaves(key: string): RunError {
    return new RunError('ConfigInvalid', `find the folder of "${key}" below "${this.#subPath}": it leaves the volume`);
  }
}
