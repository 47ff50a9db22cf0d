// The program of the executor image: `prepare` in the init container, `backup` beside the dump, and the commands that work on snapshots. Reads
// the environment, turns signals and failures into the termination message and the exit code.
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { decodeTask, type Result } from '../crds/rules/contract.ts';
import { explain, reasons } from '../crds/rules/reasons.ts';
import { backup } from './backup.ts';
import { commandsFor } from './commands.ts';
import { RunError, toRunError } from './errors.ts';
import { writeAbort } from './exchange.ts';
import { startHeartbeat } from './heartbeat.ts';
import { createLog, Secrets } from './log.ts';
import { prepare, prepareRestore } from './prepare.ts';
import { PruneFailed } from './prune.ts';
import { report, say } from './result.ts';
import { createRun, type Folders, foldersBelow, type Run } from './run.ts';

/** Put in by the build. */
const version = process.env.DBBACKUP_VERSION ?? 'development';
const secrets = new Secrets();
const log = createLog(secrets);
const messagePath = process.env['TERMINATION_LOG'] ?? '/dev/termination-log';
/** How long a run that was told to stop may take to take its upload back. */
const cancelMilliseconds = 8000;
const callOff = new AbortController();
/** The snapshot is committed, or what was asked is done, and told: whatever happens now, the run has succeeded. */
let committed = false;
/** What a failure means; more than it says itself once a restore has touched its target. */
let judged = (failure: RunError): RunError => failure;

function tell(result: Result): void {
  report({ log, secrets }, messagePath, result);
  if (result.run.outcome === 'Succeeded') committed = true;
}

const commands = commandsFor(process.env, {
  tell: (one) => {
    say({ log, secrets }, messagePath, one);
    if (one.run.outcome !== 'Failed') committed = true;
  },
  worsen: (means) => {
    judged = means;
  },
});

function decode(folders: Folders): Run {
  try {
    const storeMayBeLocal = process.env['DBBACKUP_STORE_MAY_BE_LOCAL'] === '1';
    const { env: environment } = process;
    const { signal } = callOff;
    const now = () => new Date();
    const rest = { folders, version, now, log, secrets, storeMayBeLocal, environment, signal };
    return createRun(decodeTask(environment), rest);
  } catch (error) {
    throw new RunError('ConfigInvalid', error instanceof Error ? error.message : String(error));
  }
}

/** The message is written before the dump is told to end: ours is the cause, its broken pipe the consequence. */
async function fail(error: unknown, folders: Folders): Promise<never> {
  if (committed) process.exit(0);
  const { reason, message } = judged(toRunError(error, 'run the executor', 'UploadFailed'));
  const stack = error instanceof Error && !(error instanceof RunError) ? error.stack : undefined;
  log.error({ reason, detail: message, explanation: explain(reason, message), stack }, 'the run failed');
  const inventory = error instanceof PruneFailed ? { inventory: error.inventory } : {};
  tell({ run: { outcome: 'Failed', reason, message }, ...inventory });
  await writeAbort(folders.run).catch(() => {});
  process.exit(reasons[reason].exitCode);
}

async function perform(action: (run: Run) => Promise<void>): Promise<void> {
  const folders = foldersBelow(process.env['DBBACKUP_ROOT'] ?? '/');
  process.on('SIGTERM', () => {
    if (committed) process.exit(0);
    const canceled = new RunError('Canceled', 'stop the run: it was told to before it was done');
    callOff.abort(canceled);
    // A store that does not answer must not keep us until the kubelet kills: the message would be lost.
    setTimeout(() => void fail(canceled, folders), cancelMilliseconds);
  });
  process.on('uncaughtException', (error) => void fail(error, folders));
  try {
    await action(decode(folders));
    process.exit(0);
  } catch (error) {
    // What called the run off rather than what broke because of it.
    await fail(callOff.signal.aborted ? callOff.signal.reason : error, folders);
  }
}

async function backupWithHeartbeat(run: Run): Promise<void> {
  startHeartbeat(run.folders.run);
  try {
    await backup(run, tell);
  } catch (error) {
    callOff.abort(error);
    throw error;
  }
}

await yargs(hideBin(process.argv))
  .scriptName('executor')
  .command('prepare', 'Get ready: FIFO, storage, leftovers', {}, () => perform(prepare))
  .command('backup', 'Take the dump to storage, commit it, prune', {}, () => perform(backupWithHeartbeat))
  .command('list', 'Tell what storage holds', {}, () => perform(commands.list))
  .command('prune', 'Delete what retention does not keep', {}, () => perform(commands.prune))
  .command('verify', 'Read a snapshot and compare it with its manifest', {}, () => perform(commands.verify))
  .command('prepare-restore', 'Get ready for a restore: FIFO, storage', {}, () => perform(prepareRestore))
  .command('restore', 'Feed a snapshot to the restore tool', {}, () => perform(commands.restore))
  .demandCommand(1)
  .strict()
  .version(version)
  .parseAsync();
