// What follows from a spec alone is computed once for it, and anew whenever something that it depends on is another.
import { describe, expect, test } from 'vitest';
import { derived, specDigest } from '../../controller/spec.ts';
import { specHash } from '../../crds/rules/names.ts';
import { validate } from '../../crds/rules/validate.ts';
import { backup } from './builders.ts';

const one = backup();

describe('what is derived', () => {
  test('is computed once for one spec object', () => {
    const first = derived(one);
    expect(derived({ ...one, status: { observedGeneration: 7 } })).toBe(first);
    expect(derived({ ...one, metadata: { ...one.metadata, resourceVersion: '9' } })).toBe(first);
  });

  test('is anew for another spec object, though it says the same', () => {
    expect(derived({ ...one, spec: structuredClone(one.spec) })).not.toBe(derived(one));
  });

  test.each([
    ['name, since H is seeded by it', { name: 'stock' }],
    ['namespace', { namespace: 'depot' }],
  ])('is anew for another %s', (_name, metadata) => {
    const spec = { ...one.spec, schedule: 'H H * * *' };
    const here = { ...one, spec };
    const there = { ...here, metadata: { ...one.metadata, ...metadata } };
    const before = derived(here).schedule?.resolved;
    expect(before).toMatch(/^\d+ \d+ \* \* \*$/);
    expect(derived(there).schedule?.resolved).not.toBe(before);
    expect(derived(here).schedule?.resolved).toBe(before);
  });

  test('is judged without its labels and annotations, of which the webhook is not asked when they alone change', () => {
    const odd = { 'dbbackup.io/oops': 'x', 'dbbackup.io/trigger': 'vor dem Übergang' };
    const labelled = { ...one, metadata: { ...one.metadata, annotations: odd, labels: odd } };
    expect(validate(labelled).filter(({ severity }) => severity === 'error')).toHaveLength(4);
    expect(derived(labelled).findings).toEqual([]);
  });

  test('has errors and no warnings', () => {
    const risky = backup({ spec: { encryption: { none: {} } } });
    expect(derived(risky).findings).toEqual([]);
  });

  test('has no schedule where the spec has none, or is not valid', () => {
    const { schedule: _, ...rest } = one.spec;
    expect(derived({ ...one, spec: rest }).schedule).toBeUndefined();
    expect(derived(backup({ spec: { schedule: '61 * * * *' } })).schedule).toBeUndefined();
    expect(derived(backup({ spec: { retention: {} } })).schedule).toBeUndefined();
    expect(derived(one).schedule?.resolved).toBe('0 1 * * *');
  });
});

describe('the digest of a spec', () => {
  test('is that of the spec as it is stored', () => {
    expect(specDigest(one, 'postgres:16')).toBe(specHash(one.spec));
  });

  test('with another image is that of the spec with that image', () => {
    const other = backup({ spec: { database: { ...one.spec.database, image: 'postgres:17' } } });
    expect(specDigest(one, 'postgres:17')).toBe(specHash(other.spec));
    expect(specDigest(other, 'postgres:16')).toBe(specHash(one.spec));
    expect(specDigest(one, 'postgres:16')).not.toBe(specDigest(one, 'postgres:17'));
  });

  test('does not change with what is not in the spec', () => {
    const named = { ...one, metadata: { ...one.metadata, name: 'stock', annotations: { note: 'x' } } };
    expect(specDigest(named, 'postgres:16')).toBe(specDigest(one, 'postgres:16'));
  });

  test.each([
    ['schedule', { schedule: '0 2 * * *' }],
    ['suspend', { suspend: true }],
    ['gate', { gate: { token: 'B' } }],
    ['retention', { retention: { keepLast: 4 } }],
    ['history', { failedJobsHistoryLimit: 1 }],
  ])('changes with %s', (_name, spec) => {
    expect(specDigest(backup({ spec }), 'postgres:16')).not.toBe(specDigest(one, 'postgres:16'));
  });
});
