// A run for tests of single steps: everything in a folder of its own, a log that is kept, a clock that stands where it is put.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { paths, type Task } from '../../crds/rules/contract.ts';
import { Secrets } from '../../executor/log.ts';
import { createRun, foldersBelow, type Run } from '../../executor/run.ts';

export interface BareRun {
  run: Run;
  root: string;
  /** The log's lines, decoded. */
  lines: Record<string, unknown>[];
  remove(): Promise<void>;
}

function keepingLog(lines: Record<string, unknown>[]): Logger {
  return pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
}

export async function bareRun(task: Task, over: Partial<Run> = {}): Promise<BareRun> {
  const root = await mkdtemp(join(tmpdir(), 'dbbackup-run-'));
  for (const path of Object.values(paths)) await mkdir(join(root, path), { recursive: true });
  const lines: Record<string, unknown>[] = [];
  const run = createRun(
    { task, jobUid: 'job-1', lockEpoch: 1, lastSize: 0 },
    {
      folders: foldersBelow(root),
      version: 'test',
      now: () => new Date(),
      log: keepingLog(lines),
      secrets: new Secrets(),
      storeMayBeLocal: true,
      environment: {},
      signal: new AbortController().signal,
    },
  );
  return { run: { ...run, ...over }, root, lines, remove: () => rm(root, { recursive: true, force: true }) };
}
