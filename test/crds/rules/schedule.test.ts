// How much work a schedule takes, where it ends, and the latest window due after long times.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { latestDue, missedLimit, parseSchedule, type Schedule } from '../../../crds/rules/schedule.ts';
import { isZone } from '../../../crds/rules/zone.ts';

const hour = 3_600_000;
const day = 24 * hour;
const year = 366 * day;
const start = Date.UTC(2024, 2, 30);
const scheduleOf = (text: string, zone = 'Etc/UTC'): Schedule => parseSchedule(text, zone, 'shop/orders');

afterEach(() => vi.restoreAllMocks());

describe('the next window', () => {
  test('is strictly after the instant asked from, to the millisecond', () => {
    const schedule = scheduleOf('0 1 * * *');
    const window = Date.UTC(2025, 2, 27, 1);
    expect(schedule.next(window - 1)).toBe(window);
    expect(schedule.next(window)).toBe(window + day);
    expect(schedule.next(window + 1)).toBe(window + day);
    expect(schedule.next(window + 999)).toBe(window + day);
  });

  test.each(['0 0 29 2 *', '0 * 29 2 *'])('of %s is found though 2100 is no leap year', (text) => {
    const schedule = scheduleOf(text);
    expect(schedule.next(Date.UTC(2096, 1, 28))).toBe(Date.UTC(2096, 1, 29));
    expect(schedule.next(Date.UTC(2096, 1, 29, 23))).toBe(Date.UTC(2104, 1, 29));
    expect(schedule.next(Date.UTC(2099, 11, 1))).toBe(Date.UTC(2104, 1, 29));
  });

  test.each([
    ['* 0-22 * * *', 'Europe/Berlin'],
    ['*/2 0-22 * * *', 'Africa/Casablanca'],
    ['* * * * *', 'Europe/Berlin'],
    ['0 12 30 * *', 'Pacific/Apia'],
    ['59 * 31 12 *', 'Antarctica/Troll'],
  ])('of %s in %s takes few looks at the zone, near a change of the clock too', (text, zone) => {
    const schedule = scheduleOf(text, zone);
    // A getter in truth, though TypeScript's library calls it a method.
    const looks = vi.spyOn(Intl.DateTimeFormat.prototype as { readonly format: unknown }, 'format', 'get');
    for (const from of [start, Date.UTC(2024, 2, 31, 0, 59), Date.UTC(2024, 9, 27, 1), Date.UTC(2011, 11, 30)]) {
      looks.mockClear();
      schedule.next(from);
      // An hour that is repeated holds 60 windows that are passed over, at four looks each, and finding a change takes 18.
      expect(looks.mock.calls.length).toBeLessThan(300);
      expect(looks.mock.calls.length).toBeGreaterThan(0);
    }
  });
});

describe('the latest window due', () => {
  test('is none before the first window, the first exactly at it', () => {
    const schedule = scheduleOf('0 1 * * *');
    const window = Date.UTC(2025, 2, 27, 1);
    expect(latestDue(schedule, window - day, window - 1)).toBeUndefined();
    expect(latestDue(schedule, window - day, window)).toEqual({ latest: window, skipped: 0 });
    expect(latestDue(schedule, window, window)).toBeUndefined();
  });

  test('is none when now is before the baseline', () => {
    expect(latestDue(scheduleOf('* * * * *'), start, start - year)).toBeUndefined();
  });

  test('counts the windows before it, and no more than the limit and one', () => {
    const schedule = scheduleOf('* * * * *');
    const minutes = (count: number) => latestDue(schedule, start, start + count * 60_000);
    expect(minutes(1)).toEqual({ latest: start + 60_000, skipped: 0 });
    expect(minutes(missedLimit)).toEqual({ latest: start + missedLimit * 60_000, skipped: missedLimit - 1 });
    expect(minutes(missedLimit + 1)?.skipped).toBe(missedLimit);
    expect(minutes(missedLimit + 2)?.skipped).toBe(missedLimit + 1);
    expect(minutes(missedLimit + 900)?.skipped).toBe(missedLimit + 1);
  });

  test.each([
    ['* * * * *', 'Europe/Berlin'],
    ['*/5 0-22 * * *', 'America/Santiago'],
    ['0 1 * * *', 'Etc/UTC'],
    ['0 0 29 2 *', 'Etc/UTC'],
  ])('of %s in %s is found in bounded steps after thirty days and after thirty years', (text, zone) => {
    const schedule = scheduleOf(text, zone);
    for (const away of [30 * day, 30 * year]) {
      let steps = 0;
      const next = (after: number): number | undefined => {
        steps += 1;
        return schedule.next(after);
      };
      const due = latestDue({ ...schedule, next }, start, start + away);
      // One to begin, one for each halving of 30 years of milliseconds, one for each window counted.
      expect(steps).toBeLessThanOrEqual(1 + 41 + missedLimit + 1);
      if (due !== undefined) {
        expect(due.latest).toBeLessThanOrEqual(start + away);
        expect(schedule.next(due.latest) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(start + away);
      }
    }
  });

  test('is the same counted from any window in between', () => {
    const schedule = scheduleOf('*/7 0-22 * * *', 'Europe/Berlin');
    const now = start + 3 * day + 1234;
    const whole = latestDue(schedule, start, now);
    for (let after = start; after < now - day; after += 5 * hour)
      expect(latestDue(schedule, after, now)?.latest).toBe(whole?.latest);
  });
});

describe('a time zone', () => {
  test.each(['Etc/UTC', 'UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5', 'Asia/Kathmandu'])(
    '%s is known',
    (zone) => {
      expect(isZone(zone)).toBe(true);
    },
  );

  test.each([
    '',
    'Local',
    'UTC+2',
    '+02:00',
    'Mars/Phobos',
    '../../etc/passwd',
    'Europe/Berlin/',
    'Europe//Berlin',
    'a/b/c/d',
  ])('%j is not', (zone) => {
    expect(isZone(zone)).toBe(false);
  });
});
