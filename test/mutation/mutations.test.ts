// The mutations cover the schema: every field, every bound, and every field is looked for where it shows.
import { expect, test } from 'vitest';
import { canonical } from '../../crds/rules/names.ts';
import { full, lean, others } from './bases.ts';
import { at, bounds, fields, immutable, mutations } from './mutations.ts';
import { shows } from './shows.ts';

const now = new Date('2025-03-27T01:00:00Z');
const bases = { full, lean, ...others };
const all = Object.entries(bases).flatMap(([name, base]) => mutations(base, name, 1, now));
const changed = new Set(all.map(({ path }) => path));
/** One word only, or what only groups others that are required. */
const without = [immutable, 'database', 'database.allDatabases', 'retention'];
/** Members of unions, which change with them. */
const members =
  /^(database\.auth\.(secretRef|jwt|tokenSecretKeyRef)|database\.tls\.ca\.(configMapKeyRef|secretKeyRef)|storage\.(s3|pvc|s3\.auth\.(secretRef|default))|encryption\.(age|none))$/;

test('every field is changed', () => {
  const left = fields().filter(({ path }) => !changed.has(path) && !without.includes(path) && !members.test(path));
  expect(left.map(({ path }) => path)).toEqual([]);
});

test('every bound and every word of a field is tried, or is what the spec says before', () => {
  const missing = fields().flatMap((field) =>
    bounds(field)
      .filter(
        (bound) =>
          ![...Object.values(bases), ...all.map(({ spec }) => spec)].some(
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
  for (const { path, to, spec } of all)
    expect(Object.values(bases).map(canonical), `${path} to ${to}`).not.toContain(canonical(spec));
});
