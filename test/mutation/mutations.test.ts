// The mutations cover the schema: every field, every bound, and every field is looked for where it shows.
import { expect, test } from 'vitest';
import { buildJob } from '../../controller/job.ts';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { canonical } from '../../crds/rules/names.ts';
import { backup, settings } from '../controller/builders.ts';
import { full, lean } from './bases.ts';
import { at, bounds, fields, immutable, mutations, unions } from './mutations.ts';
import { others } from './others.ts';
import { differences, shows, type WholeJob } from './shows.ts';

const now = new Date('2025-03-27T01:00:00Z');
const all = [...mutations(full, 'full', 1, now), ...mutations(lean, 'lean', 1, now)];
const changed = new Set(all.map(({ path }) => path));
/** What only groups others that are required. */
const groups = ['database.auth', 'database.auth.secretRef', 'retention'];
/** They change as the whole database does. */
const together = ['database.engine', 'database.allDatabases', 'database.auth.jwt', 'database.auth.tokenSecretKeyRef'];
const without = [immutable, ...groups, ...together];
/** Members of unions, which change with them. */
const members = new Set(
  Object.entries(unions).flatMap(([path, list]) =>
    list.flatMap((one) => Object.keys(one)).map((name) => `${path}.${name}`),
  ),
);
const bases = [full, lean, ...others];

test('every field is changed', () => {
  const left = fields().filter(({ path }) => !changed.has(path) && !without.includes(path) && !members.has(path));
  expect(left.map(({ path }) => path)).toEqual([]);
});

test('every bound and every word of a field is tried, or is what the spec says before', () => {
  const missing = fields().flatMap((field) =>
    bounds(field)
      .filter(
        (bound) =>
          ![...bases, ...all.map(({ spec }) => spec)].some(
            (spec) => canonical(at(spec, field.path)) === canonical(bound),
          ),
      )
      .map((bound) => `${field.path}=${JSON.stringify(bound)}`),
  );
  expect(missing).toEqual([]);
});

test('every field that holds a value is looked for, and no other', () => {
  const leaves = fields().filter(
    ({ path, node }) => !path.includes('[]') && (node.properties === undefined || node.type !== 'object'),
  );
  expect(Object.keys(shows).sort()).toEqual(leaves.map(({ path }) => path).sort());
});

test('no mutation leaves a spec as it was', () => {
  for (const { path, to, spec } of all) expect(bases.map(canonical), `${path} to ${to}`).not.toContain(canonical(spec));
});

/** What the controller makes of a spec, before an API server adds its defaults; status and what Kubernetes rewrites left out. */
function unlike(spec: DatabaseBackupSpec): string[] {
  const whole = backup();
  const living = {
    ...whole,
    spec,
    status: { ...whole.status, effective: { cluster: spec.database.cluster ?? 'stock-db' } },
  };
  const trigger = { kind: 'Manual', token: 'a', time: '2025-03-27T01:00:00Z' } as const;
  const job = buildJob({ backup: living, settings, name: 'orders-1', image: spec.database.image, trigger }) as WholeJob;
  return differences(spec, living, job).filter((line) =>
    /^spec\.(database|storage|compression|encryption|retention)\./.test(line),
  );
}

test('every spec shows in the Job that is made of it, and where another is meant it is seen', () => {
  for (const { path, to, spec } of all) expect(unlike(spec), `${path} to ${to}`).toEqual([]);
  const [first = lean] = others;
  const job = buildJob({
    backup: { ...backup(), spec: first },
    settings,
    name: 'orders-1',
    image: first.database.image,
    trigger: { kind: 'Manual', token: 'a', time: '2025-03-27T01:00:00Z' },
  }) as WholeJob;
  const meant = { ...first, retention: { ...first.retention, keepWeekly: 5 } };
  expect(differences(meant, backup(), job)).toContain('spec.retention.keepWeekly means 5 and shows as 4');
});
