// When all is left alone: what must have come to its end, and that nothing is written any more.
import { type Backup, type Job, jobEnd, type Lease, podEnded } from '../../controller/objects.ts';
import { slotOf } from '../../controller/purpose.ts';
import { effective } from '../../crds/rules/effective.ts';
import { annotations } from '../../crds/rules/names.ts';
import { parseSchedule } from '../../crds/rules/schedule.ts';
import { giveBack } from './ambush.ts';
import type { World } from './world.ts';

/** The chaos ends: clocks are right, nothing lags, nodes and strangers are back or gone, and what is wrong in a spec is mended. */
export function calmDown(world: World): void {
  const { api, kubelet, controllers, agenda } = world;
  world.trace('-- from here on the world is left alone');
  world.awayUntil = 0;
  kubelet.calm = true;
  kubelet.armed.clear();
  for (const controller of controllers) controller.calm();
  for (const pod of api.all('pods').values()) agenda.in(30_000, () => giveUp(world, pod));
  for (const lease of api.all('leases').values())
    if (lease.spec?.holderIdentity?.startsWith('upgrade-') === true && lease.spec.leaseDurationSeconds === undefined)
      giveBack(world, lease);
  for (const job of api.all('jobs').values())
    if (job.metadata.ownerReferences === undefined) api.remove('jobs', job, 'user');
  for (const backup of api.all('backups').values())
    if (backup.spec.schedule === 'not a schedule') world.edit(backup, 'spec.schedule', '*/15 * * * *');
}

/** A node that was lost is given up for good. */
function giveUp({ api }: World, pod: Parameters<typeof api.remove>[1]): void {
  const now = api.get('pods', pod.metadata.namespace, pod.metadata.name);
  if (now?.metadata.deletionTimestamp !== undefined) api.remove('pods', pod, 'kubelet');
}

/** What is not yet as it must be; undefined when all has come to rest. */
export function unsettled(world: World): string | undefined {
  const { api, controllers } = world;
  for (const controller of controllers) if (!controller.idle) return `${controller.name} is at work`;
  for (const backup of api.all('backups').values()) {
    const found = unsettledBackup(world, backup);
    if (found !== undefined) return `${backup.metadata.name}: ${found}`;
  }
  for (const { metadata } of api.all('jobs').values())
    if (!isKept(world, metadata)) return `Job ${metadata.name} waits for the collector`;
  for (const pod of api.all('pods').values()) if (!podEnded(pod)) return `pod ${pod.metadata.name} is at work`;
  const held = [...api.all('leases').values()].find(isOurs);
  return held === undefined ? undefined : `${held.metadata.name} is held by ${held.spec?.holderIdentity}`;
}

const isThere = ({ api }: World, backupUid: string | undefined): boolean =>
  [...api.all('backups').values()].some(({ metadata }) => metadata.uid === backupUid);

/** Its backup has not been deleted. */
const isKept = (world: World, { ownerReferences = [] }: Job['metadata']): boolean =>
  ownerReferences.some(({ uid }) => isThere(world, uid));

function isOurs({ spec }: Lease): boolean {
  const holder = spec?.holderIdentity ?? '';
  return holder !== '' && !holder.startsWith('upgrade-');
}

function unsettledBackup(world: World, backup: Backup): string | undefined {
  const { status = {}, spec, metadata } = backup;
  const { ledger } = world.invariants;
  if (status.observedGeneration !== metadata.generation) return 'its spec has not been looked at';
  if (status.run !== undefined && status.run.outcome === undefined) return `run ${status.run.jobUID} goes on`;
  const jobs = world.jobsOf(backup);
  const open = jobs.find((job) => jobEnd(job) === undefined && !isUnseen(job));
  if (open !== undefined) return `Job ${open.metadata.name} is not finished`;
  for (const [uid, { backupUid }] of ledger.started)
    if (backupUid === metadata.uid && !ledger.recorded.has(uid)) return `Job ${uid} ran, its outcome is not in status`;
  const { token, satisfiedBy, failedAt } = status.gate ?? {};
  if (spec.gate?.token !== token) return `gate "${spec.gate?.token}" has not been seen`;
  if (token !== undefined && satisfiedBy === undefined && failedAt === undefined) return `gate "${token}" is pending`;
  const asked = metadata.annotations?.[annotations.trigger];
  if (asked !== undefined && asked !== '' && asked !== status.lastHandledTrigger?.token)
    return `token "${asked}" waits`;
  return tooManyJobs(backup, jobs) ?? wrongCount(world, backup) ?? wrongNext(world, backup, jobs);
}

/** Each window since the creation, up to the last that was handled, was claimed or counted as missed, once. */
function wrongCount(world: World, backup: Backup): string | undefined {
  const { status = {}, spec, metadata } = backup;
  if (spec.schedule === undefined || status.scheduleBaseline !== metadata.creationTimestamp) return undefined;
  // Somebody who deletes a waiting Job, or takes its labels, after a later window was counted takes its window away for good.
  if (world.history.actions.some(({ what }) => what === 'delete job' || what === 'strip labels')) return undefined;
  const schedule = parseSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', `${metadata.namespace}/${metadata.name}`);
  const until = Math.max(
    ...[status.lastAttemptScheduledTime, status.missedUntil].map((time) => Date.parse(time ?? '') || 0),
  );
  let count = 0;
  for (let at = schedule.next(Date.parse(metadata.creationTimestamp)); at !== undefined && at <= until; count++)
    at = schedule.next(at);
  const claimed = world.invariants.ledger.windowsOf(metadata.uid);
  const { missedWindows = 0 } = status;
  const found = claimed + missedWindows;
  const right = found === count || (found > count ? countsTwice(world) : losesOne(world) && found === count - 1);
  return right ? undefined : `of ${count} windows ${claimed} were claimed and ${missedWindows} counted as missed`;
}

/**
 * Of two controllers at work at once the one whose clock is ahead can give a window up before it sees the Job that the other has just made
 * for it: the window runs, and is counted as missed too. Nothing runs twice, and no window is left out.
 */
const countsTwice = ({ controllers, history }: World): boolean =>
  controllers.length > 1 && history.actions.some(({ what }) => what === 'clock');

/**
 * A Job that waits for the lock while later windows are counted, and is made anew because its spec has changed, is gone when the controller
 * dies between the two calls: nothing tells of its window any more. One that waits when the schedule is suspended goes for good, and its
 * window is neither run nor missed.
 */
const losesOne = ({ history: { actions } }: World): boolean =>
  actions.some((action) => action.what === 'edit' && action.field === 'suspend') ||
  (actions.some(({ what }) => what === 'edit') &&
    actions.some((action) => action.what === 'fault' && action.fault.startsWith('crash')));

/** A Job that waits and whose labels somebody took is not seen, and left alone. */
const isUnseen = (job: Job): boolean => job.metadata.labels === undefined && job.spec.suspend === true;

function tooManyJobs(backup: Backup, jobs: readonly Job[]): string | undefined {
  const { successfulJobsHistoryLimit: good, failedJobsHistoryLimit: bad } = effective(backup);
  const { jobUID, claimedAt = '' } = backup.status?.run ?? {};
  const ended = (end: string): number =>
    jobs.filter(({ metadata, ...job }) => {
      // One that a clock far ahead started stays until that time has come.
      const ahead = Date.parse(metadata.annotations?.[annotations.started] ?? '') >= Date.parse(claimedAt);
      return jobEnd({ metadata, ...job }) === end && metadata.uid !== jobUID && metadata.labels !== undefined && !ahead;
    }).length;
  return ended('Complete') > good || ended('Failed') > bad ? 'it keeps more Jobs than its history limits' : undefined;
}

function wrongNext({ agenda }: World, backup: Backup, jobs: readonly Job[]): string | undefined {
  const { status = {}, spec, metadata } = backup;
  const shown = status.nextScheduledBackup;
  if (spec.schedule === undefined || spec.suspend === true)
    return shown === undefined ? undefined : `nextScheduledBackup is ${shown}, the schedule is stopped`;
  const schedule = parseSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', `${metadata.namespace}/${metadata.name}`);
  const handled = [status.scheduleBaseline, status.lastAttemptScheduledTime, status.missedUntil, ...jobs.map(slotOf)];
  const times = handled.map((time) => Date.parse(time ?? '')).filter((time) => !Number.isNaN(time));
  const right = schedule.next(Math.max(agenda.now, ...times));
  return right === Date.parse(shown ?? '')
    ? undefined
    : `nextScheduledBackup is ${shown}, not ${new Date(right ?? 0).toISOString()}`;
}
