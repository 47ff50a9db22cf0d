// Step: the schedule's baseline, the next window, and the Job of the window that is due.
import { windowJobName } from '../../crds/rules/names.ts';
import { latestDue, missedLimit, type Schedule } from '../../crds/rules/schedule.ts';
import { jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import { slotOf } from '../purpose.ts';
import { made } from './waiting.ts';

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

/** Whatever a clock that ran ahead has handled no longer holds up windows that are yet to come. */
function startAnew({ status, now }: Draft): void {
  status.scheduleBaseline = rfc3339(now);
  for (const field of ['lastAttemptScheduledTime', 'missedUntil'] as const)
    if (Date.parse(status[field] ?? '') > now.getTime()) delete status[field];
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

/** Scheduled Jobs that are not finished. */
const unfinished = (draft: Draft): string[] =>
  draft.observed.jobs.flatMap((job) => {
    const slot = jobEnd(job) === undefined ? slotOf(job) : undefined;
    return slot === undefined ? [] : [slot];
  });

/** Windows up to this instant are spoken for, in ms. */
function handledUntil(draft: Draft): number {
  const { scheduleBaseline, lastAttemptScheduledTime, missedUntil } = draft.status;
  const handled = [scheduleBaseline, lastAttemptScheduledTime, missedUntil, ...unfinished(draft)];
  return Math.max(...handled.map((time) => (time === undefined ? 0 : Date.parse(time))));
}

function due(draft: Draft, schedule: Schedule): void {
  const { observed, effective, status, now } = draft;
  const found = latestDue(schedule, handledUntil(draft), now.getTime());
  if (found === undefined) return;
  const late = now.getTime() - found.latest > effective.startingDeadlineSeconds * 1000;
  const skipped = Math.min(found.skipped, missedLimit);
  if (late || unfinished(draft).length > 0) {
    status.missedWindows = (status.missedWindows ?? 0) + skipped + 1;
    status.missedUntil = rfc3339(found.latest);
    const why = late ? 'it was more than startingDeadlineSeconds ago' : 'the run before is not finished';
    missedEvent(draft, skipped + 1, found.skipped > missedLimit, why);
    return;
  }
  if (skipped > 0) {
    status.missedWindows = (status.missedWindows ?? 0) + skipped;
    // The windows before the due one are counted; the due one itself is not handled yet.
    status.missedUntil = rfc3339(found.latest - 1000);
    missedEvent(draft, skipped, found.skipped > missedLimit, 'only the latest window is caught up');
  }
  const name = windowJobName(observed.backup.metadata.name, new Date(found.latest));
  if (observed.conflict?.jobName === name) return;
  draft.effects.push({ kind: 'createJob', ...made(draft, name, { kind: 'Schedule', slot: rfc3339(found.latest) }) });
}

function missedEvent(draft: Draft, count: number, more: boolean, why: string): void {
  const note = `${more ? `more than ${missedLimit}` : count} window(s) did not run: ${why}`;
  draft.effects.push({ kind: 'event', type: 'Warning', reason: 'WindowMissed', action: 'Schedule', note });
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
