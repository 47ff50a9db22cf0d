// Cron windows as instants: the next one, the latest one due and how many were skipped. Never skips a local day, never doubles one.
// cron-parser counts on the wall clock alone (in UTC, where days are even); what a wall clock means in a zone is decided here.
import { type CronExpression, CronExpressionParser } from 'cron-parser';
import { resolveCron, ScheduleError } from './cron.ts';
import { instantOf, isZone, offsetAt, transition } from './zone.ts';

export interface Schedule {
  /** Five fields with @ names and H resolved. */
  readonly resolved: string;
  readonly zone: string;
  /** The first window strictly after an instant, in ms; undefined when there is none within eight years. */
  next(after: number): number | undefined;
  /** Its hours are all 24: it counts real instants, not walls. */
  readonly everyHour: boolean;
  /** The first matching wall clock after another. */
  nextWall(wall: number): number | undefined;
}

const day = 86_400_000;
/** The longest wait is that of 29 February over a year 2100. */
const horizon = 8 * 366 * day;
/** Where the search begins for a first window, which shows that there is one: 29 February is three years away. */
const someDay = Date.UTC(2025, 0, 1);

function expressionOf(resolved: string): CronExpression {
  try {
    const expression = CronExpressionParser.parse(resolved, { currentDate: new Date(someDay), tz: 'UTC' });
    expression.next();
    return expression;
  } catch {
    throw new ScheduleError(`"${resolved}" never fires`, 'name a day that its months have');
  }
}

/**
 * Reads a schedule.
 * @param seed `namespace/name` of the object, for H
 * @throws ScheduleError with message and fix, for the schedule or the zone
 */
export function parseSchedule(text: string, zone: string, seed: string): Schedule {
  if (!isZone(zone))
    throw new ScheduleError(`unknown time zone "${zone}"`, 'use an IANA name, for example Europe/Berlin or Etc/UTC');
  const resolved = resolveCron(text, seed);
  const expression = expressionOf(resolved);
  /** The next matching wall clock after another. */
  const nextWall = (wall: number): number | undefined => {
    try {
      expression.reset(new Date(wall));
      return expression.next().getTime();
    } catch {
      return undefined; // It never matches, as on 30 February.
    }
  };
  const everyHour = expression.fields.hour.values.length === 24;
  const next = (after: number): number | undefined => {
    const found = everyHour ? nextReal(nextWall, zone, after) : nextLocal(nextWall, zone, after);
    return found === undefined || found - after > horizon ? undefined : found;
  };
  return { resolved, zone, next, everyHour, nextWall };
}

/** Hours that all match are a wildcard: every real instant that matches counts, gaps have none, repeated hours have theirs twice. */
function nextReal(nextWall: (wall: number) => number | undefined, zone: string, after: number): number | undefined {
  let from = after;
  let wall = from + offsetAt(from, zone);
  // A step passes a change of offset or a stretch without a window; there are a few of each before the horizon.
  for (let step = 0; step < 64; step++) {
    const found = nextWall(wall);
    if (found === undefined) return undefined;
    const offset = offsetAt(from, zone);
    const instant = found - offset;
    // A change turns the clock back by a day at the most: further away than that no hour of here or there is repeated.
    const near = Math.min(instant, from + 2.2 * day);
    if (offsetAt(near, zone) !== offset) {
      from = transition(from, near, zone);
      wall = from + offsetAt(from, zone) - 1000; // The first instant after the change counts too.
    } else if (near === instant) return instant;
    else {
      from = instant - 1.1 * day;
      wall = from + offsetAt(from, zone);
    }
  }
  return undefined;
}

/** Any other schedule is local: every matching wall clock runs once, moved out of gaps, at its first occurrence. */
function nextLocal(nextWall: (wall: number) => number | undefined, zone: string, after: number): number | undefined {
  // A later wall clock never has an earlier instant, so none before this one is due after it.
  let wall = after + offsetAt(after, zone);
  for (;;) {
    const found = nextWall(wall);
    if (found === undefined || found - after > horizon + day) return undefined;
    const instant = instantOf(found, zone);
    if (instant > after) return instant;
    wall = found;
  }
}

/** How far ahead gaps are looked for: every zone with daylight saving has one within it. */
const gapHorizon = 370 * day;

/** A time that the zone's clock leaves out: from one offset to a larger one. */
interface Gap {
  change: number;
  before: number;
  after: number;
}

/** The last answer for each zone. Looking takes some hundred readings of the zone's clock, far more than all else that a review does. */
const gapsOfZones = new Map<string, { from: number; gaps: Gap[] }>();

/** The gaps of about a year from a day on. */
function gapsFrom(from: number, zone: string): Gap[] {
  const key = zone.toLowerCase();
  const known = gapsOfZones.get(key);
  if (known?.from === from) return known.gaps;
  const gaps: Gap[] = [];
  let before = offsetAt(from, zone);
  for (let at = from; at < from + gapHorizon; at += day) {
    const after = offsetAt(at + day, zone);
    if (after > before) gaps.push({ change: transition(at, at + day, zone), before, after });
    before = after;
  }
  gapsOfZones.set(key, { from, gaps });
  return gaps;
}

/**
 * The instant to which the next window in a gap of the zone's clock moves, within about a year; undefined when none does.
 * Schedules that match every hour have no windows in gaps.
 */
export function gapWindow(schedule: Schedule, from: number): number | undefined {
  if (schedule.everyHour) return undefined;
  for (const { change, before, after } of gapsFrom(Math.floor(from / day) * day, schedule.zone)) {
    if (change <= from) continue;
    // The walls that the clock leaves out are those from its old reading at the change to its new one.
    const wall = schedule.nextWall(change + before - 1);
    if (wall !== undefined && wall < change + after) return change;
  }
  return undefined;
}

export interface Due {
  /** The latest window that is not later than now. */
  latest: number;
  /** Windows before it that did not run; at most `missedLimit` are counted. */
  skipped: number;
}

/** Counting stops here: beyond it "more than" is said. */
export const missedLimit = 1000;

/**
 * The latest window in (after, now], found by halving, so that years of downtime are one bounded step.
 * @returns undefined when no window is due
 */
export function latestDue(schedule: Schedule, after: number, now: number): Due | undefined {
  const first = schedule.next(after);
  if (first === undefined || first > now) return undefined;
  let low = first; // A window, not later than now.
  let high = now;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const window = schedule.next(middle - 1);
    if (window !== undefined && window <= now) low = window;
    else high = middle - 1;
  }
  let skipped = 0;
  for (let window = first; window < low && skipped <= missedLimit; skipped++)
    window = schedule.next(window) ?? Number.POSITIVE_INFINITY;
  return { latest: low, skipped };
}
