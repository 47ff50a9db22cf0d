// The house rules, held against every file of the project, and each rule against a small bad example, so that no rule is dead.
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { impurities } from './purity.ts';
import * as rules from './rules.ts';
import { parse, readSources } from './source.ts';

const sources = await readSources();

const every: Record<string, rules.Rule> = {
  'a file opens with a comment on what lives in it': rules.saysWhatItHolds,
  'no file is longer than 400 lines': rules.isSmall,
  'no file or folder has a name that says nothing': rules.hasAName,
  'no file only hands on other files': rules.isNoBarrel,
  'programs import crds and themselves, crds imports nothing of ours': rules.importsAlongTheStar,
  'no file of a program imports its main': rules.leavesMainAlone,
  'only main reads the environment': rules.onlyMainReadsTheEnvironment,
  'every test runs': rules.runsEveryTest,
  'nothing is any': rules.hasNoAny,
};

test.each(Object.entries(every))('%s', (_name, rule) => {
  expect(sources.flatMap(rule)).toEqual([]);
});

test('pure files have no effects, and neither has what they import', () => {
  expect(impurities(sources)).toEqual([]);
});

test('the top level holds what a reader expects', async () => {
  expect(rules.layout(await readdir('.'))).toEqual([]);
});

test('the rules see the whole project', () => {
  expect(sources.map(({ path }) => path)).toContain('test/tidy/tidy.test.ts');
  expect(sources.length).toBeGreaterThan(5);
});

/** How many breaches the rule finds in a file of this text at this path. */
const found = (rule: rules.Rule, path: string, text: string) => rule(parse(path, text)).length;

describe('a bad example is caught and a good one is not', () => {
  test('a file without an opening comment', () => {
    expect(found(rules.saysWhatItHolds, 'plugin/a.ts', 'const a = 1;')).toBe(1);
    expect(found(rules.saysWhatItHolds, 'plugin/a.ts', '#!/usr/bin/env node\n// What it is.\n')).toBe(0);
  });

  test('a file over 400 lines, unless it is generated', () => {
    const long = 'f();\n'.repeat(401);
    expect(found(rules.isSmall, 'plugin/a.ts', long)).toBe(1);
    expect(found(rules.isSmall, 'crds/a.gen.ts', long)).toBe(0);
    expect(found(rules.isSmall, 'plugin/a.ts', 'f();\n'.repeat(400))).toBe(0);
  });

  test.each(['plugin/utils.ts', 'plugin/helpers/time.ts', 'crds/index.ts', 'controller/manager.test.ts'])(
    '%s',
    (path) => {
      expect(found(rules.hasAName, path, '')).toBe(1);
    },
  );

  test('a barrel, but not a file with a word of its own', () => {
    expect(found(rules.isNoBarrel, 'crds/all.ts', "export * from './a.ts';\nexport { b } from './b.ts';")).toBe(1);
    expect(found(rules.isNoBarrel, 'crds/all.ts', "export { b } from './b.ts';\nexport const a = 1;")).toBe(0);
  });

  test.each([
    ['controller/a.ts', "import { x } from '../executor/x.ts';"],
    ['controller/a.ts', "import type { X } from '../webhook/x.ts';"],
    ['plugin/commands/a.ts', "const x = await import('../../controller/x.ts');"],
    ['executor/a.ts', "export { x } from '../test/x.ts';"],
    ['webhook/a.ts', "type X = import('../plugin/x.ts').X;"],
    ['crds/rules/a.ts', "import { x } from '../../controller/x.ts';"],
  ])('an arrow beside the star: %s %s', (path, text) => {
    expect(found(rules.importsAlongTheStar, path, text)).toBe(1);
  });

  test.each([
    ['controller/steps/a.ts', "import { x } from '../../crds/rules/x.ts';"],
    ['crds/rules/engines/a.ts', "import { x } from '../../x.gen.ts';"],
    ['test/a.test.ts', "import { x } from '../controller/x.ts';"],
    ['executor/a.ts', "import { readFile } from 'node:fs/promises';"],
  ])('an arrow of the star: %s %s', (path, text) => {
    expect(found(rules.importsAlongTheStar, path, text)).toBe(0);
  });

  test('a file that imports main', () => {
    expect(found(rules.leavesMainAlone, 'plugin/a.ts', "import { x } from './main.ts';")).toBe(1);
    expect(found(rules.leavesMainAlone, 'test/a.test.ts', "import { x } from '../plugin/main.ts';")).toBe(0);
  });

  test('the environment read outside main', () => {
    expect(found(rules.onlyMainReadsTheEnvironment, 'plugin/a.ts', 'f(process.env.HOME, process.argv);')).toBe(2);
    expect(found(rules.onlyMainReadsTheEnvironment, 'plugin/a.ts', "import { env } from 'node:process';")).toBe(1);
    expect(found(rules.onlyMainReadsTheEnvironment, 'plugin/main.ts', 'f(process.env.HOME);')).toBe(0);
    expect(found(rules.onlyMainReadsTheEnvironment, 'plugin/a.ts', 'process.once("SIGTERM", f); // process.env')).toBe(
      0,
    );
  });

  test.each([
    'test.skip("a");',
    'it.only("a");',
    'describe.todo("a");',
    'test.each([1]).only("a");',
    'test.fails("a");',
  ])('a test that may not run: %s', (text) => {
    expect(found(rules.runsEveryTest, 'test/a.test.ts', text)).toBe(1);
  });

  test('skip as a word of another thing', () => {
    expect(found(rules.runsEveryTest, 'test/a.test.ts', 'test("skip", () => rows.skip(1)); // test.only')).toBe(0);
  });

  test('any, but not in a string', () => {
    expect(found(rules.hasNoAny, 'plugin/a.ts', 'const a = b as any;')).toBe(1);
    expect(found(rules.hasNoAny, 'plugin/a.ts', 'const a = ": any"; // any')).toBe(0);
  });

  test('a stranger at the top level', () => {
    expect(rules.layout(['src', 'README.md', 'build.log'])).toHaveLength(1);
  });
});

describe('a pure file', () => {
  test.each([
    'const now = Date.now();',
    'const now = new Date();',
    'const now = Date();',
    'const n = Math.random();',
    'const id = crypto.randomUUID();',
    'setTimeout(f, 1);',
    'await fetch(url);',
    'const home = process.env.HOME;',
    'const f = globalThis.setTimeout;',
    'console.log(1);',
    "import { readFileSync } from 'node:fs';",
    "import { readFile } from 'fs/promises';",
    "import { connect } from 'node:net';",
    "import { setTimeout } from 'node:timers/promises';",
    "import { randomUUID } from 'node:crypto';",
    "import { KubeConfig } from '@kubernetes/client-node';",
  ])('must not: %s', (text) => {
    expect(impurities([parse('controller/decide.ts', text)])).not.toEqual([]);
    expect(impurities([parse('controller/apply.ts', text)])).toEqual([]);
  });

  test.each([
    'const day = new Date(now); const name = row.process; f({ fetch: 1, console: 2 });',
    "import { createHash } from 'node:crypto';",
    "import type { V1Job } from '@kubernetes/client-node';",
    "import { type V1Job } from '@kubernetes/client-node';",
    "import type { Observed } from './observe.ts';",
    "import { effective } from '../crds/rules/effective.ts';",
    "import { schema } from '../crds/databasebackup.gen.ts';",
    'const text = "the clock, see Date.now()"; // setTimeout, process.env',
  ])('may: %s', (text) => {
    expect(impurities([parse('controller/decide.ts', text)])).toEqual([]);
  });

  test('must not call an effect through another file, but may know its types', () => {
    const clock = parse('controller/clock.ts', 'export const now = () => Date.now();');
    const through = parse('controller/objects.ts', "import { now } from './clock.ts';");
    const value = parse('controller/decide.ts', "import { x } from './objects.ts';");
    const type = parse('controller/decide.ts', "import type { X } from './objects.ts';");
    expect(impurities([clock, through, value])).toEqual([
      'controller/clock.ts:1: Date.now: a pure file takes it as a parameter (controller/objects.ts needs it pure)',
    ]);
    expect(impurities([clock, through, type])).toEqual([]);
  });
});
