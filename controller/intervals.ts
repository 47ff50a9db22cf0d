// How far the windows of a schedule can be apart: what "too old" is measured by.
import { resolveCron } from '../crds/rules/cron.ts';
import { parseSchedule } from '../crds/rules/schedule.ts';
import { Recent } from './recent.ts';

const day = 86_400_000;
/** Days are looked at for a year and a month: the longest month, and whatever names a month, comes by in it. */
const span = 400 * day;
/** A day from which to look. It is the same for everyone and always, so that the answer does not change with the time of asking. */
const someDay = Date.UTC(2025, 0, 1);

/** Both are looked at through many windows, and both are few: objects differ in their times, which H H makes 1,440 of, seldom in their days. */
const timesOfDays = new Recent<Times>(2048);
const dayGaps = new Recent<number>(256);
/** One for each object with an H in its schedule, and we are made for 10,000 objects. */
const known = new Recent<number | undefined>(16_384);

interface Times {
  first: number;
  last: number;
  /** The longest distance between two of them. */
  gap: number;
}

/**
 * The longest distance between two consecutive windows, in seconds, as wall clocks show it: a change of the clock adds its hour.
 * @param seed `namespace/name` of the object, for H
 * @returns undefined for what is no schedule
 */
export function longestInterval(schedule: string, seed: string): number | undefined {
  const key = /h/i.test(schedule) ? `${schedule}\n${seed}` : schedule;
  return known.take(key, () => compute(schedule, seed));
}

function compute(schedule: string, seed: string): number | undefined {
  try {
    const [minute, hour, ...days] = resolveCron(schedule, seed).split(' ');
    const [times, dates] = [`${minute} ${hour} * * *`, `0 0 ${days.join(' ')}`];
    const { first, last, gap } = timesOfDays.take(times, () => timesOfDay(times));
    const dayGap = dayGaps.take(dates, () => longestDayGap(dates));
    // From the last window of a day to the first of the next day that has any.
    return Math.max(gap, dayGap - (last - first)) / 1000;
  } catch {
    return undefined;
  }
}

function timesOfDay(schedule: string): Times {
  const { nextWall } = parseSchedule(schedule, 'Etc/UTC', '');
  const first = nextWall(someDay - 1) ?? someDay;
  let last = first;
  let gap = 0;
  for (;;) {
    const next = nextWall(last);
    if (next === undefined || next >= someDay + day) return { first, last, gap };
    gap = Math.max(gap, next - last);
    last = next;
  }
}

function longestDayGap(schedule: string): number {
  const { nextWall } = parseSchedule(schedule, 'Etc/UTC', '');
  const first = nextWall(someDay - 1) ?? someDay;
  let gap = 0;
  for (let at = first; at < first + span; ) {
    const next = nextWall(at);
    if (next === undefined) return gap;
    gap = Math.max(gap, next - at);
    at = next;
  }
  return gap;
}
