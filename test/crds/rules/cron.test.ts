// The grammar of schedules: what is refused and with which words, what is understood and as what, and the stable hash H.
import { describe, expect, test } from 'vitest';
import { resolveCron, ScheduleError } from '../../../crds/rules/cron.ts';
import { parseSchedule } from '../../../crds/rules/schedule.ts';

const refusal = (text: string, zone = 'Etc/UTC'): ScheduleError => {
  try {
    parseSchedule(text, zone, 'shop/orders');
  } catch (cause) {
    if (cause instanceof ScheduleError) return cause;
    throw cause;
  }
  throw new Error(`"${text}" in "${zone}" is accepted`);
};

describe('a schedule is refused', () => {
  test.each([
    ['that is empty', '', 'expected 5 fields, got 0'],
    ['that is blank', '   ', 'expected 5 fields, got 0'],
    ['with one number', '5', 'expected 5 fields, got 1'],
    ['with four fields', '* * * *', 'expected 5 fields, got 4'],
    ['with seconds', '* * * * * *', 'expected 5 fields, got 6'],
    ['with seconds and a year', '* * * * * * *', 'expected 5 fields, got 7'],
    ['with minute 60', '60 * * * *', 'minute "60" is out of range 0-59'],
    ['with hour 24', '* 24 * * *', 'hour "24" is out of range 0-23'],
    ['with day 0', '* * 0 * *', 'day of month "0" is out of range 1-31'],
    ['with day 32', '* * 32 * *', 'day of month "32" is out of range 1-31'],
    ['with month 0', '* * * 0 *', 'month "0" is out of range 1-12'],
    ['with month 13', '* * * 13 *', 'month "13" is out of range 1-12'],
    ['with weekday 8', '* * * * 8', 'day of week "8" is out of range 0-7'],
    ['with a long number', `${'0'.repeat(20)}1 * * * *`, 'is out of range 0-59'],
    ['with a negative number', '-5 * * * *', 'minute "" is out of range 0-59'],
    ['with step 0', '*/0 * * * *', 'step in minute "*/0" must be 1 to 60'],
    ['with a step over the field', '*/61 * * * *', 'step in minute "*/61" must be 1 to 60'],
    ['with an empty step', '*/ * * * *', 'step in minute "*/" must be 1 to 60'],
    ['with two steps', '*/2/3 * * * *', '"*/2/3" in minute has two steps'],
    ['with a reversed range', '5-1 * * * *', 'range 5-1 in minute is reversed'],
    ['with a reversed range of names', '* * * * sat-sun', 'range sat-sun in day of week is reversed'],
    ['with a range of three', '1-2-3 * * * *', '"1-2-3" in minute is not a range'],
    ['with an open range', '1- * * * *', 'minute "" is out of range'],
    ['with an empty item', '1,,2 * * * *', 'empty list item in minute "1,,2"'],
    ['with a comma first', ',1 * * * *', 'empty list item in minute ",1"'],
    ['with a comma last', '1, * * * *', 'empty list item in minute "1,"'],
    ['that is for 30 February', '0 0 30 2 *', 'never fires'],
    ['that is for the 31st of short months', '0 0 31 4,6,9,11 *', 'never fires'],
    ['with @reboot', '@reboot', '"@reboot" is not a known name'],
    ['with @every', '@every 5s', '"@every 5s" is not a known name'],
    ['with a name of a prototype', '@constructor', 'is not a known name'],
    ['with TZ=', 'TZ=UTC 0 0 * * *', 'it names a time zone'],
    ['with CRON_TZ=', 'CRON_TZ=Europe/Berlin 0 0 * * *', 'it names a time zone'],
    ['of 129 characters', `0 0 * * ${'1,'.repeat(60)}1`, 'it is 129 characters long'],
    ['of 10 KB', '*'.repeat(10_240), 'it is 10240 characters long'],
    ['in Arabic digits', '\u0660 1 * * *', 'illegal character "\u0660"'],
    ['with NUL', '0 1\0 * * *', 'illegal character "\\u0000"'],
    ['with a newline inside', '0 1\n* * *', 'illegal character "\\n"'],
    ['with a no-break space', '0\u00a01 * * *', 'illegal character "\u00a0"'],
    ['with a question mark', '0 0 ? * *', 'illegal character "?"'],
    ['with a hash', '0 0 * * 5#2', 'illegal character "#"'],
    ['with L', '0 0 L * *', 'day of month "L" is out of range'],
    ['with W', '0 0 15W * *', 'day of month "15W" is out of range'],
    ['with a name in the wrong field', 'mon * * * *', 'minute "mon" is out of range'],
    ['with a long name', '0 0 * january *', 'month "january" is out of range'],
    ['with a range from H', '0 H-5 * * *', 'hour "H" is out of range'],
    ['with a small h', 'h * * * *', 'minute "h" is out of range'],
    ['with a fraction', '1.5 * * * *', 'illegal character "."'],
    ['with an exponent', '1e1 * * * *', 'minute "1e1" is out of range'],
    ['with a hexadecimal number', '0x1 * * * *', 'minute "0x1" is out of range'],
  ])('%s', (_name, text, message) => {
    const { message: said, fix } = refusal(text);
    expect(said).toContain(message);
    expect(fix).not.toBe('');
    expect(said.length).toBeLessThan(300);
  });

  test.each([
    'Local',
    '',
    'UTC+2',
    '+02:00',
    'Mars/Phobos',
    '../../etc/passwd',
    'Europe/Berlin\0',
    ' UTC',
    'A'.repeat(100_000),
  ])('in the time zone %j', (zone) => {
    expect(refusal('0 0 * * *', zone).message).toContain('unknown time zone');
  });
});

describe('a schedule is understood', () => {
  test.each([
    ['@hourly', '0 * * * *'],
    ['@daily', '0 0 * * *'],
    ['@midnight', '0 0 * * *'],
    ['@weekly', '0 0 * * 0'],
    ['@monthly', '0 0 1 * *'],
    ['@yearly', '0 0 1 1 *'],
    ['@annually', '0 0 1 1 *'],
    ['  0\t1   * * *  ', '0 1 * * *'],
    ['00 01 * * *', '0 1 * * *'],
    ['0 0 * JAN-mar,Dec Mon', '0 0 * 1-3,12 1'],
    ['0 0 * * 7', '0 0 * * 7'],
    ['5/15 * * * *', '5-59/15 * * * *'],
    ['0-30/10 * * * *', '0-30/10 * * * *'],
    ['*/60 */24 */31 */12 */8', '*/60 */24 */31 */12 */8'],
    ['*/1 */1 */1 */1 */1', '* * * * *'],
    ['5-5 * * * *', '5 * * * *'],
    ['*,5 * * * *', '* * * * *'],
  ])('%j is %j', (text, resolved) => {
    expect(resolveCron(text, 'shop/orders')).toBe(resolved);
  });

  test.each([
    ['0 3,3 * * *', '0 3 * * *'],
    ['0 1-5,3 * * *', '0 1,2,3,4,5 * * *'],
    ['*/30,0,30 * * * *', '0,30 * * * *'],
    ['0 0 * * 0,7', '0 0 * * 0'],
    ['0 0 * * sun,5-7', '0 0 * * 0,5,6'],
    ['0 0 * * 0-7', '0 0 * * 0,1,2,3,4,5,6'],
  ])('%s, which names a value twice, is %s and fires', (text, resolved) => {
    const schedule = parseSchedule(text, 'Etc/UTC', 'shop/orders');
    expect(schedule.resolved).toBe(resolved);
    expect(schedule.next(Date.UTC(2025, 0, 1))).toBeGreaterThan(Date.UTC(2025, 0, 1));
  });

  test('with H twice in one field, though both are the same value', () => {
    expect(resolveCron('H,H 1 * * *', 'shop/orders')).toMatch(/^\d+ 1 \* \* \*$/);
  });

  test('with 29 February, which comes only every four years', () => {
    const schedule = parseSchedule('0 0 29 2 *', 'Etc/UTC', 'shop/orders');
    expect(schedule.next(Date.UTC(2024, 1, 29))).toBe(Date.UTC(2028, 1, 29));
  });

  test('with both kinds of day as either of them, and with */1 as no restriction', () => {
    const days = (text: string): number[] => {
      const schedule = parseSchedule(text, 'Etc/UTC', 'shop/orders');
      const found: number[] = [];
      for (let at = schedule.next(Date.UTC(2025, 0, 1) - 1); found.length < 4; at = schedule.next(at ?? 0))
        found.push(new Date(at ?? 0).getUTCDate());
      return found;
    };
    expect(days('0 0 13 * 1')).toEqual([6, 13, 20, 27]);
    expect(days('0 0 13 * *')).toEqual([13, 13, 13, 13]);
    expect(days('0 0 13 * */1')).toEqual([13, 13, 13, 13]);
    expect(days('0 0 */1 * 1')).toEqual([6, 13, 20, 27]);
  });

  test('within 128 characters', () => {
    const text = `0 0 * * ${'1,'.repeat(59)}1`.padEnd(128);
    expect(text).toHaveLength(128);
    expect(resolveCron(text, 'shop/orders')).toBe('0 0 * * 1');
  });
});

describe('H', () => {
  const seeds = Array.from({ length: 3000 }, (_, index) => `shop/orders-${index}`);
  const field = (text: string, index: number, seed: string): string => resolveCron(text, seed).split(' ')[index] ?? '';

  test('is the same for the same object, always', () => {
    for (const text of ['H H * * *', 'H/15 * * * *', 'H H H H H'])
      expect(resolveCron(text, 'shop/orders')).toBe(resolveCron(text, 'shop/orders'));
    // Written down, since another value on an update would move everybody's backups.
    expect(resolveCron('H H * * *', 'shop/orders')).toMatchInlineSnapshot(`"35 6 * * *"`);
    expect(resolveCron('H/15 H H H H', 'shop/orders')).toMatchInlineSnapshot(`"5-59/15 6 13 8 3"`);
  });

  test.each([
    ['minute', 0, 60, 0],
    ['hour', 1, 24, 0],
    ['day of month, up to 28 so that no month is left out', 2, 28, 1],
    ['month', 3, 12, 1],
    ['day of week', 4, 7, 0],
  ])('spreads objects evenly over every %s', (_name, index, count, first) => {
    const tally = new Map<number, number>();
    for (const seed of seeds) {
      const value = Number(field('H H H H H', index, seed));
      tally.set(value, (tally.get(value) ?? 0) + 1);
    }
    expect([...tally.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, value) => value + first));
    expect(Math.max(...tally.values())).toBeLessThan((seeds.length / count) * 2);
  });

  test('of two fields of one object differ independently', () => {
    const pairs = new Set(seeds.map((seed) => resolveCron('H H * * *', seed)));
    expect(pairs.size).toBeGreaterThan(1000);
  });

  test('with a step starts at a stable offset within the step', () => {
    for (const seed of seeds.slice(0, 300)) {
      const [start = Number.NaN] = field('H/15 * * * *', 0, seed).split('-').map(Number);
      expect(start).toBeLessThan(15);
      expect(field('H/15 * * * *', 0, seed)).toBe(`${start}-59/15`);
    }
  });

  test.each(['H/60 * * * *', '0 H/24 * * *', '0 0 H/31 * *', '0 0 1 H/12 *', '0 0 * * H/8'])(
    'with the greatest step, %s, still fires for every object',
    (text) => {
      for (const seed of seeds.slice(0, 100))
        expect(parseSchedule(text, 'Etc/UTC', seed).next(Date.UTC(2025, 0, 1)), seed).toBeDefined();
    },
  );
});
