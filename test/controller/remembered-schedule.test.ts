// A remembered schedule gives the answers of a fresh one, in whatever order it is asked.
import { expect, test } from 'vitest';
import { rememberedSchedule } from '../../controller/windows.ts';
import { latestDue, parseSchedule } from '../../crds/rules/schedule.ts';
import { randomOf } from '../crds/seeded.ts';

const start = Date.parse('2025-01-01T00:00:00Z');
const day = 86_400_000;

test.each([
  ['0 1 * * *', 'Etc/UTC'],
  ['30 2 * * *', 'Europe/Berlin'],
  ['*/20 * * * *', 'Australia/Lord_Howe'],
  ['H H * * *', 'America/New_York'],
  ['0 0 29 2 *', 'Etc/UTC'],
])('%s in %s answers as if it were parsed anew', (text, zone) => {
  const remembered = rememberedSchedule(text, zone, 'shop/orders');
  const fresh = parseSchedule(text, zone, 'shop/orders');
  const random = randomOf(7);
  for (let count = 0; count < 60; count++) {
    const after = start + random.below(500 * day);
    for (const time of [after, after + 1, after + 60_000, after - 60_000, fresh.next(after) ?? after])
      expect(remembered.next(time)).toBe(fresh.next(time));
    const now = after + random.below(3 * day);
    expect(latestDue(remembered, after, now)).toEqual(latestDue(fresh, after, now));
  }
});

test('schedules with H are not confused, though their texts are equal', () => {
  const resolved = ['shop/a', 'shop/b', 'shop/c'].map(
    (seed) => rememberedSchedule('H H * * *', 'Etc/UTC', seed).resolved,
  );
  expect(new Set(resolved).size).toBe(3);
});

test('more schedules than are kept stay right', () => {
  const all = Array.from({ length: 600 }, (_, index) => `${index % 60} ${index % 24} ${1 + (index % 28)} * *`);
  const schedules = all.map((text) => rememberedSchedule(text, 'Etc/UTC', 'shop/orders'));
  for (const [index, schedule] of schedules.entries())
    expect(schedule.next(start)).toBe(parseSchedule(all[index] ?? '', 'Etc/UTC', '').next(start));
});
