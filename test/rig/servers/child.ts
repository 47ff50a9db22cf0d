// A server as a child process that never outlives us: stopped by its pid, and killed by the kernel when we are killed.
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';

/** What a server wrote last; enough for the reason it did not start. */
const KEPT_CHARACTERS = 8192;
const STOP_MS = 10_000;

/** The unprivileged user that servers which refuse root run as: "nobody" on every Linux. */
export const NOBODY = 65534;

export interface ChildOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** User and group to run as; we must be root. */
  uid?: number;
  /** Stops the server at once, without asking. */
  hardSignal?: NodeJS.Signals;
}

export interface Child {
  pid: number;
  /** The end of what it printed. */
  output(): string;
  running(): boolean;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** The words before a command that make it run as another user and die with its parent, which only Linux offers. */
export async function wrapping(uid: number | undefined, hardSignal?: NodeJS.Signals): Promise<string[]> {
  const setpriv = await access('/usr/bin/setpriv').then(
    () => true,
    () => false,
  );
  if (!setpriv) {
    if (uid === undefined) return [];
    throw new Error(`run as user ${uid}: setpriv is missing: install util-linux, or do not run as root`);
  }
  const user = uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const death = hardSignal === undefined ? [] : ['--pdeathsig', hardSignal.replace('SIG', '')];
  return user.length + death.length === 0 ? [] : ['/usr/bin/setpriv', ...user, ...death, '--'];
}

export async function startChild(argv: [string, ...string[]], options: ChildOptions = {}): Promise<Child> {
  const [program = '', ...args] = [...(await wrapping(options.uid, options.hardSignal ?? 'SIGKILL')), ...argv];
  const child = spawn(program, args, { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      output = (output + part).slice(-KEPT_CHARACTERS);
    });
  }
  const exited = new Promise<void>((done) => {
    child.on('exit', () => done());
    child.on('error', (error) => {
      output += error.message;
      done();
    });
  });
  const running = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    pid: child.pid ?? 0,
    output: () => output.trim(),
    running,
    async stop(signal = 'SIGTERM') {
      if (running()) child.kill(signal);
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exited;
      clearTimeout(kill);
    },
  };
}
