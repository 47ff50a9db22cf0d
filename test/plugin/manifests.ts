// For the tests of validate: a good manifest as text, files in a folder of their own, and what the command makes of them.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { type ValidateOptions, validateManifests } from '../../plugin/commands/validate.ts';
import { openTerminal } from '../../plugin/output/terminal.ts';
import { recipient } from '../crds/backup.ts';

export const good = (name = 'orders', more = ''): string => `apiVersion: dbbackup.io/v1alpha1
kind: DatabaseBackup
metadata:
  name: ${name}
spec:
  schedule: "0 1 * * *"
  database:
    engine: postgres
    image: postgres:16
    host: ${name}-db
    name: orders
    auth: {secretRef: {name: orders-db}}
  storage:
    s3:
      bucket: backups
      region: eu-central-1
      auth: {secretRef: {name: s3-credentials}}
  encryption: {age: {recipients: [${recipient}]}}
  retention: {keepLast: 3}
${more}`;

/** Writes the files, runs, and removes them; the paths given to the function are relative to the working directory. */
export async function withFiles<T>(
  files: Record<string, string | Buffer>,
  run: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'dbbackup-validate-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), content);
    }
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface Ended {
  stdout: string;
  stderr: string;
  code: number;
}

/** The command as main runs it; the folder's own path is left out of what it prints. */
export function validateFiles(
  files: Record<string, string | Buffer>,
  options: Partial<ValidateOptions> & { stdin?: string } = {},
): Promise<Ended> {
  return withFiles(files, async (folder) => {
    const paths = (options.filename ?? (options.input === undefined ? ['.'] : [])).map((path) =>
      path === '-' ? path : path === '.' ? folder : join(folder, path),
    );
    const ended = await validated({ ...options, filename: paths });
    const own = (text: string): string => text.replaceAll(`${folder}/`, '').replaceAll(relative('.', folder), '');
    return { ...ended, stdout: own(ended.stdout), stderr: own(ended.stderr) };
  });
}

async function validated({ stdin = '', ...options }: Partial<ValidateOptions> & { stdin?: string }): Promise<Ended> {
  const written = { stdout: '', stderr: '' };
  const now = (): Date => new Date('2025-03-28T02:00:00Z');
  const stream = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (written[name] += text) });
  const terminal = openTerminal({ stdout: stream('stdout'), stderr: stream('stderr'), colour: false, now });
  const stage = { terminal, version: '1.2.3', stdin: Readable.from([Buffer.from(stdin)]), now: now() };
  let code = 0;
  try {
    await validateManifests(stage, { output: 'text', strict: false, ...options });
  } catch (cause) {
    if (!(cause instanceof Error && 'exitCode' in cause)) throw cause;
    written.stderr += `error: ${cause.message}\n`;
    code = Number(cause.exitCode);
  }
  return { ...written, code };
}
