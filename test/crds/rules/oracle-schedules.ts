// The schedules that a change of a clock may trip, made from the change itself, and what they are held to.
import { expect } from 'vitest';
import { gapWindow, parseSchedule, type Schedule } from '../../../crds/rules/schedule.ts';
import type { Random } from '../seeded.ts';
import { minute } from './every-minute.ts';
import { type Stretch, windowsOf } from './oracle.ts';
import type { Change } from './oracle-history.ts';

const hour = 60 * minute;
const day = 24 * hour;
const iso = (times: readonly number[]): string[] => times.map((time) => new Date(time).toISOString());

/** Times of day in, before and after the hours that the clock leaves out or repeats. */
function daily({ at, before, after }: Change): string[] {
  const low = at + Math.min(before, after);
  const high = at + Math.max(before, after);
  const hours = new Set([0, 23]);
  for (let wall = low - hour; wall <= high + hour; wall += hour / 2) hours.add(new Date(wall).getUTCHours());
  return [...hours].flatMap((one) => [0, 1, 15, 29, 30, 31, 59].map((past) => `${past} ${one} * * *`));
}

/** Lists, steps, days, names and hashes about the change. */
function others({ at, before, after }: Change): string[] {
  const wall = new Date(at + Math.min(before, after));
  const in1 = wall.getUTCHours();
  const in2 = (in1 + 1) % 24;
  const date = wall.getUTCDate();
  const month = wall.getUTCMonth() + 1;
  const weekday = wall.getUTCDay();
  return [
    ...[`0,15,30,45 ${in1},${in2} * * *`, `29,31 ${in2} * * *`, `*/20 0-22 * * *`, '*/30 */2 * * *', '59 23,0,1 * * *'],
    ...['0,30 0,1,2,3,23 * * *', `*/25 ${Math.min(in1, in2)}-23 * * *`, '7 1-23/2 * * *', '* 0-22 * * *'],
    ...[`30 ${in1} ${date} * *`, `30 ${in1} ${date} ${month} *`, `0 ${in2} * ${month} *`, `59 ${in1} 28-31 * *`],
    ...[`30 ${in1} 1-31 * ${weekday}`, `30 ${in1} ${date} * 0-6`, `0 ${in2} ${date} * ${(weekday + 1) % 7}`],
    ...[`30 ${in1} * * ${weekday === 0 ? 7 : weekday}`, `15 ${in2} */2 * ${weekday}`, '0 0 1 * *', '30 0 31,1 * *'],
    ...['* * * * *', '0 * * * *', '*/30 * * * *', '*/7 0-23 * * *', `30 * ${date} ${month} *`, `59 */1 * * ${weekday}`],
    ...['@daily', '@hourly', '@weekly', '@monthly', 'H H * * *', 'H/10 * * * *', 'H H/3 * * *', 'H 1 H * H'],
  ];
}

export function schedulesFor(change: Change): string[] {
  return [...daily(change), ...others(change)];
}

/** As many days or hours to either side as hold some dozens of windows: what matters is next to the change. */
function near(windows: readonly number[], { at, before, after }: Change): number[] {
  const shift = Math.abs(after - before);
  const within = (span: number) => windows.filter((one) => one > at - span && one <= at + span);
  const found = [2 * day, shift + 8 * hour].map(within).find(({ length }) => length <= 60);
  return found ?? within(shift + 1.2 * hour);
}

/**
 * Holds a schedule to the oracle around a change: window after window, and asked from any instant.
 * @param stretch three days or more to either side of the change
 * @returns the windows that were compared
 */
export function compareAround(schedule: Schedule, change: Change, stretch: Stretch, random: Random): number {
  const { resolved, zone } = schedule;
  const all = windowsOf(resolved, stretch);
  const expected = near(all, change);
  const said = `${resolved} in ${zone} around ${new Date(change.at).toISOString()}`;
  const found: number[] = [];
  for (let at = schedule.next((expected[0] ?? change.at) - 1); at !== undefined; at = schedule.next(at))
    if (found.push(at) >= expected.length) break;
  if (expected.length === 0) found.pop();
  expect(iso(found), said).toEqual(iso(expected));
  for (const from of [change.at - 1, change.at, change.at + random.below(6 * hour) - 3 * hour]) {
    const next = all.find((one) => one > from);
    if (next !== undefined) expect(schedule.next(from), `${said}, after ${new Date(from).toISOString()}`).toBe(next);
  }
  return expected.length;
}

/** Holds the warning of windows in gaps to the calendar: it comes when a minute that the clock leaves out matches, and only then. */
export function compareGap(schedule: Schedule, change: Change, stretch: Stretch): void {
  const left = stretch.calendar.filter(({ at, wall }) => at === change.at && wall < change.at + change.after);
  const moves = windowsOf(schedule.resolved, { real: [], calendar: left }).length > 0;
  const warned = gapWindow(schedule, change.at - 1) === change.at;
  expect(warned, `${schedule.resolved} in ${schedule.zone} at ${new Date(change.at).toISOString()}`).toBe(moves);
}

export const scheduleOf = (text: string, zone: string): Schedule => parseSchedule(text, zone, 'shop/orders');
