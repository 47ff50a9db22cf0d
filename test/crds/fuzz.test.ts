// The object fuzzer on a small number of objects; `npm run fuzz` runs as many as wanted. And the fuzzer itself, held to finding what is planted.
import { expect, test } from 'vitest';
import { validate } from '../../crds/rules/validate.ts';
import { judge } from '../../plugin/validate/judge.ts';
import { caseOf } from '../fuzz/cases.ts';
import { roundOf } from '../fuzz/chance.ts';
import { counted } from '../fuzz/counted.ts';
import { checkObject } from '../fuzz/object-checks.ts';
import { generated } from '../fuzz/objects.ts';
import { fuzzObjects } from '../fuzz/run-objects.ts';
import { shrink } from '../fuzz/shrink.ts';
import { smallest, withField } from './backup.ts';

const seed = Number(process.env['TEST_SEED'] ?? '20250327');

test('1,500 objects are judged without a stumble, always the same, and never let through against the rules', async () => {
  const outcomes = await fuzzObjects(1500, seed);
  // A fuzzer whose objects all end the same way tests little.
  expect(outcomes.accepted).toBeGreaterThan(100);
  expect(outcomes.refused).toBeGreaterThan(500);
  expect(outcomes.unchanged).toBeGreaterThan(20);
}, 60_000);

test('the same seed makes the same objects', () => {
  expect(caseOf(7, 123)).toEqual(caseOf(7, 123));
  expect(caseOf(7, 123)).not.toEqual(caseOf(8, 123));
});

test('every field of the spec is made, and many objects are good', () => {
  const made = new Set<string>();
  let good = 0;
  for (let round = 0; round < 400; round++) {
    const object = generated(roundOf(seed, round));
    if (validate(object).every(({ severity }) => severity !== 'error')) good++;
    for (const path of paths(object['spec'], 'spec')) made.add(path);
  }
  expect(good).toBeGreaterThan(100);
  const wanted = paths(JSON.parse(JSON.stringify(smallest.spec)), 'spec');
  expect(wanted.filter((path) => !made.has(path))).toEqual([]);
  for (const field of [
    ...['pvc.subPath', 's3.endpoint', 's3.auth.secretRef.keys.sessionToken', 's3.ca.configMapKeyRef.key'],
    ...['s3.objectLock.days', 'gcs.auth.serviceAccountKeySecretKeyRef.key', 'azure.auth.workloadIdentity.clientId'],
  ])
    expect(made).toContain(`spec.storage.${field}`);
  for (const field of [
    'tolerations.0.tolerationSeconds',
    'resources.limits.memory',
    'podLabels',
    'imagePullSecrets.0.name',
  ])
    expect(made).toContain(`spec.job.${field}`);
});

function paths(value: unknown, at: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [`${at}.${name}`, ...paths(inner, `${at}.${name}`)]);
}

test('a failure comes with its seed and an object that is as small as can be', async () => {
  const planted: typeof checkObject = ({ next }) => {
    if (JSON.stringify(next).includes('"keepLast"')) throw new Error('planted');
    return 'accepted';
  };
  const failure = await fuzzObjects(1500, 3, planted).catch((error: Error) => error.message);
  expect(failure).toMatch(/^fuzz --seed 3, object \d+: planted\n/);
  expect(String(failure).replace(/\s/g, '')).toMatch(
    /planted\{("spec":\{)?"retention":\{"keepLast":.{1,12}\}\}|planted\{"spec":\{"retention":\{"keepLast":/,
  );
});

test('shrinking ends, with nothing left that could go', async () => {
  const found = await shrink({ a: [1, { b: 'xxkeyxx' }], c: 2 }, (value) => JSON.stringify(value).includes('key'));
  expect(found).toEqual({ a: [{ b: 'key' }] });
});

test.each([
  ['a name that is a number', { metadata: { name: 5 } }, 'metadata.name'],
  ['a name that is no DNS name', { metadata: { name: 'Orders_DB' } }, 'metadata.name'],
  [
    'a beginning of a name that makes it too long',
    { metadata: { generateName: 'a'.repeat(44) } },
    'metadata.generateName',
  ],
  ['a beginning of a name that is none', { metadata: { generateName: 'Made-' } }, 'metadata.generateName'],
  ['a beginning of a name that ends in a dot', { metadata: { generateName: 'a.' } }, 'metadata.generateName'],
  [
    'a trigger that is a number',
    { metadata: { name: 'a', annotations: { 'dbbackup.io/trigger': 5 } } },
    'metadata.annotations[dbbackup.io/trigger]',
  ],
])('%s is refused by its field', (_what, change, field) => {
  const found = validate({ ...smallest, ...change }).filter(({ severity }) => severity === 'error');
  expect(found.map((finding) => finding.field)).toEqual([field]);
});

test('an empty trigger is the empty text that the API server makes of it', () => {
  expect(validate({ ...smallest, metadata: { name: 'a', annotations: { 'dbbackup.io/trigger': null } } })).toEqual([]);
});

test('an object on the address of its database is refused for its own name, not for the cluster made from it', () => {
  const { spec } = smallest;
  const next = {
    ...smallest,
    metadata: { name: '-' },
    spec: { ...spec, database: { ...spec.database, host: '10.0.0.7' } },
  };
  expect(checkObject({ next })).toBe('refused');
});

test.each([
  ['without spec', {}],
  ['without database', { spec: { ...smallest.spec, database: undefined } }],
  ['without encryption', { spec: { ...smallest.spec, encryption: undefined } }],
  ['with a host that is a number', { spec: { ...smallest.spec, database: { host: 5 } } }],
  ['with recipients that are no list', { spec: { ...smallest.spec, encryption: { age: { recipients: 5 } } } }],
])('an object that was stored %s, under an older schema, can be mended', (_what, spec) => {
  const { apiVersion, kind, metadata } = smallest;
  const old = JSON.parse(JSON.stringify({ apiVersion, kind, metadata, ...spec }));
  expect(checkObject({ next: smallest, old })).toBe('accepted');
});

test('lists that name one thing twice are looked through once, however long they are', () => {
  for (const [field, item] of [
    ['spec.encryption.age.recipients', 'x'],
    ['spec.job.imagePullSecrets', { name: 'x' }],
  ] as const) {
    const list = Array.from({ length: 20_000 }, () => item);
    const { found, reads } = counted(withField(field, list), (object) => ({ found: validate(object) }));
    expect(found.some(({ severity }) => severity === 'error')).toBe(true);
    expect(reads).toBeLessThan(20_000 * 20);
  }
});

test('an annotation that cannot even be made a text is a finding offline', () => {
  const annotations = { note: { toString: 1 } };
  const found = judge({ ...smallest, metadata: { name: 'a', annotations } }, new Date('2025-03-27T12:00:00Z'));
  expect(found.map(({ field }) => field)).toEqual(['metadata.annotations[note]']);
});
