// Reads the storage's Secret from its files. Which key is missing is told, what one holds never is.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, RunError } from './errors.ts';
import type { Run } from './run.ts';

/** The value of an optional key; undefined when it is missing or blank. A final newline, which editors add, is not part of it. */
export async function readOptionalKey(run: Run, secret: string, key: string): Promise<string | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(join(run.folders.storageSecret, key));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new RunError('SecretInvalid', `read Secret "${secret}": key "${key}" cannot be read: ${codeOf(error)}`);
  }
  const text = bytes.toString('utf8').replace(/[\r\n]+$/, '');
  if (!Buffer.from(text).equals(bytes.subarray(0, Buffer.byteLength(text))))
    throw new RunError('SecretInvalid', `read Secret "${secret}": key "${key}" is not UTF-8 text`);
  run.secrets.add(text);
  return text.trim() === '' ? undefined : text;
}

export async function readKey(run: Run, secret: string, key: string): Promise<string> {
  const value = await readOptionalKey(run, secret, key);
  if (value === undefined)
    throw new RunError('SecretInvalid', `read Secret "${secret}": key "${key}" is missing or empty`);
  return value;
}
