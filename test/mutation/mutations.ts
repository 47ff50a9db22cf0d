// Every field of a DatabaseBackup's spec, as the schema has it, changed to other valid values: its bounds, each word, absent, and what the fuzzer makes.
import { type DatabaseBackupSpec, schema } from '../../crds/databasebackup.gen.ts';
import { canonical } from '../../crds/rules/names.ts';
import { parseSchedule } from '../../crds/rules/schedule.ts';
import { validate } from '../../crds/rules/validate.ts';
import { roundOf } from '../fuzz/chance.ts';
import { generated, type SchemaNode } from '../fuzz/objects.ts';
import { full } from './bases.ts';

export interface Field {
  /** From spec on, dots between; [] is the first item of a list. */
  path: string;
  node: SchemaNode;
}

export interface Mutation {
  path: string;
  /** As people would say it. */
  to: string;
  spec: DatabaseBackupSpec;
}

/** Of these one member is set at a time: they change together. */
export const unions: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  storage: [
    { pvc: { claimName: 'other' } },
    { s3: { bucket: 'others', region: 'eu', auth: { secretRef: { name: 's3' } } } },
    { s3: { bucket: 'others', region: 'eu', auth: { default: {} } } },
  ],
  'database.auth': [
    { secretRef: { name: 'other' } },
    { jwt: { role: 'other' } },
    { tokenSecretKeyRef: { name: 'other', key: 'token' } },
  ],
  'database.tls.ca': [
    { configMapKeyRef: { name: 'other', key: 'ca.crt' } },
    { secretKeyRef: { name: 'other', key: 'ca.crt' } },
  ],
  'storage.s3.auth': [{ default: {} }, { secretRef: { name: 'other' } }],
  encryption: [
    { none: {} },
    { age: { recipients: ['age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg'] } },
  ],
};
/** Only the one who creates an object chooses it. */
export const immutable = 'database.cluster';
const fuzzRounds = 300;
/** Windows of a schedule that is tried come no sooner, so that none comes into a test. */
const awayMilliseconds = 3_600_000;

/** All fields, those inside of lists of objects too; of a map or a list of texts there is one. */
export function fields(): Field[] {
  const found: Field[] = [];
  const walk = (node: SchemaNode, path: string): void => {
    if (path !== '') found.push({ path, node });
    for (const [name, inner] of Object.entries(node.properties ?? {}))
      walk(inner, path === '' ? name : `${path}.${name}`);
    for (const [name, inner] of Object.entries(node.items?.properties ?? {})) walk(inner, `${path}[].${name}`);
  };
  walk((schema as SchemaNode).properties?.['spec'] ?? {}, '');
  return found;
}

export function at(spec: object, path: string): unknown {
  return path
    .replaceAll('[]', '.0')
    .split('.')
    .reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], spec);
}

/** The spec with another value; undefined takes the field away, and what holds it where there is none makes no spec. */
function withValue(spec: DatabaseBackupSpec, path: string, value: unknown): DatabaseBackupSpec | undefined {
  const copy = structuredClone(spec);
  const steps = path.replaceAll('[]', '.0').split('.');
  const last = steps.pop() ?? '';
  const parent = steps.length === 0 ? copy : at(copy, steps.join('.'));
  if (typeof parent !== 'object' || parent === null) return undefined;
  if (value === undefined) Reflect.deleteProperty(parent, last);
  else Reflect.set(parent, last, value);
  return copy;
}

let random: Map<string, unknown[]> | undefined;

/** What the fuzzer's objects have at each field, in the order of their making. */
function fuzzed(): Map<string, unknown[]> {
  const values = new Map<string, unknown[]>(fields().map(({ path }) => [path, []]));
  for (let round = 0; round < fuzzRounds; round++) {
    const { spec } = generated(roundOf(1, round)) as { spec: object };
    for (const [path, list] of values) {
      const value = at(spec, path);
      if (value !== undefined) list.push(value);
    }
  }
  return values;
}

/** A map that is emptied by server-side apply becomes null on its way, which the API server then refuses (kubernetes/kubernetes#135841). */
const isRefused = ({ node }: Field, value: unknown): boolean =>
  typeof node.additionalProperties === 'object' && canonical(value) === '{}';

/** Values that every field of its kind should be tried with. */
export function bounds({ path, node }: Field): unknown[] {
  if (unions[path] !== undefined) return [...unions[path]];
  if (node.type === 'boolean') return node.enum === undefined ? [true, false] : [...node.enum];
  return [...(node.enum ?? []), ...[node.minimum, node.maximum].filter((bound) => bound !== undefined)];
}

const isScalar = ({ type, items, additionalProperties, properties }: SchemaNode): boolean =>
  type !== 'object' || items !== undefined || typeof additionalProperties === 'object' || properties === undefined;

/**
 * Valid changes of one field of a spec, every bound among them.
 * @param most values of the fuzzer's for each field
 */
export function mutations(base: DatabaseBackupSpec, name: string, most: number, from: Date): Mutation[] {
  random ??= fuzzed();
  const pool = random;
  return fields()
    .filter(({ path }) => path !== immutable)
    .flatMap((field) => {
      const { path, node } = field;
      const made: Mutation[] = [];
      const seen = new Set([canonical(base)]);
      const attempt = (value: unknown): boolean => {
        const spec = isRefused(field, value) ? undefined : withValue(base, path, value);
        if (spec === undefined || seen.has(canonical(spec)) || !isValid(spec, name, from)) return false;
        seen.add(canonical(spec));
        made.push({ path, to: value === undefined ? 'absent' : JSON.stringify(value).slice(0, 60), spec });
        return true;
      };
      for (const value of [undefined, ...(at(base, path) === undefined ? [at(full, path)] : []), ...bounds(field)])
        attempt(value);
      if (!isScalar(node)) return made;
      let left = most;
      for (const value of pool.get(path) ?? []) if (left > 0 && attempt(value)) left -= 1;
      return made;
    });
}

/** Not in YAML, which is what is applied. */
const unwritable = /[\x80-\x9f\ufffe\uffff]/;

function isValid(spec: DatabaseBackupSpec, name: string, from: Date): boolean {
  if (unwritable.test(canonical(spec))) return false;
  const object = {
    apiVersion: 'dbbackup.io/v1alpha1' as const,
    kind: 'DatabaseBackup' as const,
    metadata: { name, namespace: name },
    spec,
  };
  if (validate(object).some(({ severity }) => severity === 'error')) return false;
  if (spec.schedule === undefined) return true;
  const next = parseSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', `${name}/${name}`).next(from.getTime());
  return next === undefined || next - from.getTime() > awayMilliseconds;
}
