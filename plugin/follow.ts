// Follows a manual trigger from the annotation to the end of its run, and says on the way what it waits for.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { containers, decodeResult } from '../crds/rules/contract.ts';
import { annotations } from '../crds/rules/names.ts';
import { ApiError, CommandError, describeError, exitCodes, mayPass } from './errors.ts';
import { containersOf, jobState } from './objects.ts';
import { oneLine } from './output/printable.ts';
import { span } from './output/quantities.ts';
import { progressLine, readProgress } from './progress.ts';
import { type End, failure, type Standing, standing } from './standing.ts';
import type { World } from './world.ts';

export interface Followed {
  name: string;
  token: string;
  /** 0 waits for ever. */
  limitMilliseconds: number;
}

/** Two looks a few seconds apart cost the API server little and miss no run. */
const lookMilliseconds = 2_000;
/** A controller that runs takes up a trigger within seconds. */
const silenceMilliseconds = 30_000;
/** Looks that may fail one after another while the API server restarts: two minutes. */
const failedLooks = 60;

export async function follow(world: World, followed: Followed): Promise<End> {
  const { name, token, limitMilliseconds } = followed;
  const say = sayer(world);
  const started = world.now().getTime();
  let jobUid: string | undefined;
  for (;;) {
    const backup = await look(world, name);
    const stands = standing(backup, token, jobUid);
    if (stands.kind === 'ended') return stands.end;
    const past = stands.kind === 'past' ? await endOfJob(world, name, stands.jobUid) : undefined;
    if (past !== undefined) return past;
    if (stands.kind === 'lost') jobUid = await jobOfToken(world, followed);
    else if (stands.kind === 'running') jobUid = stands.jobUid;
    const waited = world.now().getTime() - started;
    await say(stands, backup, waited);
    if (limitMilliseconds > 0 && waited >= limitMilliseconds)
      throw new CommandError(`not finished within ${span(limitMilliseconds)}; the backup goes on`, exitCodes.timeout);
    await world.pause(lookMilliseconds);
  }
}

/** Reads the object, and tries again while the API server is away. */
async function look(world: World, name: string): Promise<DatabaseBackup> {
  for (let left = failedLooks; ; left -= 1) {
    try {
      return await world.kube.getBackup(world.namespace, name);
    } catch (error) {
      if (!mayPass(error) || left <= 1) throw error;
      if (left === failedLooks) world.terminal.note(`${describeError(error)}; trying again`);
      await world.pause(lookMilliseconds);
    }
  }
}

/** Writes each new state once, and the progress of a running one. */
function sayer(world: World): (stands: Standing, backup: DatabaseBackup, waited: number) => Promise<void> {
  const { terminal } = world;
  let said = '';
  let mayReadLog = true;
  let isSilent = false;
  const once = (line: string): void => {
    if (line !== said) terminal.note(line);
    said = line;
  };
  return async (stands, backup, waited) => {
    if (stands.kind === 'waiting') {
      once(stands.why);
      if (stands.why !== 'waiting for the controller' || waited < silenceMilliseconds || isSilent) return;
      isSilent = true;
      terminal.note('nobody has taken up the trigger yet: check that the dbbackup controller is running');
    }
    if (stands.kind !== 'running') return;
    once(`running: job ${oneLine(stands.jobName)}`);
    if (!mayReadLog) return;
    try {
      const progress = await readProgress(world, stands.jobUid);
      if (progress !== undefined) terminal.progress(progressLine(progress, backup.status?.lastSnapshot?.size));
    } catch (error) {
      mayReadLog = false;
      terminal.note(`no live progress: ${describeError(error)}`);
    }
  };
}

/** A trigger that was replaced after its Job was made still runs; one that was replaced before never will. */
async function jobOfToken(world: World, { name, token }: Followed): Promise<string> {
  const jobs = await world.kube.jobsOf(world.namespace, name);
  const uid = jobs.find((job) => job.metadata.annotations?.[annotations.token] === token)?.metadata.uid;
  if (uid !== undefined) return uid;
  throw new CommandError(
    `the annotation ${annotations.trigger} was changed before this trigger was taken up: trigger again`,
  );
}

/** The end of a run that status does not show, from its Job and the executor's result; undefined while it has not ended. */
async function endOfJob(world: World, name: string, jobUid: string): Promise<End | undefined> {
  const jobs = await world.kube.jobsOf(world.namespace, name);
  const job = jobs.find(({ metadata }) => metadata.uid === jobUid);
  if (job === undefined)
    throw new CommandError('the run ended and its record is gone: see list-snapshots for what was stored');
  const state = jobState(job);
  if (state === 'Queued' || state === 'Running') return undefined;
  const pods = await world.kube.podsOf(world.namespace, jobUid).catch((error: unknown) => {
    if (error instanceof ApiError) return [];
    throw error;
  });
  const statuses = pods.flatMap(containersOf).filter((container) => container.name === containers.executor);
  for (const { state: ended } of statuses.reverse()) {
    const run = decodeResult(ended?.terminated?.message ?? '')?.run;
    if (run?.outcome === 'Succeeded') return { kind: 'stored', id: run.id, key: run.key, storedSize: run.storedSize };
    if (run?.outcome === 'Failed') return failure(run.reason, run.message);
  }
  if (state === 'Failed') return failure('Unknown', 'its pod is gone');
  throw new CommandError('the run succeeded and its record is gone: see list-snapshots for what was stored');
}
