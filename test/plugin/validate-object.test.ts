// What validate says of one object beyond the rules of admission: apiVersion and kind, metadata, fields that the schema does not know.
import { describe, expect, it } from 'vitest';
import { withoutEmpty } from '../../crds/rules/empty-fields.ts';
import { distance, nearest } from '../../crds/rules/nearest.ts';
import { unknownFields } from '../../crds/rules/unknown-fields.ts';
import { verdict } from '../../plugin/validate/kinds.ts';
import { metadataFindings } from '../../plugin/validate/metadata.ts';
import { smallest, withField } from '../crds/backup.ts';

const told = (findings: { field: string; message: string; fix: string }[]): string[] =>
  findings.map(({ field, message, fix }) => `${field}: ${message}; ${fix}`);

describe('unknown fields', () => {
  it.each([
    ['spec.retentoin', 'did you mean retention?'],
    ['spec.keepLast', 'did you mean spec.retention.keepLast?'],
    ['spec.Schedule', 'did you mean schedule?'],
    ['spec.storage.bucket', 'did you mean spec.storage.s3.bucket?'],
    ['spec.database.schedule', 'did you mean spec.schedule?'],
    ['spec.encryption.none.x', 'remove it; nothing is set here'],
    ['spec.retention.zzzzzz', expect.stringMatching(/^remove it; known here are keepLast, /)],
    ['metadata.lables', 'did you mean labels?'],
    ['specs', 'did you mean spec?'],
    ['status.phse', 'did you mean phase?'],
  ])('%s', (path, fix) => {
    expect(unknownFields(withField(path, 'secret'))).toEqual([
      { field: path, severity: 'error', message: 'is not a known field', fix },
    ]);
  });

  it('what is known is let pass, also where names are free', () => {
    expect(unknownFields(smallest)).toEqual([]);
    const labels = { any: 'x', 'app.kubernetes.io/name': 'y' };
    expect(unknownFields(withField('metadata.labels', labels))).toEqual([]);
    expect(unknownFields(withField('metadata.ownerReferences', [{ any: 1 }]))).toEqual([]);
  });

  it('items of lists, from any schema', () => {
    const schema = {
      properties: {
        list: { items: { properties: { name: {} } } },
        free: { additionalProperties: { properties: { a: {} } } },
        open: { 'x-kubernetes-preserve-unknown-fields': true, properties: { a: {} } },
      },
    };
    const object = { list: [{ name: 1 }, { nam: 2 }], free: { x: { a: 1, b: 2 } }, open: { b: { c: 1 } } };
    expect(unknownFields(object, schema).map(({ field }) => field)).toEqual(['list[1].nam', 'free.x.b']);
  });

  it('takes any shape and does not grow with it', () => {
    for (const shape of [null, undefined, 5, 'x', [], [{}], { spec: 5 }, { spec: [1] }, { metadata: 'x' }])
      expect(() => unknownFields(shape)).not.toThrow();
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`k${n}`, 1]));
    expect(unknownFields({ ...smallest, spec: { ...smallest.spec, ...many } })).toHaveLength(100);
    expect(unknownFields(JSON.parse('{"__proto__": {"a": 1}, "constructor": 1}')).map(({ field }) => field)).toEqual([
      '__proto__',
      'constructor',
    ]);
  });
});

it('distance counts keystrokes', () => {
  expect(['', 'a', 'ab', 'ba', 'abc', 'acb'].map((word) => distance(word, 'abc'))).toEqual([3, 2, 1, 2, 0, 1]);
  expect(nearest('endpoit', ['bucket', 'endpoint'])).toBe('endpoint');
  expect(nearest('x', ['abcdef'])).toBeUndefined();
  expect(nearest('e'.repeat(100_000), ['e'])).toBeUndefined();
});

it('null is absent where the schema does not allow it', () => {
  const schema = {
    properties: {
      a: {},
      n: { nullable: true },
      l: { items: { properties: { b: {} } } },
      f: { additionalProperties: {} },
    },
  };
  expect(withoutEmpty({ a: null, n: null, x: null, l: [null, { b: null }], f: { g: null } }, schema)).toEqual({
    value: { n: null, x: null, l: [null, {}], f: {} },
    taken: ['a', 'l[1].b', 'f.g'],
  });
});

describe('apiVersion and kind', () => {
  const right = 'dbbackup.io/v1alpha1';
  it.each([
    [right, 'DatabaseBackup', 'ours', []],
    [right, 'DatabaseBackupList', 'list', []],
    ['v1', 'List', 'list', []],
    ['v1', 'ConfigMap', 'foreign', []],
    ['apps/v1', 'List', 'foreign', []],
    ['other.example.com/v1', 'DatabaseBackup', 'foreign', []],
    [undefined, undefined, 'foreign', []],
    [undefined, 'Pod', 'foreign', []],
    ['dbbackup.io/v1', 'DatabaseBackup', 'ours', ['apiVersion: is no version of dbbackup; write dbbackup.io/v1alpha1']],
    ['dbbackup.io', 'DatabaseBackup', 'ours', ['apiVersion: is no version of dbbackup; write dbbackup.io/v1alpha1']],
    ['v1alpha1', 'DatabaseBackup', 'ours', ['apiVersion: is not the group of dbbackup; write dbbackup.io/v1alpha1']],
    [
      'dbbackups.io/v1alpha1',
      'DatabaseBackup',
      'ours',
      ['apiVersion: is not the group of dbbackup; write dbbackup.io/v1alpha1'],
    ],
    [undefined, 'DatabaseBackup', 'ours', ['apiVersion: is required; write dbbackup.io/v1alpha1']],
    [right, 'DatabaseBackups', 'ours', ['kind: is no kind of dbbackup; write DatabaseBackup']],
    [right, 'databasebackup', 'ours', ['kind: is no kind of dbbackup; write DatabaseBackup']],
    [right, undefined, 'ours', ['kind: is required; write DatabaseBackup']],
    [right, 'Sandwich', 'unknown', ['kind: is no kind of dbbackup; write DatabaseBackup']],
  ])('%s %s', (apiVersion, kind, what, expected) => {
    const { findings, ...rest } = verdict({ apiVersion, kind });
    expect([rest.what, told(findings)]).toEqual([what, expected]);
  });
});

describe('metadata', () => {
  const of = (metadata: unknown): string[] =>
    metadataFindings({ metadata }).map(({ field, message }) => `${field}: ${message}`);

  it.each([
    [{ name: 'orders' }, []],
    [{ generateName: 'orders-' }, []],
    [
      {
        name: 'a.b-c',
        namespace: 'shop',
        labels: { a: '', b: null, 'c.d/e': 'F_g' },
        annotations: { 'x/y': 'any\n', 'EXAMPLE.io/Note': '' },
      },
      [],
    ],
    [{}, ['metadata.name: is required']],
    [{ name: '' }, ['metadata.name: is required']],
    [{ name: 5 }, ['metadata.name: is not a text']],
    [{ name: 'Orders' }, ['metadata.name: is not a DNS name']],
    [{ name: 'a', namespace: 'a.b' }, ['metadata.namespace: is not the name of a namespace']],
    [{ name: 'a', namespace: 5 }, ['metadata.namespace: is not a text']],
    [{ name: 'a', labels: ['x'] }, ['metadata.labels: is not a map of texts']],
    [{ name: 'a', labels: { x: true } }, ['metadata.labels[x]: is not a text']],
    [{ name: 'a', labels: { x: 'a b' } }, ['metadata.labels[x]: is no valid label']],
    [{ name: 'a', labels: { 'a/b/c': 'x' } }, ['metadata.labels: is no valid key']],
    [{ name: 'a', labels: { 'EXAMPLE.io/note': '' } }, ['metadata.labels: is no valid key']],
    [{ name: 'a', annotations: { x: 1 } }, ['metadata.annotations[x]: is not a text']],
    [
      { name: 'a', annotations: { x: 'y'.repeat(300_000) } },
      ['metadata.annotations: are larger than 256 KiB together'],
    ],
  ])('%j', (metadata, expected) => {
    expect(of(metadata)).toEqual(expected);
  });
});
