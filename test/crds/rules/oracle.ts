// The oracle of schedules: the contract said once more in the plainest way, minute by minute. No code of the product, no cron-parser.
import { type Minute, minute } from './every-minute.ts';

const day = 86_400_000;

/** The values that a field names. */
function valuesOf(field: string, min: number, max: number): Set<number> {
  const values = new Set<number>();
  for (const item of field.split(',')) {
    const [range = '', step = '1'] = item.split('/');
    const [from = '', to = from] = range === '*' ? [String(min), String(max)] : range.split('-');
    for (let value = Number(from); value <= Number(to); value += Number(step)) values.add(value);
  }
  return values;
}

/** Whether a day matches; day of month and day of week are either-or where both are restricted, that is not a star. */
function dayMatcherOf(days: string, months: string, weekdays: string): (wall: number) => boolean {
  const ofMonth = valuesOf(days, 1, 31);
  const ofYear = valuesOf(months, 1, 12);
  const ofWeek = new Set([...valuesOf(weekdays, 0, 7)].map((value) => value % 7));
  return (wall) => {
    const time = new Date(wall);
    if (!ofYear.has(time.getUTCMonth() + 1)) return false;
    const first = ofMonth.has(time.getUTCDate());
    const second = ofWeek.has(time.getUTCDay());
    return days === '*' || weekdays === '*' ? first && second : first || second;
  };
}

/** Whether a local time matches. Hours and minutes are looked up, and the last day is remembered: this is asked a billion times. */
function matcherOf(resolved: string): (wall: number) => boolean {
  const [minutes = '', hours = '', days = '', months = '', weekdays = ''] = resolved.split(' ');
  const ofDay = new Uint8Array(24 * 60);
  for (const hour of valuesOf(hours, 0, 23)) for (const past of valuesOf(minutes, 0, 59)) ofDay[hour * 60 + past] = 1;
  const dayMatches = dayMatcherOf(days, months, weekdays);
  let lastDay = Number.NaN;
  let lastMatches = false;
  return (wall) => {
    const whole = Math.floor(wall / day);
    if (ofDay[(wall - whole * day) / minute] !== 1) return false;
    if (whole !== lastDay) lastMatches = dayMatches(wall);
    lastDay = whole;
    return lastMatches;
  };
}

export interface Stretch {
  /** The minutes that really pass, with what the clock shows. */
  real: readonly Minute[];
  /** The minutes of the calendar, each with the instant that stands for it: its first, or the first after the gap that it lies in. */
  calendar: readonly Minute[];
}

export function stretchOf(real: readonly Minute[]): Stretch {
  const standsFor = new Map<number, number>();
  let before = real[0]?.wall ?? 0;
  for (const { at, wall } of real) {
    for (let passed = before + minute; passed < wall; passed += minute)
      if (!standsFor.has(passed)) standsFor.set(passed, at);
    if (!standsFor.has(wall)) standsFor.set(wall, at);
    before = wall;
  }
  return { real, calendar: [...standsFor].map(([wall, at]) => ({ at, wall })) };
}

/**
 * The windows of a stretch, by the words of the contract. Hours that all match: every real minute whose local time matches.
 * Otherwise every matching minute of the calendar once; windows that meet at one instant are one.
 * The first minutes of a stretch may repeat what the clock showed before it: leave a day out.
 */
export function windowsOf(resolved: string, { real, calendar }: Stretch): number[] {
  const matches = matcherOf(resolved);
  const hours = valuesOf(resolved.split(' ')[1] ?? '', 0, 23);
  const minutes = hours.size === 24 ? real : calendar;
  const windows = new Set<number>();
  for (const { at, wall } of minutes) if (matches(wall)) windows.add(at);
  return [...windows].sort((a, b) => a - b);
}
