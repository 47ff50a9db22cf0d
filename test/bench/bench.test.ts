// What the bench prints: medians, a ratio above 1 where ours is better, fixed members in JSON, and what it answers to a name it lacks.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { json, median, row, table } from './report.ts';

const ours = { values: [3, 1, 2], memoryMiB: 100 };
const theirs = { values: [4, 4, 4], memoryMiB: 10 };

test.each([
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[7], 7],
])('the median of %j is %d', (values, expected) => {
  expect(median(values)).toBe(expected);
});

test('a ratio above 1 means that ours is better, whichever way the unit points', () => {
  expect(row('a', 'ms', 'less', ours, theirs).ratio).toBe(2);
  expect(row('a', 'per s', 'more', ours, theirs).ratio).toBe(0.5);
});

test('JSON is one object a line with the members that were promised', () => {
  const rows = [row('a', 'ms', 'less', ours, theirs), row('b', 'ms', 'less', ours, undefined)];
  expect(json(rows).split('\n')).toEqual([
    '{"name":"a","unit":"ms","ours":2,"theirs":4,"ratio":2,"oursMemoryMiB":100,"theirsMemoryMiB":10,"runs":3}',
    '{"name":"b","unit":"ms","ours":2,"theirs":null,"ratio":null,"oursMemoryMiB":100,"theirsMemoryMiB":null,"runs":3}',
  ]);
  expect(table(rows)).toContain('peer missing');
});

test.each([[['nothing']], [[]], [['review', 'more']], [['review', '-o', 'yaml']], [['review', '--runs', '1']]])(
  'asked for %j it ends with 2 and the list',
  async (args) => {
    const main = path.join(import.meta.dirname, 'main.ts');
    await expect(promisify(execFile)(process.execPath, [main, ...args])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('NAME      one of: backup, restore, review'),
    });
  },
);
