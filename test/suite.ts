// Runs one suite (a vitest project) as a child process and counts what happened in it, however it ended.
import { spawn } from 'node:child_process';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopAbandonedRigs } from './rig/owned.ts';

export type Suite = 'unit' | 'integration' | 'e2e';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The part of vitest's JSON report that is read here. */
export interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
}

/** Runs a program on our terminal and gives its exit code, 128 when a signal ended it. */
export function run(command: string, args: string[]): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: 'inherit' });
    const pass = (signal: NodeJS.Signals) => child.kill(signal);
    process.once('SIGTERM', pass).once('SIGHUP', pass);
    // Ctrl-C reaches the child from the terminal; staying alive here lets it clean up before the last line is printed.
    const stay = () => {};
    process.on('SIGINT', stay);
    child.on('error', (cause) => fail(new Error(`cannot start ${command}: ${cause.message}`)));
    child.on('exit', (code) => {
      process.off('SIGTERM', pass).off('SIGHUP', pass).off('SIGINT', stay);
      done(code ?? 128);
    });
  });
}

/**
 * Counts a report together with the exit code of the run that wrote it. A file that could not be loaded, an error outside every
 * test, a run that wrote no report and a run without a single test each count as a failure: none of them is a passed suite.
 */
export function count(report: Report | undefined, exitCode: number): Counts {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const counts = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded,
    skipped: report.numPendingTests + report.numTodoTests,
  };
  const nothing = counts.passed + counts.failed + counts.skipped === 0;
  if (counts.failed === 0 && (exitCode !== 0 || nothing)) counts.failed = 1;
  return counts;
}

/** A suite that has no file yet has nothing to fail. */
export async function hasFiles(suite: Suite): Promise<boolean> {
  const pattern = suite === 'unit' ? 'test/**/*.test.ts' : `test/${suite}/**/*.test.ts`;
  for await (const _file of glob(pattern)) return true;
  return false;
}

/** Runs the suite, only the files whose path contains a pattern when some are given, and counts. */
export async function runSuite(suite: Suite, patterns: string[] = []): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), 'dbbackup-report-'));
  const file = join(folder, 'report.json');
  // Long suites name each test as it ends; unit tests are many and quick, one line a file is enough.
  const reporter = suite === 'unit' ? 'default' : 'verbose';
  try {
    const code = await run('vitest', [
      'run',
      `--project=${suite}`,
      `--reporter=${reporter}`,
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...patterns,
    ]);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    return count(text === undefined ? undefined : (JSON.parse(text) as Report), code);
  } finally {
    // A run that was interrupted or killed leaves its cluster to us.
    if (suite !== 'unit') await stopAbandonedRigs((line) => console.error(`[rig] ${line}`));
    await rm(folder, { recursive: true, force: true });
  }
}
