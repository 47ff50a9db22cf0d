// Every regular expression that admission runs over a user's text is linear, proved on the expression itself; see test/fuzz/linear.ts.
import { describe, expect, test } from 'vitest';
import { patternsOf } from '../fuzz/crd-patterns.ts';
import { superlinear } from '../fuzz/linear.ts';
import { parsePattern } from '../fuzz/pattern.ts';
import { readSources } from '../tidy/source.ts';

test.each([
  ['^(a+)+$', 'exponential'],
  ['^(a|a)*$', 'exponential'],
  ['^(a*)*b', 'exponential'],
  ['^(a?b?)*$', 'exponential'],
  ['^(ab|a|b)*$', 'exponential'],
  ['^([a-z]+|[a-y]+1?)*$', 'exponential'],
  ['^a*a*$', 'polynomial'],
  ['a*b', 'polynomial'],
  ['^[0-9:]*:[0-9:]*$', 'polynomial'],
  ['^[a-z]{1,40}[a-z]{1,40}$', 'polynomial'],
  ['^[a-z]*[a-m]?[a-z]*$', 'polynomial'],
])('%s is found to be %s', (pattern, kind) => {
  expect(superlinear(parsePattern(pattern))).toMatch(kind);
});

test('of two loops one of which stands behind ^ in the middle, or in a lookahead, none disturbs the other', () => {
  expect(superlinear(parsePattern('(^|\\.)[0-9]+$'))).toBeUndefined();
  expect(superlinear(parsePattern('(^|\\.|)[0-9]+$'))).toMatch('polynomial');
  expect(superlinear(parsePattern('^(?![^/]{254})[a-z]+$', { javascript: true }))).toBeUndefined();
  expect(superlinear(parsePattern('^(?!a*a*b)[a-z]+$', { javascript: true }))).toMatch('polynomial');
});

test.each(['^a*b', '^(a|b)*$', '^a+(,a+)*$', '^[0-9]*:[0-9:]*$', ':0*$', '^(a?){1,3}$', '^a{0,251}b$'])(
  '%s is found to be linear',
  (pattern) => {
    expect(superlinear(parsePattern(pattern))).toBeUndefined();
  },
);

test.each(['(?=a)', '(a)\\1', 'a*?', '\\bx', '\\p{L}', '\\s', '[[:alpha:]]', '(?i)a', 'a++', '[z-a]'])(
  '%s is not taken for a pattern that means the same to JavaScript and to the API server',
  (pattern) => {
    expect(() => parsePattern(pattern)).toThrow('pattern');
  },
);

describe('the patterns of the CRD', () => {
  const patterns = patternsOf();

  test('are there to be found', () => {
    expect(patterns.length).toBeGreaterThan(15);
  });

  test.each(patterns)('$pattern of $path is linear, and its text has a greatest length', ({ pattern, maxLength }) => {
    expect(superlinear(parsePattern(pattern))).toBeUndefined();
    expect(maxLength).toBeLessThanOrEqual(1024);
  });
});

/** Not linear, but only seen with a text that is short. */
const bounded: Record<string, string> = { '[ \\t]+': 'a schedule, after its length of 128 was looked at' };

describe('the expressions in the code of the rules and of the webhook', async () => {
  const sources = (await readSources()).filter(({ path }) =>
    /^(crds\/rules\/(?!engines|manifest|contract)|webhook\/review)/.test(path),
  );
  const written = sources.flatMap(({ path, nodes }) =>
    nodes.flatMap(({ node }) => {
      const { pattern, flags } = (node['regex'] ?? {}) as { pattern?: string; flags?: string };
      return pattern === undefined || Object.hasOwn(bounded, pattern) ? [] : [{ path, pattern, flags: flags ?? '' }];
    }),
  );

  test('are there to be found', () => {
    expect(written.length).toBeGreaterThan(20);
  });

  test.each(written)('/$pattern/$flags of $path is linear', ({ pattern, flags }) => {
    expect(superlinear(parsePattern(pattern, { flags, javascript: true }))).toBeUndefined();
  });
});
