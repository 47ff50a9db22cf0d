// npm run rig: a real cluster to try things on, left running until it is told to stop.
import { parseArgs } from 'node:util';
import { startCluster, stopCluster } from './cluster/cluster.ts';
import { checkRigName, DEFAULT_NAME, kubeconfigFile, readState } from './cluster/state.ts';
import { statusLines } from './cluster/status.ts';

const USAGE = `usage: npm run rig -- COMMAND [--name NAME]

  up [--control-plane-only]   start a cluster and leave it running
  status                      list the clusters of this machine and their programs
  kubeconfig                  print the path of the kubeconfig
  load ARCHIVE                load a docker or OCI image archive, so that pods can use it
  down                        stop the cluster and remove everything it left

NAME is "${DEFAULT_NAME}" unless given. DBBACKUP_KUBECONFIG names a cluster to use instead of starting one.`;

class UsageError extends Error {}

interface Command {
  readonly verb: string;
  readonly name: string | undefined;
  readonly archive: string | undefined;
  readonly node: boolean;
}

function parse(args: string[]): Command | 'help' {
  let parsed: ReturnType<typeof read>;
  try {
    parsed = read(args);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help === true) return 'help';
  const [verb, archive, ...rest] = positionals;
  if (verb === undefined) throw new UsageError('no command given');
  if (!['up', 'status', 'kubeconfig', 'load', 'down'].includes(verb)) throw new UsageError(`no command "${verb}"`);
  if ((archive !== undefined) !== (verb === 'load') || rest.length > 0) {
    throw new UsageError(verb === 'load' ? 'load takes one archive' : `"${verb}" takes no "${archive ?? rest[0]}"`);
  }
  const alone = values['control-plane-only'] === true;
  if (alone && verb !== 'up') throw new UsageError(`"${verb}" takes no --control-plane-only`);
  try {
    if (values.name !== undefined) checkRigName(values.name);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  return { verb, name: values.name, archive, node: !alone };
}

function read(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      'control-plane-only': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** Progress goes to standard error: what is printed to standard output is meant to be used by a shell. */
const log = (line: string): void => console.error(line);

async function perform(command: Command): Promise<void> {
  const { name = DEFAULT_NAME } = command;
  switch (command.verb) {
    case 'up':
      return up(name, command.node);
    case 'status':
      return console.log((await statusLines(command.name)).join('\n'));
    case 'kubeconfig':
      if ((await readState(name))?.phase !== 'ready') throw new Error(`no rig "${name}" is up; npm run rig -- up`);
      return console.log(kubeconfigFile(name));
    case 'load':
      return load(name, command.archive ?? '');
    default:
      await stopCluster(name, log);
      return log(`rig "${name}" is down`);
  }
}

async function up(name: string, node: boolean): Promise<void> {
  let interrupted = false;
  const interrupt = async (): Promise<void> => {
    // Nothing of the rig exists before its record. Once it does, the start is let run to its end (seconds), then undone.
    if (interrupted || (await readState(name)) === null) process.exit(130);
    interrupted = true;
    log('stopping; once more to leave at once');
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const started = performance.now();
  const cluster = await startCluster({ name, node, log });
  if (interrupted) {
    await cluster.stop();
    process.exit(130);
  }
  log(`rig "${name}" (${cluster.provider}) is up after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.log(`export KUBECONFIG=${cluster.kubeconfig}`);
}

/** Does for a person, or for DBBACKUP_IMAGE_LOAD, what tests do through the cluster they started. */
async function load(name: string, archive: string): Promise<void> {
  const state = await readState(name);
  if (state?.phase !== 'ready') throw new Error(`no rig "${name}" is up; npm run rig -- up`);
  // The rig is meant, also where DBBACKUP_KUBECONFIG names a cluster: this may be what DBBACKUP_IMAGE_LOAD runs.
  const env = { ...process.env, DBBACKUP_KUBECONFIG: '' };
  const cluster = await startCluster({ name, node: state.hasNode, log, env });
  await cluster.loadImage(archive);
}

try {
  const command = parse(process.argv.slice(2));
  if (command === 'help') console.log(USAGE);
  else await perform(command);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
