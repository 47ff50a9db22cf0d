// Step: the schedule's baseline, the next window, and the Job of the window that is due.
import { annotations, windowJobName } from '../../crds/rules/names.ts';
import { latestDue, missedLimit, parseSchedule, type Schedule } from '../../crds/rules/schedule.ts';
import { buildJob } from '../job.ts';
import { jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';

/** A change of schedule or zone, and the end of a suspension, start the count of windows anew. */
export function baseline(draft: Draft): void {
  const { observed, effective, status, now } = draft;
  const { spec, metadata } = observed.backup;
  const seen = `${effective.suspend ? 'suspended ' : ''}${effective.timeZone} ${spec.schedule ?? ''}`;
  if (status.observedSchedule === seen) return;
  const first = status.observedSchedule === undefined;
  const onlySuspended = seen === `suspended ${status.observedSchedule}`;
  if (first) status.scheduleBaseline = metadata.creationTimestamp;
  else if (!onlySuspended) status.scheduleBaseline = rfc3339(now);
  status.observedSchedule = seen;
}

/** Shows the next window, queues a Job for the one that is due and counts what was missed. */
export function windows(draft: Draft): void {
  const { observed, effective, status, now } = draft;
  const { spec, metadata } = observed.backup;
  delete status.nextScheduledBackup;
  if (spec.schedule === undefined || draft.findings.length > 0) return;
  const schedule = parseSchedule(spec.schedule, effective.timeZone, `${metadata.namespace}/${metadata.name}`);
  status.effective = { ...status.effective, schedule: schedule.resolved };
  if (effective.suspend) return;
  due(draft, schedule);
  const next = schedule.next(now.getTime());
  if (next === undefined) return;
  status.nextScheduledBackup = rfc3339(next);
  draft.wake.push(next);
}

function due(draft: Draft, schedule: Schedule): void {
  const { observed, effective, status, now } = draft;
  const pending = observed.jobs.filter((job) => jobEnd(job) === undefined && slotOf(job) !== undefined);
  const handled = [
    status.scheduleBaseline,
    status.lastAttemptScheduledTime,
    status.missedUntil,
    ...pending.map(slotOf),
  ];
  const after = Math.max(...handled.map((time) => (time === undefined ? 0 : Date.parse(time))));
  const found = latestDue(schedule, after, now.getTime());
  if (found === undefined) return;
  const late = now.getTime() - found.latest > effective.startingDeadlineSeconds * 1000;
  const skipped = Math.min(found.skipped, missedLimit);
  if (pending.length > 0 || late) {
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
  const trigger = { kind: 'Schedule', slot: rfc3339(found.latest) } as const;
  const job = buildJob({ backup: observed.backup, settings: draft.settings, name, trigger });
  if (observed.conflict?.jobName !== name) draft.effects.push({ kind: 'createJob', job, name });
}

function missedEvent(draft: Draft, count: number, more: boolean, why: string): void {
  const note = `${more ? `more than ${missedLimit}` : count} window(s) did not run: ${why}`;
  draft.effects.push({ kind: 'event', type: 'Warning', reason: 'WindowMissed', action: 'Schedule', note });
}

/** The window that a Job is for; undefined for a manual one, and where somebody wrote something else there. */
export function slotOf(job: { metadata: { annotations?: Record<string, string> } }): string | undefined {
  const slot = job.metadata.annotations?.[annotations.slot];
  return slot === undefined || Number.isNaN(Date.parse(slot)) ? undefined : slot;
}
