// The longest distance between two windows, against windows counted out one by one.
import { describe, expect, it } from 'vitest';
import { longestInterval } from '../../controller/intervals.ts';
import { parseSchedule } from '../../crds/rules/schedule.ts';

const [hour, day] = [3600, 86_400];

describe('the longest interval', () => {
  it.each([
    ['* * * * *', 60],
    ['*/5 * * * *', 300],
    ['0 1 * * *', day],
    ['0 6,18 * * *', 12 * hour],
    ['0 6,7 * * *', 23 * hour],
    ['*/5 9-17 * * 1-5', 63 * hour + 300],
    ['0 1 * * 1-5', 3 * day],
    ['0 1 1-5 * *', 27 * day],
    ['0 0 31 * *', 61 * day],
    ['0 0 29 2 *', 1461 * day],
    ['@weekly', 7 * day],
    ['@yearly', 365 * day],
    ['H H * * *', day],
  ])('of "%s" is %i seconds', (schedule, seconds) => {
    expect(longestInterval(schedule, 'shop/orders')).toBe(seconds);
  });

  it.each([
    '17 3,15 * * 2,4',
    '0 */7 * * *',
    '30 22 1,15 * *',
    '15 4 * 3-9 *',
    '0 0 13 * 5',
    'H */3 * * H',
    '59 23 * * 0',
  ])('of "%s" is what two years of windows show', (text) => {
    const schedule = parseSchedule(text, 'Etc/UTC', 'shop/orders');
    let longest = 0;
    const end = Date.UTC(2027, 2, 1);
    for (let at = schedule.next(Date.UTC(2025, 0, 1) - 1) ?? end; at < end; ) {
      const next = schedule.next(at) ?? end;
      longest = Math.max(longest, next - at);
      at = next;
    }
    expect(longestInterval(text, 'shop/orders')).toBe(longest / 1000);
  });

  it.each(['', 'never', '60 * * * *', '0 0 30 2 *'])('of "%s" is none', (schedule) => {
    expect(longestInterval(schedule, 'shop/orders')).toBeUndefined();
  });

  it('is that of each object where H makes them differ', () => {
    // Two hours a day, in a place of the object's own: from one object to another the longer way round differs.
    const found = new Set(Array.from({ length: 20 }, (_, at) => longestInterval('0 H,12 * * *', `shop/${at}`)));
    expect(found.size).toBeGreaterThan(1);
  });
});
