// The admission rules before objects that nobody meant well: any shape, any depth, any length.
import { describe, expect, test } from 'vitest';
import { schema } from '../../../crds/databasebackup.gen.ts';
import { isAgeRecipient } from '../../../crds/rules/bech32.ts';
import { sentence, validate } from '../../../crds/rules/validate.ts';
import { recipient, smallest, withField } from '../backup.ts';

const odd: [string, unknown][] = [
  ['null', null],
  ['a list', []],
  ['a list of null', [null]],
  ['a number', 7],
  ['an infinite number', Number.POSITIVE_INFINITY],
  ['a text', 'x'],
  ['an empty text', ''],
  ['true', true],
  ['an empty object', {}],
  ['an object of its own making', JSON.parse('{"__proto__":{"s3":{}},"constructor":1,"toString":2,"length":99}')],
  ['a lone surrogate', '\ud800'],
];

/** Every path of the spec with a value of its own. */
function paths(value: unknown, at: string): string[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => [`${at}.${name}`, ...paths(inner, `${at}.${name}`)]);
}

describe.each(odd)('%s is refused or accepted without an error of ours', (_name, value) => {
  test('as the object', () => {
    expect(validate(value).length).toBeGreaterThan(0);
  });

  test.each(['metadata', 'spec', ...paths(smallest.spec, 'spec')])('as %s', (path) => {
    const found = validate(withField(path, value));
    for (const finding of found) expect(sentence(finding)).not.toContain('undefined');
    expect(({} as Record<string, unknown>)['s3']).toBeUndefined();
  });
});

test('an object of undefined or without metadata is refused', () => {
  expect(validate(undefined).length).toBeGreaterThan(0);
  expect(validate({ spec: smallest.spec }).map(({ field }) => field)).toEqual(['metadata']);
});

test('a nest that is too deep to be shown is refused', () => {
  let deep: unknown = 'x';
  for (let level = 0; level < 100_000; level++) deep = [deep];
  for (const path of ['metadata', 'spec', 'spec.timeZone', 'spec.database.host', 'spec.encryption.age.recipients'])
    expect(validate(withField(path, deep)).length).toBeGreaterThan(0);
});

test('no message repeats the whole of a long value', () => {
  const long = 'x'.repeat(10_240);
  for (const path of ['metadata.name', ...paths(smallest.spec, 'spec')])
    for (const value of [long, [long], { [long]: long }])
      for (const finding of validate(withField(path, value))) expect(sentence(finding).length).toBeLessThan(700);
});

interface Pattern {
  path: string;
  pattern: string;
  maxLength: number;
}

function patterns(node: unknown, path: string): Pattern[] {
  if (node === null || typeof node !== 'object') return [];
  const { pattern, maxLength } = node as { pattern?: unknown; maxLength?: unknown };
  const own = typeof pattern === 'string' ? [{ path, pattern, maxLength: Number(maxLength) }] : [];
  return [...own, ...Object.entries(node).flatMap(([name, inner]) => patterns(inner, `${path}.${name}`))];
}

const found = patterns(schema, 'schema');
const baits = ['a', 'A', '0', '.', '-', '/', ':', 'a:', 'a.', 'a-', 'a/', '-a', '0h', '1', ' ', '\n', 'age1', '漢'];

describe('the patterns of the CRD', () => {
  test('are there to be found', () => {
    expect(found.length).toBeGreaterThan(15);
  });

  test.each(found)('$path stands behind a maxLength, and takes few steps up to it', ({ pattern, maxLength }) => {
    expect(maxLength).toBeGreaterThan(0);
    expect(maxLength).toBeLessThanOrEqual(1024);
    const expression = new RegExp(pattern, 'u');
    const started = performance.now();
    for (const bait of baits)
      for (const end of ['', '!', 'a', ':!'])
        for (let round = 0; round < 5; round++)
          expression.test(bait.repeat(maxLength).slice(0, maxLength - end.length) + end);
    // 360 texts: one that took exponential steps would never come back, let alone within seconds.
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('are not tried on a megabyte, which maxLength has refused already', () => {
    for (const bait of baits) {
      const text = `${bait.repeat(1_000_000 / bait.length)}!`;
      const findings = validate(withField('spec.database.host', text));
      expect(findings.map(({ field }) => field)).toEqual(['spec.database.host']);
    }
  });

  test('are tried on a text of exactly the greatest length', () => {
    expect(validate(withField('spec.storage.pathPrefix', 'a'.repeat(512)))).toEqual([]);
    expect(validate(withField('spec.storage.pathPrefix', `${'a'.repeat(511)}!`))).toHaveLength(1);
  });
});

test.each(['http', 'https'])(
  'an address of %s that names port 0, or a colon without a port, is refused for that',
  (scheme) => {
    for (const port of [':0', ':00', ':'])
      for (const insecure of [true, false]) {
        const s3 = { ...smallest.spec.storage.s3, endpoint: `${scheme}://store.example${port}`, insecure };
        const found = validate(withField('spec.storage.s3', s3)).map(({ field, message }) => `${field} ${message}`);
        expect(found).toEqual(['spec.storage.s3.endpoint names port 0 or none']);
      }
  },
);

describe('an age recipient', () => {
  const known = [
    recipient,
    'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
    'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg',
  ];

  test.each(known)('%s is one', (text) => {
    expect(isAgeRecipient(text)).toBe(true);
  });

  test.each(known)('%s with any one letter changed, left out, doubled or swapped is not', (text) => {
    const letters = 'qpzry9x8gf2tvdw0s3jn54khce6mua7lb1oiA!';
    for (let at = 0; at < text.length; at++) {
      const [front, back] = [text.slice(0, at), text.slice(at + 1)];
      for (const letter of letters) if (letter !== text[at]) expect(isAgeRecipient(front + letter + back)).toBe(false);
      expect(isAgeRecipient(front + back)).toBe(false);
      expect(isAgeRecipient(front + text[at] + text[at] + back)).toBe(false);
      const swapped = `${front}${back[0] ?? ''}${text[at]}${back.slice(1)}`;
      if (swapped !== text) expect(isAgeRecipient(swapped)).toBe(false);
    }
  });

  test.each([
    ['nothing', ''],
    ['its own front', 'age1'],
    ['in capitals', recipient.toUpperCase()],
    ['with space around it', ` ${recipient}`],
    ['with a newline behind it', `${recipient}\n`],
    ['of an identity', 'AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX'],
    ['of an SSH key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJiRzTxtHHJTdXZJ1Q4m8nS5K0'],
    ['of all one letter', `age1${'q'.repeat(58)}`],
    ['a hundred thousand letters long', `age1${'q'.repeat(100_000)}`],
  ])('is not %s', (_name, text) => {
    expect(isAgeRecipient(text)).toBe(false);
  });
});
