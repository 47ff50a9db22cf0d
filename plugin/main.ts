// kubectl-dbbackup: reads the command line and the environment, runs one command, ends with its exit code.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, commandLine } from './command-line.ts';
import { CommandError, describeError, exitCodes, UsageError } from './errors.ts';
import { openTerminal, type Terminal } from './output/terminal.ts';
import { failingScript } from './restore/script.ts';
import type { World } from './world.ts';

/** The build sets it; from the sources there is none. */
const version = process.env.DBBACKUP_VERSION ?? '0.0.0-development';
const args = process.argv.slice(2);
const now = (): Date => new Date();

// The reader went away, as `| head` does: nobody is left to tell.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.ok);
    throw error;
  });

function colour(): boolean {
  const { NO_COLOR = '', TERM = '' } = process.env;
  return process.stdout.isTTY === true && NO_COLOR === '' && TERM !== 'dumb';
}

/** The client takes half a second to load: only commands that need it wait for that. */
async function openWorld(terminal: Terminal, command: Command, signal: AbortSignal): Promise<World> {
  const { openTransport } = await import('./transport.ts');
  const { kubeOf } = await import('./kube.ts');
  const { context, kubeconfig, namespace } = command;
  const transport = openTransport({ context, kubeconfig });
  return {
    kube: kubeOf(transport),
    terminal,
    namespace: namespace ?? transport.namespace ?? 'default',
    flags: command.flags,
    now,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    pause: async (milliseconds) => {
      await sleep(milliseconds, undefined, { signal });
    },
    signal,
    randomHex: (digits) =>
      randomBytes(Math.ceil(digits / 2))
        .toString('hex')
        .slice(0, digits),
  };
}

/** Rejects when the user interrupts, so that a call that hangs does not hold us. */
function interruption(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new CommandError('interrupted', exitCodes.interrupt)), {
      once: true,
    });
  });
}

async function run(terminal: Terminal): Promise<number> {
  const command = await commandLine(args, version, process.stdout.columns);
  if ('text' in command) {
    terminal.printData(command.text);
    return exitCodes.ok;
  }
  const interrupt = new AbortController();
  const interrupted = interruption(interrupt.signal);
  // A command that ends first leaves nobody to hear of it.
  interrupted.catch(() => {});
  process.once('SIGINT', () => interrupt.abort());
  const open = (): Promise<World> => openWorld(terminal, command, interrupt.signal);
  await Promise.race([command.run({ open, terminal, version }), interrupted]);
  return exitCodes.ok;
}

function report(terminal: Terminal, error: unknown): number {
  if (error instanceof UsageError) {
    terminal.note(`error: ${error.message}`);
    terminal.note("See 'kubectl dbbackup --help' for usage.");
  } else {
    terminal.note(describeError(error));
  }
  const isScript = args.includes('restore-locate') && args.some((arg) => /^(-o=?|--output=)?shell$/.test(arg));
  if (isScript) terminal.printData(failingScript);
  return error instanceof CommandError ? error.exitCode : exitCodes.error;
}

const terminal = openTerminal({ stdout: process.stdout, stderr: process.stderr, colour: colour(), now });
run(terminal)
  .catch((error: unknown) => report(terminal, error))
  .then((code) => {
    // Connections that are kept alive must not keep us; what was written goes out first.
    process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
  });
