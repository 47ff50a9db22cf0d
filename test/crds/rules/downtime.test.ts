// The latest window due after downtime of seconds to thirty years, over any number of changes of the clock, held to the oracle.
import { describe, expect, test } from 'vitest';
import { type Due, latestDue, missedLimit, parseSchedule, type Schedule } from '../../../crds/rules/schedule.ts';
import { type Random, repeatedly } from '../seeded.ts';
import { minute } from './every-minute.ts';
import { stretchOf, windowsOf } from './oracle.ts';
import { type History, historyOf, minutesIn } from './oracle-history.ts';

const day = 86_400_000;
const begin = Date.UTC(2010, 0, 1);
const end = Date.UTC(2041, 0, 1);

/** The oracle's windows in (after, to]. */
function windowsBetween(history: History, resolved: string, after: number, to: number): number[] {
  // Whole minutes, and a day before that tells what the clock showed already.
  const from = Math.floor(after / minute) * minute - 2 * day;
  return windowsOf(resolved, stretchOf(minutesIn(history, from, to))).filter((at) => at > after && at <= to);
}

/** What the contract says, found by listing windows from either end, some weeks at a time, and never by halving. */
function expectedDue(history: History, resolved: string, after: number, now: number): Due | undefined {
  const between = (from: number, to: number): number[] =>
    windowsBetween(history, resolved, Math.max(after, from), Math.min(now, to));
  let latest: number | undefined;
  for (let to = now; to > after && latest === undefined; to -= 40 * day) latest = between(to - 40 * day, to).at(-1);
  if (latest === undefined) return undefined;
  let skipped = -1;
  for (let from = after; from < latest && skipped <= missedLimit; from += 40 * day)
    skipped += between(from, Math.min(latest, from + 40 * day)).length;
  return { latest, skipped: Math.min(skipped, missedLimit + 1) };
}

const scheduleOf = (text: string, zone: string): Schedule => parseSchedule(text, zone, 'shop/orders');

/** Counts the windows that are asked for. */
function counted(schedule: Schedule): { schedule: Schedule; asked: () => number } {
  let asked = 0;
  const next = (after: number): number | undefined => {
    asked += 1;
    return schedule.next(after);
  };
  return { schedule: { ...schedule, next }, asked: () => asked };
}

/** One to begin, one for each halving of 31 years of milliseconds, one for each window that is counted. */
const bound = 1 + 40 + missedLimit + 1;

/** Many times a day: the limit is reached after some weeks, and nobody counts further. */
const often = ['* * * * *', '*/5 0-22 * * *', '0 * * * *', '*/15 1-3 * * *', '29,31 0-23/3 * * *'];
const seldom = [
  ...['30 2 * * *', '30 1 * * *', '0 0 * * *', '59 23 * * *', 'H H * * *', '0 3 * * sun', '0 0 13 * 5', '30 2 1 * *'],
  ...['0 0 31 * *', '15 * 31 10 *', '@yearly'],
];
const zones = [
  ...['Etc/UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'America/Santiago'],
  ...['America/Nuuk', 'Antarctica/Troll', 'Asia/Gaza', 'Africa/Cairo', 'Pacific/Apia', 'Antarctica/Casey'],
];

/** From a second to some years, each length of time as often as its double. */
const downtime = (random: Random, years: number): number =>
  Math.floor(1000 * 2 ** ((random.below(1000) / 1000) * Math.log2((years * 365 * day) / 1000)));

describe('the latest window due and the number skipped are those of the oracle, in bounded steps', () => {
  test.each(zones)('in %s', (zone) => {
    const history = historyOf(zone, begin, end);
    const once = (random: Random): void => {
      const rare = random.chance(0.5);
      const { schedule, asked } = counted(scheduleOf(random.pick(rare ? seldom : often), zone));
      const away = downtime(random, rare ? 1 : 30);
      const after = begin + 3 * day + random.below(end - begin - 4 * day - away);
      const said = `${schedule.resolved} from ${new Date(after).toISOString()} for ${away / 1000} s`;
      const expected = expectedDue(history, schedule.resolved, after, after + away);
      expect(latestDue(schedule, after, after + away), said).toEqual(expected);
      expect(asked(), said).toBeLessThanOrEqual(bound);
    };
    repeatedly(8, once, zone);
  });
});

describe('after thirty years', () => {
  const after = Date.UTC(2010, 0, 1, 12);
  const now = Date.UTC(2040, 0, 1, 10); // The same day everywhere.
  const local = (schedule: Schedule, at = 0): string =>
    new Intl.DateTimeFormat('sv-SE', { timeZone: schedule.zone, dateStyle: 'short', timeStyle: 'short' }).format(at);

  // Thirty years have as many firsts of January and twelve times as many of the month, and every one has its window in every zone.
  const rows = [
    ['@yearly', '2040-01-01 00:00', 29],
    ['59 23 31 12 *', '2039-12-31 23:59', 29],
    ['30 2 15 * *', '2039-12-15 02:30', 359],
    ['0 0 29 2 *', '2036-02-29 00:00', 6],
    ['0 2 * * sun', '2040-01-01 02:00', missedLimit + 1],
    ['15 0 * * *', '2040-01-01 00:15', missedLimit + 1],
  ] as const;

  test.each(zones)('windows in %s that are seldom are all there', (zone) => {
    for (const [text, latest, skipped] of rows) {
      const { schedule, asked } = counted(scheduleOf(text, zone));
      const due = latestDue(schedule, after, now);
      expect([local(schedule, due?.latest), due?.skipped], `${text} in ${zone}`).toEqual([latest, skipped]);
      expect(asked(), text).toBeLessThanOrEqual(bound);
    }
  });
});

describe('a clock that is wrong', () => {
  test.each(['* * * * *', '30 2 * * *', '0 0 29 2 *'])('makes nothing of %s due when it goes back', (text) => {
    const schedule = scheduleOf(text, 'Europe/Berlin');
    const now = Date.UTC(2026, 10, 21);
    for (const back of [1, 3_600_000, 365 * day, now, now + 365 * day])
      expect(latestDue(schedule, now, now - back)).toBeUndefined();
  });

  // From the beginning of time as status has it to an instant that was looked up in a calendar.
  test.each([
    ['* * * * *', '2026-11-21T00:00:30Z', '2026-11-21T00:00:00.000Z'],
    ['30 2 * * *', '2026-11-21T00:00:00Z', '2026-11-20T01:30:00.000Z'],
    ['30 2 * * *', '2100-07-01T12:00:00Z', '2100-07-01T00:30:00.000Z'],
    ['0 * * * *', '2100-01-01T00:00:00Z', '2100-01-01T00:00:00.000Z'],
    ['0 0 29 2 *', '2095-01-01T00:00:00Z', '2092-02-28T23:00:00.000Z'],
    ['0 0 29 2 *', '2106-01-01T00:00:00Z', '2104-02-28T23:00:00.000Z'],
  ])('still finds the latest window of %s before %s, from 1970 on', (text, now, latest) => {
    const { schedule, asked } = counted(scheduleOf(text, 'Europe/Berlin'));
    const due = latestDue(schedule, 0, Date.parse(now));
    expect(new Date(due?.latest ?? 0).toISOString()).toBe(latest);
    // At most four times as long as thirty years: two halvings more.
    expect(asked()).toBeLessThanOrEqual(bound + 2);
  });
});
