// Schedules over changes of the clock, against an oracle that walks through every minute.
import { describe, expect, test } from 'vitest';
import { type Due, latestDue, missedLimit, parseSchedule, type Schedule } from '../../../crds/rules/schedule.ts';
import { type Random, repeatedly } from '../seeded.ts';
import { minutesOf } from './every-minute.ts';
import { type Stretch, stretchOf, windowsOf } from './oracle.ts';
import { around, changes } from './zones.ts';

const day = 86_400_000;
const iso = (times: readonly number[]): string[] => times.map((time) => new Date(time).toISOString());

function following(schedule: Schedule, after: number, to: number): number[] {
  const windows: number[] = [];
  for (let at = schedule.next(after); at !== undefined && at <= to; at = schedule.next(at)) windows.push(at);
  return windows;
}

/** Windows in (from + 1 day, to], so that what the clock did before the first minute cannot matter. */
function compare(text: string, zone: string, stretch: Stretch): void {
  const from = (stretch.real[0]?.at ?? 0) + day;
  const schedule = parseSchedule(text, zone, 'shop/orders');
  const expected = windowsOf(schedule.resolved, stretch).filter((at) => at > from);
  expect(iso(following(schedule, from, stretch.real.at(-1)?.at ?? 0)), `${text} in ${zone}`).toEqual(iso(expected));
}

function randomField(random: Random, min: number, max: number): string {
  const value = min + random.below(max - min + 1);
  const other = min + random.below(max - min + 1);
  const range = `${Math.min(value, other)}-${Math.max(value, other)}`;
  return random.pick(['*', String(value), String(value), `${value},${other}`, range, `*/${1 + random.below(max)}`]);
}

/** Hours and minutes of any kind, days and months mostly free, so that something happens within a few days. */
function randomCron(random: Random): string {
  const minute = random.pick([
    '0',
    '30',
    '59',
    '*/15',
    '*/7',
    'H',
    `${random.below(60)}`,
    `5-${5 + random.below(55)}/9`,
  ]);
  const hour = random.pick([randomField(random, 0, 23), randomField(random, 0, 4), '*', '0-22', '23', '0-23']);
  const dayOfMonth = random.chance(0.2) ? randomField(random, 1, 31) : '*';
  const weekday = random.chance(0.2) ? randomField(random, 0, 7) : '*';
  return `${minute} ${hour} ${dayOfMonth} * ${weekday}`;
}

const fixed = [
  ...['0 0 * * *', '30 0 * * *', '0 1 * * *', '30 1 * * *', '45 1 * * *', '0 2 * * *', '15 2 * * *', '30 2 * * *'],
  ...['0 3 * * *', '30 23 * * *', '59 23 * * *', '*/30 1-3 * * *', '*/20 0-22 * * *', '0,30 0,1,2,3,23 * * *'],
  ...['0 * * * *', '*/30 * * * *', '7 0-23 * * *', '59 */1 * * *', '@hourly', '@daily', 'H H * * *', 'H * * * *'],
  ...['0 12 30 * *', '0 0 1 * *', '30 2 * * sun', '0 */6 * * *', '30 * 31 * *', '15 23 * * sat,sun'],
];

describe.each(changes)('around the change of %s of %s (%s)', (zone, date, what) => {
  const { from, to } = around(date, 3);
  const stretch = stretchOf(minutesOf(zone, from, to));

  test('the clock does change there, or the row proves nothing', () => {
    const offsets = new Set(stretch.real.map(({ at, wall }) => wall - at));
    expect(offsets.size).toBe(what === 'nothing' ? 1 : 2);
  });

  test.each(fixed)('%s runs when the contract says', (text) => compare(text, zone, stretch));

  test('random schedules run when the contract says', () => {
    repeatedly(5, (random) => compare(randomCron(random), zone, stretch), zone + date);
  });

  test('the latest window due is the one that counting finds, and so is the number skipped', () => {
    repeatedly(
      6,
      (random) => {
        const schedule = parseSchedule(randomCron(random), zone, 'shop/orders');
        const windows = windowsOf(schedule.resolved, stretch);
        const after = from + day + random.below(4 * day);
        const now = after + random.below(to - after);
        const due = windows.filter((at) => at > after && at <= now);
        const latest = due.at(-1);
        const expected: Due | undefined =
          latest === undefined ? undefined : { latest, skipped: Math.min(due.length - 1, missedLimit + 1) };
        expect(latestDue(schedule, after, now), schedule.resolved).toEqual(expected);
      },
      date + zone,
    );
  });
});

describe('a daily schedule', () => {
  // Apia left out a day, Pyongyang the end of one, and so does Nuuk every spring: what is due then moves to the next day.
  const moving = ['Pacific/Apia', 'Asia/Pyongyang', 'America/Nuuk'];
  const rows = changes.filter(([zone]) => !moving.includes(zone));

  test.each(rows)('in %s around %s runs once on every local day, whatever its hour', (zone, date) => {
    const { from, to } = around(date, 4);
    const local = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
    const days = new Set<string>();
    for (let at = from + day; at <= to - day; at += day / 24) days.add(local.format(at));
    const whole = [...days].slice(1, -1);
    for (let hour = 0; hour < 24; hour++)
      for (const minute of [0, 15, 45]) {
        const schedule = parseSchedule(`${minute} ${hour} * * *`, zone, 'shop/orders');
        const ran = following(schedule, from, to).map((at) => local.format(at));
        expect(
          ran.filter((one) => whole.includes(one)),
          schedule.resolved,
        ).toEqual(whole);
      }
  });

  test('that was due on the day that Apia left out runs at the first instant after it', () => {
    const schedule = parseSchedule('0 12 30 * *', 'Pacific/Apia', 'shop/orders');
    expect(schedule.next(Date.UTC(2011, 11, 1))).toBe(Date.UTC(2011, 11, 30, 10));
  });
});

test.each([
  ['0 23,0 * * *', [0]],
  ['30 23,0 * * *', [0, 30]],
  ['*/30 22-23 * * *', [0]],
  ['0,59 23,0 * * *', [0, 59]],
] as const)('the windows of %s in the hour that Nuuk leaves out meet midnight and are one', (text, minutes) => {
  const midnight = Date.UTC(2024, 2, 31, 1);
  const schedule = parseSchedule(text, 'America/Nuuk', 'shop/orders');
  const found = following(schedule, midnight - 1, midnight + day / 24 - 1);
  expect(iso(found)).toEqual(iso(minutes.map((past) => midnight + past * 60_000)));
});

describe('a schedule of every hour on one day of the year', () => {
  test('runs twice in an hour that is repeated, asked from any time before', () => {
    const schedule = parseSchedule('30 * 3 11 *', 'America/Havana', 'shop/orders');
    const first = Date.UTC(2024, 10, 3, 4, 30);
    for (const after of [Date.UTC(2024, 0, 15), Date.UTC(2024, 6, 1), first - 1000])
      expect(schedule.next(after)).toBe(first);
    expect(schedule.next(first)).toBe(first + 3_600_000);
  });

  test('runs in the repeated last hour of that day, though no later hour of the year matches', () => {
    const schedule = parseSchedule('30 * 26 10 *', 'Asia/Beirut', 'shop/orders');
    const first = Date.UTC(2024, 9, 26, 20, 30);
    expect(schedule.next(first)).toBe(first + 3_600_000);
    expect(schedule.next(first + 3_600_000)).toBe(Date.UTC(2025, 9, 25, 22, 30));
  });
});
