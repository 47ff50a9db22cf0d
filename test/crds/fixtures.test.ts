// Every fixture before the rules: a wrong one gives errors on exactly the fields that it says, a right one none; and what the CRD repeats of the rules.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { defaultResources } from '../../crds/rules/admission/job-rules.ts';
import { withoutEmpty } from '../../crds/rules/empty-fields.ts';
import type { Scope } from '../../crds/rules/engines/engine.ts';
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import { unknownFields } from '../../crds/rules/unknown-fields.ts';
import { type Finding, sentence, validate } from '../../crds/rules/validate.ts';
import { judge } from '../../plugin/validate/judge.ts';
import { missingCluster, withCluster } from '../../webhook/default.ts';
import { type Fixture, fixtures, layers } from '../fixtures/fixtures.ts';
import { page, withTables } from '../fixtures/table.ts';

const now = new Date('2025-03-01T00:00:00Z');
const invalid = fixtures('invalid');
const valid = fixtures('valid');
const named = (all: Fixture[]): [string, Fixture][] => all.map((fixture) => [fixture.name, fixture]);

/** As the webhook is asked: what is stored has the cluster that it set, and the API server has taken empty fields away. */
function admission({ next, old }: Fixture): Finding[] {
  const stored = old as unknown as DatabaseBackup | undefined;
  const cluster = stored === undefined ? undefined : missingCluster(stored, undefined);
  const before = stored === undefined || cluster === undefined ? stored : withCluster(stored, cluster);
  return validate(withoutEmpty(next).value, before, now);
}

const fieldsOf = (findings: Finding[], severity: 'error' | 'warning' = 'error'): string[] =>
  [...new Set(findings.filter((finding) => finding.severity === severity).map(({ field }) => field))].sort();

test('there are enough of them, and each says what it is', () => {
  expect(invalid.length).toBeGreaterThanOrEqual(150);
  expect(valid.length).toBeGreaterThanOrEqual(40);
  for (const { name, comment, next } of [...invalid, ...valid]) {
    expect(comment, name).toMatch(/^\S.*\.$/);
    expect(Object.keys(next), name).toEqual(expect.arrayContaining(['apiVersion', 'kind', 'metadata']));
  }
  for (const { name, expect: fields, layers: said } of invalid) {
    expect(fields, name).not.toEqual([]);
    expect(said, name).not.toEqual([]);
    expect(said, name).toEqual(layers.filter((layer) => said.includes(layer)));
  }
});

describe('a wrong manifest', () => {
  test.each(named(invalid))('%s has errors on exactly the fields that it says', (_name, fixture) => {
    const byWebhook = fieldsOf(admission(fixture));
    expect([...new Set([...byWebhook, ...fieldsOf(judge(fixture.next, now))])].sort()).toEqual(
      [...fixture.expect].sort(),
    );
    expect(byWebhook.length > 0).toBe(fixture.layers.includes('webhook'));
    // To the API server the items of a list where none belongs are unknown fields too.
    if (unknownFields(fixture.next).length > 0) expect(fixture.layers).toContain('strict');
    if (fixture.layers.join() === 'webhook' || !fixture.layers.some((one) => one === 'strict' || one === 'server'))
      expect(byWebhook).toEqual([...fixture.expect].sort());
  });

  test('never has a secret of it repeated', () => {
    for (const fixture of invalid)
      for (const finding of [...admission(fixture), ...judge(fixture.next, now)])
        expect(sentence(finding), fixture.name).not.toMatch(/canary|1GFPYYSJ/i);
  });
});

test.each(named(valid))('the right manifest %s has no errors, and the warnings that it says', (_name, fixture) => {
  const findings = admission(fixture);
  expect(fieldsOf(findings)).toEqual([]);
  expect(fieldsOf(judge(fixture.next, now))).toEqual([]);
  expect(fieldsOf(findings, 'warning')).toEqual([...fixture.warn].sort());
});

test('the tables of docs/admission.md are those of the fixtures', () => {
  const text = readFileSync(page, 'utf8');
  expect(text === withTables(text), 'run node test/fixtures/table.ts').toBe(true);
});

describe('what the CRD repeats of the rules', () => {
  const texts: string[] = [];
  const crd = readFileSync(new URL('../../crds/dbbackup.io_databasebackups.yaml', import.meta.url), 'utf8');
  JSON.stringify(parse(crd), (key, value: unknown) => {
    if (key === 'rule' && typeof value === 'string') texts.push(value);
    return value;
  });
  const options = (condition: string, pattern: RegExp): string[] => {
    const rule = texts.find((text) => text.startsWith(`!has(self.extraArgs) || ${condition} ||`)) ?? '';
    return (pattern.exec(rule)?.[1] ?? '').split('|').map((name) => `--${name}`);
  };

  test.each<[string, EngineName, Scope]>([
    ["self.engine != 'postgres' || has(self.allDatabases)", 'postgres', { name: 'orders' }],
    ["self.engine != 'postgres' || !has(self.allDatabases)", 'postgres', { allDatabases: true }],
    ["self.engine != 'mysql'", 'mysql', { name: 'orders' }],
    ["self.engine != 'mysql'", 'mysql', { allDatabases: true }],
    ["self.engine != 'mariadb'", 'mariadb', { name: 'orders' }],
    ["self.engine != 'mariadb'", 'mariadb', { allDatabases: true }],
    ["self.engine != 'mongodb' || has(self.allDatabases)", 'mongodb', { name: 'orders' }],
    ["self.engine != 'mongodb' || !has(self.allDatabases)", 'mongodb', { allDatabases: true }],
  ])('is the allow-list of extra arguments where %s does not hold: %s %j', (condition, engine, scope) => {
    const allowed = Object.entries(engines[engine].allowedArguments(scope));
    const ofKind = (takesValue: boolean): string[] =>
      allowed.filter(([, takes]) => takes === takesValue).map(([name]) => name);
    expect(options(condition, /\^--\(([^)]*)\)=/)).toEqual(ofKind(true));
    expect(options(condition, /\^--\(([^)]*)\)\$/)).toEqual(ofKind(false));
  });

  test('is the resources that a dump has where nothing is said', () => {
    const { requests, limits } = defaultResources;
    for (const amount of [requests.cpu, requests.memory, limits.memory])
      expect(texts.filter((text) => text.includes(`'${amount}'`)).length, amount).toBeGreaterThan(0);
  });
});
