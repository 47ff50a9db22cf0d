// The map that forgets what was not used for the longest time.
import { expect, it } from 'vitest';
import { Recent } from '../../controller/recent.ts';

it('forgets what was not used for the longest time, and only when it is full', () => {
  const recent = new Recent<number>(2);
  recent.take('a', () => 1);
  recent.take('b', () => 2);
  recent.take('a', () => 10);
  recent.take('c', () => 3);
  expect(recent.size).toBe(2);
  expect(recent.take('a', () => 10)).toBe(1);
  expect(recent.take('b', () => 20)).toBe(20);
});

it('makes a value anew that holds no longer', () => {
  const recent = new Recent<number>(2);
  recent.take('a', () => 1);
  expect(
    recent.take(
      'a',
      () => 2,
      (value) => value > 1,
    ),
  ).toBe(2);
  expect(recent.size).toBe(1);
});
