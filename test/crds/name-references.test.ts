// Where a DatabaseBackup names another object, kustomize must know of it: a Secret or ConfigMap that it generates gets a name with a digest.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { schema } from '../../crds/databasebackup.gen.ts';

interface Node {
  properties?: Record<string, Node>;
}

/** By the last word of the field that holds the name. */
const kinds: [field: RegExp, kind: string][] = [
  [/configMapKeyRef\/name$/i, 'ConfigMap'],
  [/(secretRef|secretKeyRef)\/name$/i, 'Secret'],
  [/claimName$/, 'PersistentVolumeClaim'],
  [/serviceAccountName$/, 'ServiceAccount'],
];

function references({ properties = {} }: Node, path: string): [string, string][] {
  return Object.entries(properties).flatMap(([name, node]) => {
    const here = `${path}/${name}`;
    const kind = kinds.find(([field]) => field.test(here))?.[1];
    return [...(kind === undefined ? [] : [[here, kind] as [string, string]]), ...references(node, here)];
  });
}

test('the component of transformers has every name of another object, and its kind', () => {
  const file = new URL('../../kustomize/components/transformers/fields.yaml', import.meta.url);
  const { nameReference } = parse(readFileSync(file, 'utf8')) as {
    nameReference: { kind: string; fieldSpecs: { path: string }[] }[];
  };
  const known = nameReference.flatMap(({ kind, fieldSpecs }) =>
    fieldSpecs.map(({ path }): [string, string] => [path, kind]),
  );
  const wanted = references((schema as Node).properties?.['spec'] ?? {}, 'spec');
  expect(known.sort()).toEqual(wanted.sort());
  expect(wanted.length).toBeGreaterThan(8);
});
