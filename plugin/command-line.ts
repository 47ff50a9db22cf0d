// The command line: its words, options and help, and what they decode to. Commands are loaded when they run.
import yargs from 'yargs';
import { word } from '../crds/rules/engines/quote.ts';
import { UsageError } from './errors.ts';
import type { Terminal } from './output/terminal.ts';
import type { World } from './world.ts';

export interface Stage {
  /** Loads the client and the kubeconfig. */
  open(): Promise<World>;
  terminal: Terminal;
  version: string;
}

export interface Command {
  namespace: string | undefined;
  context: string | undefined;
  kubeconfig: string | undefined;
  /** The last two as the user gave them, for commands that we print. */
  flags: string;
  run(stage: Stage): Promise<void>;
}

const exitCodeHelp = `Exit codes:
    0  done
    1  error: the server refused, or nothing was found
    2  the command line is wrong
    3  the backup failed
  124  --timeout passed
  130  interrupted

A name may also be written databasebackup/NAME. Data goes to standard output, everything else to standard error.`;

const outputs = (choices: readonly string[]) =>
  ({ alias: 'o', choices, default: choices[0] ?? '', describe: 'Form of the output', requiresArg: true }) as const;

const text = (describe: string) => ({ type: 'string', describe, requiresArg: true }) as const;
const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const;
const name = { type: 'string', demandOption: true, describe: 'Name of the DatabaseBackup' } as const;

const paths = (describe: string) => ({ type: 'string', array: true, describe, requiresArg: true }) as const;

const last = (given: string | readonly string[]): string => (typeof given === 'string' ? given : (given.at(-1) ?? ''));

const parsing = { 'boolean-negation': false, 'duplicate-arguments-array': false, 'parse-numbers': false };

type Runner = (stage: Stage) => Promise<void>;

/** The text of --help or --version, or the command to run. Throws UsageError. */
export async function commandLine(
  args: readonly string[],
  version: string,
  columns: number | undefined,
): Promise<Command | { text: string }> {
  let chosen: Runner | undefined;
  let shown = '';
  const parser = declare(version, columns, (runner) => {
    chosen = runner;
  });
  // yargs takes a lone - for an option without a name; this is what it means.
  const words = args.map((arg) => (arg === '-' ? '/dev/stdin' : arg));
  const options = await parser.parseAsync(words, {}, (error, _argv, output) => {
    if (error != null) throw error instanceof UsageError ? error : new UsageError(error.message);
    shown = output;
  });
  if (chosen === undefined) return { text: `${shown === '' ? await parser.getHelp() : shown}\n` };
  const { namespace, context, kubeconfig } = options;
  const flags = [
    ...(context === undefined ? [] : [` --context ${word(context)}`]),
    ...(kubeconfig === undefined ? [] : [` --kubeconfig ${word(kubeconfig)}`]),
  ].join('');
  return { namespace, context, kubeconfig, flags, run: chosen };
}

function declare(version: string, columns: number | undefined, choose: (runner: Runner) => void) {
  return yargs()
    .scriptName('kubectl dbbackup')
    .usage('$0 COMMAND\n\nBackups of databases that are declared as DatabaseBackup objects.')
    .parserConfiguration(parsing)
    .locale('en')
    .wrap(Math.min(columns ?? 100, 120))
    .option('namespace', { alias: 'n', ...text('Namespace; default is that of the context') })
    .option('context', text('Context of the kubeconfig'))
    .option('kubeconfig', text('File to use as kubeconfig'))
    .command(
      'trigger <name>',
      'Take a backup now',
      (y) =>
        y
          .positional('name', name)
          .option('wait', flag('Wait for the end; exit 3 when the backup fails'))
          .option('timeout', {
            ...text('With --wait: how long, such as 90s, 30m or 2h; 0 is for ever'),
            default: '24h',
          }),
      (options) => choose(async ({ open }) => (await import('./commands/trigger.ts')).trigger(await open(), options)),
    )
    .command(
      'describe <name>',
      'Say how it stands, what to do, and show runs and snapshots',
      (y) => y.positional('name', name),
      (options) =>
        choose(async ({ open }) => (await import('./commands/describe.ts')).describeBackup(await open(), options.name)),
    )
    .command(
      'list-snapshots [name]',
      'List what can be restored, newest first',
      (y) =>
        y
          .positional('name', { ...name, demandOption: false })
          .option('all-namespaces', { alias: 'A', ...flag('Of all namespaces') })
          .option('selector', { alias: 'l', ...text('Label selector of the DatabaseBackups') })
          .option('output', outputs(['table', 'wide', 'json', 'yaml', 'name']))
          .option('no-headers', flag('Leave out the header line')),
      (options) =>
        choose(async ({ open }) => (await import('./commands/list-snapshots.ts')).listSnapshots(await open(), options)),
    )
    .command(
      'restore-locate <name>',
      'Say where a snapshot is and how to restore it with stock tools',
      (y) =>
        y
          .positional('name', name)
          .option('latest', flag('The newest snapshot (the default)'))
          .option('snapshot', text('The snapshot with this id'))
          .option('as-of', text('The newest snapshot that is not newer than this time'))
          .option('output', {
            ...outputs(['text', 'shell', 'json', 'yaml']),
            describe: 'Form of the output; shell is a script for sh',
          }),
      (options) =>
        choose(async ({ open }) => (await import('./commands/restore-locate.ts')).restoreLocate(await open(), options)),
    )
    .command(
      'validate [input]',
      'Apply the rules of admission to manifests, without a cluster',
      (y) =>
        y
          // -f may be repeated; elsewhere the last of an option counts.
          .parserConfiguration({ ...parsing, 'duplicate-arguments-array': true })
          .positional('input', { type: 'string', describe: '- is standard input' })
          .option('filename', { alias: 'f', ...paths('Files, folders with all below, or - for standard input') })
          .option('kustomize', { alias: 'k', ...paths('Folders that kustomize or kubectl renders') })
          .option('output', { ...outputs(['text', 'json', 'sarif', 'github']), coerce: last })
          .option('strict', flag('Take warnings for errors')),
      (options) =>
        choose(async ({ terminal }) => {
          const { validateManifests } = await import('./commands/validate.ts');
          await validateManifests({ terminal, version, stdin: process.stdin, now: new Date() }, options);
        }),
    )
    .command(
      'version',
      'Print the version of this plugin',
      (y) => y.option('output', outputs(['text', 'json', 'yaml'])),
      ({ output }) =>
        choose(async ({ terminal }) => (await import('./commands/version.ts')).showVersion(terminal, version, output)),
    )
    .demandCommand(1, 'name a command')
    .strict()
    .exitProcess(false)
    .version(version)
    .help()
    .epilogue(exitCodeHelp);
}
