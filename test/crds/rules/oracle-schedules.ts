// The schedules that a change of a clock may trip, made from the change itself, and what they are held to.
import { expect } from 'vitest';
import { gapWindow, parseSchedule } from '../../../crds/rules/schedule.ts';
import type { Random } from '../seeded.ts';
import { minute } from './every-minute.ts';
import { type Stretch, stretchOf, windowsOf } from './oracle.ts';
import { type Change, type History, minutesIn } from './oracle-history.ts';

const hour = 60 * minute;
const day = 24 * hour;
const isoOf = (times: readonly number[]): string[] =>
  times.map((time) => (Number.isNaN(time) ? 'none' : new Date(time).toISOString()));

/** Times of day in, before and after the hours that the clock leaves out or repeats. */
function daily({ at, before, after }: Change): string[] {
  const low = at + Math.min(before, after);
  const high = at + Math.max(before, after);
  const hours = new Set([0, 23]);
  for (let wall = low - hour; wall <= high + hour; wall += hour / 2) hours.add(new Date(wall).getUTCHours());
  return [...hours].flatMap((one) => [0, 15, 29, 30, 31, 59].map((past) => `${past} ${one} * * *`));
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

/** A change with the minutes about it. */
export interface Around {
  change: Change;
  stretch: Stretch;
  /** The minutes of the calendar that the change leaves out. */
  leftOut: Stretch;
}

export function around(history: History, change: Change): Around {
  // Windows are compared from two days before it: a day more tells what the clock showed already.
  const stretch = stretchOf(minutesIn(history, change.at - 3 * day, change.at + 3 * day));
  const calendar = stretch.calendar.filter(({ at, wall }) => at === change.at && wall < change.at + change.after);
  return { change, stretch, leftOut: { real: [], calendar } };
}

/**
 * Holds a schedule to the oracle around a change: window after window, and asked from any instant.
 * @returns the number of windows that were compared
 */
export function compareAround(
  text: string,
  zone: string,
  { change, stretch, leftOut }: Around,
  random: Random,
): number {
  const schedule = parseSchedule(text, zone, 'shop/orders');
  const said = `${schedule.resolved} in ${zone} around ${new Date(change.at).toISOString()}`;
  const all = windowsOf(schedule.resolved, stretch);
  const expected = near(all, change);
  const found: number[] = [];
  let from = (expected[0] ?? 0) - 1;
  while (found.length < expected.length) {
    from = schedule.next(from) ?? Number.NaN;
    found.push(from);
    if (Number.isNaN(from)) break;
  }
  expect(isoOf(found), said).toEqual(isoOf(expected));
  for (const asked of [change.at - 1, change.at + random.below(6 * hour) - 3 * hour]) {
    const next = all.find((one) => one > asked);
    if (next !== undefined) expect(schedule.next(asked), `${said}, after ${new Date(asked).toISOString()}`).toBe(next);
  }
  // The warning of windows in gaps comes when a minute that the clock leaves out matches, and only then.
  const moves = windowsOf(schedule.resolved, leftOut).length > 0;
  expect(gapWindow(schedule, change.at - 1) === change.at, `a warning of a gap for ${said}`).toBe(moves);
  return expected.length;
}
