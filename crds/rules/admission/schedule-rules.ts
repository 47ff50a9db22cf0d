// Rules on schedule and time zone.
import { ScheduleError } from '../cron.ts';
import { gapWindow, parseSchedule, type Schedule } from '../schedule.ts';
import { isZone } from '../zone.ts';
import { error, type Finding, type Rule, warning } from './finding.ts';

const schedule: Rule = ({ metadata, spec }, { now }) => {
  const zone = spec.timeZone ?? 'Etc/UTC';
  const findings: Finding[] = [];
  const zoneIsKnown = isZone(zone);
  if (!zoneIsKnown)
    findings.push(
      error('spec.timeZone', zone, 'is not a known IANA time zone', 'write a name such as Europe/Berlin or Etc/UTC'),
    );
  if (spec.schedule === undefined) return findings;
  try {
    const read = parseSchedule(
      spec.schedule,
      zoneIsKnown ? zone : 'Etc/UTC',
      `${metadata.namespace ?? ''}/${metadata.name}`,
    );
    return [...findings, ...(now === undefined ? [] : gapWarning(spec.schedule, read, now))];
  } catch (cause) {
    if (!(cause instanceof ScheduleError)) throw cause;
    return [...findings, error('spec.schedule', spec.schedule, cause.message, cause.fix)];
  }
};

function gapWarning(text: string, read: Schedule, now: Date): Finding[] {
  const moved = gapWindow(read, now.getTime());
  if (moved === undefined) return [];
  const at = new Date(moved).toISOString().slice(0, 16);
  const message = `has a window that daylight saving leaves out; it will run at ${at}Z instead`;
  return [warning('spec.schedule', text, message, 'choose an hour that every day has, if the time matters')];
}

export const scheduleRules: readonly Rule[] = [schedule];
