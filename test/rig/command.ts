// Runs one program to its end and hands back what it printed. A failure names the command, how it ended and the last
// lines it wrote, so that no caller has to.
import { spawn } from 'node:child_process';

/** Enough for any listing the rig reads; what a program writes beyond it is dropped from the front. */
const KEPT_BYTES = 8 * 1024 * 1024;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** An open file to read instead of `input`. */
  readonly stdin?: number;
  readonly timeoutMs?: number;
}

export class CommandError extends Error {
  readonly output: string;
  constructor(argv: readonly string[], how: string, output: string) {
    const tail = output.trimEnd().split('\n').slice(-8).join('\n  ');
    super(`run "${argv.join(' ')}": ${how}${tail === '' ? '' : `\n  ${tail}`}`);
    this.output = output;
  }
}

/** Resolves to standard output; throws CommandError unless the program exits with 0. */
export function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: [options.stdin ?? 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let both = '';
    // Cut only now and then: each cut copies all that is kept.
    const keep = (kept: string, chunk: string) =>
      kept.length + chunk.length > 2 * KEPT_BYTES ? (kept + chunk).slice(-KEPT_BYTES) : kept + chunk;
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout = keep(stdout, chunk);
      both = keep(both, chunk);
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      both = keep(both, chunk);
    });
    // A program that ends without reading its input breaks this pipe; its exit code tells the story better.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
    // spawn's own timeout goes on holding the event loop after a program that could not be started.
    const timer =
      options.timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new CommandError(argv, error.message, both));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(stdout.slice(-KEPT_BYTES));
      else reject(new CommandError(argv, signal === null ? `exit code ${code}` : `ended by ${signal}`, both));
    });
  });
}
