// A kustomization rendered by the user's own tool, so that what is judged is what would be applied.
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { CommandError, exitCodes, UsageError } from '../errors.ts';

/** Of what is rendered; as for a file. */
const maxBytes = 64 * 1024 * 1024;
/** Remote bases are fetched; this is for ever to whoever waits. */
const timeoutMilliseconds = 5 * 60_000;
/** What a tool complains about goes into one finding. */
const maxComplaint = 2000;

const tools = [
  ['kustomize', 'build'],
  ['kubectl', 'kustomize'],
] as const;

export type Rendered = { text: string } | { problem: string };

/** Throws UsageError for a folder that is no kustomization, CommandError where neither tool is on the PATH. */
export async function render(folder: string): Promise<Rendered> {
  await expectKustomization(folder);
  for (const [program, command] of tools) {
    const ended = await run(program, [command, '--', folder]);
    if (ended === 'absent') continue;
    return ended.problem === undefined ? { text: ended.text } : { problem: `${program} ${command}: ${ended.problem}` };
  }
  throw new CommandError(
    `render "${folder}": neither kustomize nor kubectl is on the PATH: install one of them, or pipe the rendered manifests into validate -f -`,
    exitCodes.usage,
  );
}

async function expectKustomization(folder: string): Promise<void> {
  const names = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
  const found = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`read "${folder}": ${cause.code === 'ENOTDIR' ? 'it is no folder' : cause.code}`);
  });
  if (names.some((name) => found.includes(name))) return;
  throw new UsageError(`read "${folder}": it holds no ${names.join(', ')}: name the folder of a kustomization`);
}

interface Ended {
  text: string;
  problem?: string;
}

function run(program: string, args: readonly string[]): Promise<Ended | 'absent'> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMilliseconds });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) child.kill('SIGKILL');
      else chunks.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-maxComplaint);
    });
    child.on('error', ({ code, message }: NodeJS.ErrnoException) =>
      resolve(code === 'ENOENT' ? 'absent' : { text: '', problem: message }),
    );
    child.on('close', (code, signal) => {
      const text = Buffer.concat(chunks).toString();
      if (code === 0) resolve({ text });
      else
        resolve({ text, problem: bytes > maxBytes ? 'it renders more than 64 MiB' : why(complaint, code ?? signal) });
    });
  });
}

function why(complaint: string, end: number | string | null): string {
  const said = complaint.trim().replace(/^error: /i, '');
  return said === '' ? `it ended with ${end} and said nothing` : said;
}
