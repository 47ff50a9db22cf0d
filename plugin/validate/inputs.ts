// What -f names, read: files, folders with all below them, standard input. Gives one text at a time.
import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { UsageError } from '../errors.ts';

export interface Input {
  /** As the user named it, with what was found below a folder. */
  file: string;
  content: Buffer | 'too large';
}

/** Far more than a repository of manifests has; a folder with more was named by mistake. */
const maxFiles = 100_000;
/** Read at once. Twenty documents of the largest size. */
const maxFileBytes = 64 * 1024 * 1024;

const passedBy = new Set(['.git', 'node_modules']);

/** The command line gives the second for the first. */
export const isStandardInput = (path: string): boolean => path === '-' || path === '/dev/stdin';

/** Every input once, in the order given; of a folder by name. Throws UsageError where a path cannot be read. */
export async function* readInputs(paths: readonly string[], stdin: Readable): AsyncGenerator<Input> {
  const files: string[] = [];
  for (const path of paths) files.push(...(isStandardInput(path) ? ['-'] : await filesOf(path)));
  const seen = new Set<string>();
  for (const file of files) {
    // A file that is named twice, or below two folders, is no second object. A pipe, as a shell's <(...) is one, has no real path.
    const real = file === '-' ? '-' : await realpath(file).catch(() => file);
    if (seen.has(real)) continue;
    seen.add(real);
    const isStdin = file === '-';
    const stream = isStdin ? stdin : createReadStream(file);
    yield { file: isStdin ? 'stdin' : file, content: await attempt(file, () => collect(stream)) };
  }
}

async function attempt<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof UsageError || !(cause instanceof Error)) throw cause;
    const { code = cause.message } = cause as NodeJS.ErrnoException;
    throw new UsageError(`read "${path}": ${reasons[code] ?? code}`);
  }
}

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'it may not be read: check its permissions',
  ENOTDIR: 'a part of the path is no folder',
  ELOOP: 'its links lead in a circle',
};

async function filesOf(path: string): Promise<string[]> {
  const isFolder = (await attempt(path, () => stat(path))).isDirectory();
  if (!isFolder) return [path];
  const files: string[] = [];
  await attempt(path, () => walk(path, files));
  if (files.length === 0) throw new UsageError(`read "${path}": it holds no *.yaml, *.yml or *.json file`);
  return files;
}

/** The manifests below a folder. Links to folders are not followed: they may lead in circles. */
export async function walk(folder: string, files: string[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!passedBy.has(entry.name)) await walk(path, files);
    } else if (/\.(ya?ml|json)$/i.test(entry.name) && (await isFile(path, entry))) files.push(path);
    if (files.length > maxFiles) throw new UsageError(`read "${folder}": more than ${maxFiles} files: name less`);
  }
}

async function isFile(path: string, entry: { isFile(): boolean; isSymbolicLink(): boolean }): Promise<boolean> {
  if (entry.isFile()) return true;
  return entry.isSymbolicLink() && (await attempt(path, () => stat(path))).isFile();
}

async function collect(stream: Readable): Promise<Buffer | 'too large'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const buffer: Buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > maxFileBytes) return 'too large';
    chunks.push(buffer);
  }
  return Buffer.concat(chunks);
}
