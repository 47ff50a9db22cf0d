// Step: the schedule's baseline, the next window, and the Job of the window that is due.
import { windowJobName } from '../../crds/rules/names.ts';
import { latestDue, missedLimit, type Schedule } from '../../crds/rules/schedule.ts';
import { isStarted, type Job, jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import { slotOf } from '../purpose.ts';
import { made } from './made.ts';

/** A change of schedule or zone, and the end of a suspension, start the count of windows anew. */
export function baseline(draft: Draft): void {
  const { observed, effective, status } = draft;
  const { spec, metadata } = observed.backup;
  const seen = `${effective.suspend ? 'suspended ' : ''}${effective.timeZone} ${spec.schedule ?? ''}`;
  if (status.observedSchedule === seen) return;
  const first = status.observedSchedule === undefined;
  const onlySuspended = seen === `suspended ${status.observedSchedule}`;
  if (first) status.scheduleBaseline = metadata.creationTimestamp;
  else if (!onlySuspended) startAnew(draft);
  status.observedSchedule = seen;
}

/** Clocks that are set right move by less; what lies further ahead was handled by a clock that was far off. */
const farAheadMilliseconds = 86_400_000;

/** What a clock far ahead has handled no longer holds up windows that are yet to come. Nearer ones may have run: they do not run again. */
function startAnew({ status, now }: Draft): void {
  status.scheduleBaseline = rfc3339(now);
  for (const field of ['lastAttemptScheduledTime', 'missedUntil'] as const)
    if (Date.parse(status[field] ?? '') - now.getTime() > farAheadMilliseconds) delete status[field];
}

/** Shows the next window, queues a Job for the one that is due and counts what was missed. */
export function windows(draft: Draft): void {
  const { effective, status, now, schedule } = draft;
  delete status.nextScheduledBackup;
  if (schedule === undefined) return;
  status.effective = { ...status.effective, schedule: schedule.resolved };
  if (effective.suspend) return;
  due(draft, schedule);
  // What was handled by a clock that has been set back does not come again.
  const next = schedule.next(Math.max(now.getTime(), handledUntil(draft)));
  if (next === undefined) return;
  status.nextScheduledBackup = rfc3339(next);
  draft.wake.push(next);
}

/** Windows of scheduled Jobs that are not finished. */
const unfinished = (draft: Draft): string[] =>
  draft.observed.jobs.flatMap((job) => {
    const slot = jobEnd(job) === undefined ? slotOf(job) : undefined;
    return slot === undefined || isOver(draft, job, slot) ? [] : [slot];
  });

/**
 * Status says that a Job's window is claimed and that its run has ended, or another's is the last that was claimed: the Job is only not yet
 * seen to have ended. What is counted as missed because of it may have a Job of another controller's by now.
 */
function isOver({ status }: Draft, { metadata }: Job, slot: string): boolean {
  const { run, lastAttemptScheduledTime: claimed } = status;
  if (metadata.uid === run?.jobUID) return run.outcome !== undefined;
  return claimed !== undefined && Date.parse(slot) <= Date.parse(claimed);
}

/** Windows up to this instant are spoken for, in ms. */
function handledUntil(draft: Draft): number {
  return Math.max(storedUntil(draft), ...unfinished(draft).map((slot) => Date.parse(slot)));
}

/** Windows up to this instant are spoken for by what status says, in ms. */
function storedUntil({ status }: Draft): number {
  const { scheduleBaseline, lastAttemptScheduledTime, missedUntil } = status;
  return Math.max(...[scheduleBaseline, lastAttemptScheduledTime, missedUntil].map((at) => Date.parse(at ?? '') || 0));
}

function due(draft: Draft, schedule: Schedule): void {
  const { observed, effective, now } = draft;
  takeBack(draft);
  countBeforeJob(draft, schedule);
  const found = latestDue(schedule, handledUntil(draft), now.getTime());
  if (found === undefined) return;
  const late = now.getTime() - found.latest > effective.startingDeadlineSeconds * 1000;
  const ended = hasEnded(draft, found.latest);
  if (late || ended || unfinished(draft).length > 0) {
    const why = ended ? unclaimed : late ? tooLate : whatHoldsUp(draft);
    missed(draft, found.skipped, 1, found.latest, why);
    return;
  }
  // The windows before the due one are counted; the due one itself is not handled yet.
  if (found.skipped > 0) missed(draft, found.skipped, 0, found.latest - 1000, onlyLatest);
  const name = windowJobName(observed.backup.metadata.name, new Date(found.latest));
  if (observed.conflict?.jobName === name) return;
  draft.effects.push({ kind: 'createJob', ...made(draft, name, { kind: 'Schedule', slot: rfc3339(found.latest) }) });
}

const tooLate = 'it was more than startingDeadlineSeconds ago';
const unclaimed = 'its Job has ended without a claim, and its name is taken';

/** The Job of the window before that is in the way of the due one. */
function whatHoldsUp({ observed }: Draft): string {
  const runs = observed.jobs.some((job) => jobEnd(job) === undefined && isStarted(job));
  return runs ? 'the run before is not finished' : 'the run before still waits to start';
}

/** A Job that ended before it was claimed, as one does that a person lets go by hand: its window has no other, the name is taken. */
function hasEnded({ observed }: Draft, window: number): boolean {
  return observed.jobs.some((job) => jobEnd(job) !== undefined && Date.parse(slotOf(job) ?? '') === window);
}

const onlyLatest = 'only the latest window is caught up';

/** Whoever made the oldest Job may have died before the status was written with what the Job passed over: it is counted now. */
function countBeforeJob(draft: Draft, schedule: Schedule): void {
  const slots = unfinished(draft).map((slot) => Date.parse(slot));
  if (slots.length > 0) countUntil(draft, schedule, Math.min(...slots, draft.now.getTime()) - 1000);
}

function countUntil(draft: Draft, schedule: Schedule, until: number): void {
  const found = latestDue(schedule, storedUntil(draft), until);
  if (found !== undefined) missed(draft, found.skipped, 1, found.latest, onlyLatest);
}

/** A claim speaks for its own window and all before it. Whose Job a clock far ahead has made passes over some that are still to come. */
export function countForClaim(draft: Draft, slot: string): void {
  if (draft.schedule !== undefined) countUntil(draft, draft.schedule, Date.parse(slot) - 1000);
}

/** A window was given up in the moment in which the run before it ended, and its Job was made all the same: it is not missed. */
function takeBack(draft: Draft): void {
  const { status } = draft;
  const slot = unfinished(draft).find((one) => one === status.missedUntil);
  if (slot === undefined) return;
  status.missedWindows = Math.max(0, (status.missedWindows ?? 0) - 1);
  status.missedUntil = rfc3339(Date.parse(slot) - 1000);
}

/** The Job of a window has gone and may not be made again. Where later windows are counted nothing else would tell of this one. */
export function passOver(draft: Draft, slot: string | undefined): void {
  if (slot === undefined || Date.parse(slot) > storedUntil(draft)) return;
  missed(draft, 0, 1, storedUntil(draft), 'its Job was made anew for a change of the spec, and refused');
}

/** Counts windows up to an instant, which status remembers so that none is counted twice. */
function missed(draft: Draft, skipped: number, more: 0 | 1, until: number, why: string): void {
  const { status, effects } = draft;
  const count = Math.min(skipped, missedLimit) + more;
  status.missedWindows = (status.missedWindows ?? 0) + count;
  status.missedUntil = rfc3339(until);
  const note = `${skipped > missedLimit ? `more than ${missedLimit}` : count} window(s) did not run: ${why}`;
  effects.push({ kind: 'event', type: 'Warning', reason: 'WindowMissed', action: 'Schedule', note });
}

/** The newest window that did not run, when nothing has run since; undefined when all is well. */
export function overdueSince(draft: Draft): string | undefined {
  const { status, schedule, effective } = draft;
  const { missedUntil, lastAttemptScheduledTime, lastSuccessfulBackup } = status;
  if (schedule === undefined || effective.suspend || missedUntil === undefined) return undefined;
  const since = [status.scheduleBaseline, lastAttemptScheduledTime, lastSuccessfulBackup, ...unfinished(draft)];
  return since.some((time) => time !== undefined && Date.parse(time) >= Date.parse(missedUntil))
    ? undefined
    : missedUntil;
}
