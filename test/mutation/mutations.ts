// Every field of a DatabaseBackup's spec, as the schema has it, changed to other valid values: its bounds, each word, absent, and what the fuzzer makes.
import { type DatabaseBackupSpec, schema } from '../../crds/databasebackup.gen.ts';
import { engines } from '../../crds/rules/engines/table.ts';
import { canonical } from '../../crds/rules/names.ts';
import { parseSchedule } from '../../crds/rules/schedule.ts';
import { validate } from '../../crds/rules/validate.ts';
import { roundOf } from '../fuzz/chance.ts';
import { generated, type SchemaNode } from '../fuzz/objects.ts';
import { full, lean } from './bases.ts';
import { others } from './others.ts';

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

const keyRef = { name: 'other', key: 'other-key' };
const authorities = [{ secretKeyRef: keyRef }, { configMapKeyRef: keyRef }];

/** Of these one member is set at a time: they change together. */
export const unions: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  'database.tls.ca': authorities,
  storage: [
    { pvc: { claimName: 'other' } },
    { s3: { bucket: 'others', region: 'eu', auth: { secretRef: { name: 's3' } } } },
    { s3: { bucket: 'others', region: 'eu', auth: { default: {} } } },
    { gcs: { bucket: 'others', auth: { applicationDefault: {} } } },
    { azure: { container: 'others', account: 'others', auth: { managedIdentity: {} } } },
  ],
  'storage.s3.auth': [{ default: {} }, { secretRef: { name: 'other' } }, { workloadIdentity: {} }],
  'storage.s3.ca': authorities,
  'storage.gcs.auth': [{ serviceAccountKeySecretKeyRef: keyRef }, { workloadIdentity: {} }, { applicationDefault: {} }],
  'storage.azure.auth': [
    { accountKeySecretKeyRef: keyRef },
    { connectionStringSecretKeyRef: keyRef },
    { sasTokenSecretKeyRef: keyRef },
    { managedIdentity: {} },
    { workloadIdentity: {} },
  ],
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

type Database = DatabaseBackupSpec['database'];

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

/** A map or an object that is emptied by server-side apply becomes null on its way, which the API server then refuses (kubernetes/kubernetes#135841). */
function isRefused({ path, node }: Field, value: unknown, spec: object): boolean {
  const isMap = typeof node.additionalProperties === 'object' && canonical(value) === '{}';
  const holder = path.slice(0, Math.max(0, path.lastIndexOf('.')));
  return isMap || (value === undefined && holder !== '' && canonical(at(spec, holder)) === '{}');
}

/** Values that every field of its kind should be tried with. */
export function bounds({ path, node }: Field): unknown[] {
  if (unions[path] !== undefined) return [...unions[path]];
  if (node.type === 'boolean') return node.enum ?? [true, false];
  return [...(node.enum ?? []), ...[node.minimum, node.maximum].filter((bound) => bound !== undefined)];
}

const isScalar = ({ type, items, additionalProperties, properties }: SchemaNode): boolean =>
  type !== 'object' || items !== undefined || typeof additionalProperties === 'object' || properties === undefined;

/** The whole database as each engine has it, with the cluster that it has. */
function databases(base: DatabaseBackupSpec, pool: Map<string, unknown[]>): unknown[] {
  const { cluster } = base.database;
  const known = (pool.get('database') ?? []) as Database[];
  return Object.keys(engines).flatMap((engine) => {
    const fits = (database: Database): boolean =>
      database.engine === engine && database.cluster === undefined && isValid({ ...base, database }, 'any');
    const found = known.find(fits);
    return found === undefined ? [] : [cluster === undefined ? found : { ...found, cluster }];
  });
}

/** Valid changes of one field of a base, every bound among them. */
function changes(base: DatabaseBackupSpec, name: string, most: number, from: Date, field: Field): Mutation[] {
  random ??= fuzzed();
  const { path, node } = field;
  const made: Mutation[] = [];
  const seen = new Set([canonical(base)]);
  const attempt = (value: unknown): boolean => {
    const spec = withValue(base, path, value);
    if (spec === undefined || isRefused(field, value, spec) || seen.has(canonical(spec)) || !isValid(spec, name, from))
      return false;
    seen.add(canonical(spec));
    made.push({ path, to: value === undefined ? 'absent' : JSON.stringify(value).slice(0, 60), spec });
    return true;
  };
  for (const value of [undefined, ...(at(base, path) === undefined ? [at(full, path)] : []), ...bounds(field)])
    attempt(value);
  if (path === 'database' && base === lean) for (const value of databases(base, random)) attempt(value);
  if (!isScalar(node)) return made;
  let left = most;
  for (const value of random.get(path) ?? []) if (left > 0 && attempt(value)) left -= 1;
  return made;
}

const holds = (specs: readonly DatabaseBackupSpec[], path: string): boolean =>
  specs.some((spec) => at(spec, path) !== undefined);

/**
 * Valid changes of one field of a spec, every bound among them. To those of `lean` belong those of the fields that neither of the two
 * bases holds, each on the first of `others` that does: they are changed once, since on a real API server each takes a run of seconds.
 * @param most values of the fuzzer's for each field
 */
export function mutations(base: DatabaseBackupSpec, name: string, most: number, from: Date): Mutation[] {
  return fields()
    .filter(({ path }) => path !== immutable)
    .flatMap((field) => {
      if (holds([full, lean], field.path)) return changes(base, name, most, from, field);
      const other = base === lean ? others.find((spec) => holds([spec], field.path)) : undefined;
      return other === undefined ? [] : changes(other, name, most, from, field);
    });
}

/** Not in YAML, which is what is applied. */
const unwritable = /[\x80-\x9f\ufffe\uffff]/;

/** @param from absent: whenever its windows come */
function isValid(spec: DatabaseBackupSpec, name: string, from?: Date): boolean {
  if (unwritable.test(canonical(spec))) return false;
  const object = {
    apiVersion: 'dbbackup.io/v1alpha1' as const,
    kind: 'DatabaseBackup' as const,
    metadata: { name, namespace: name },
    spec,
  };
  if (validate(object).some(({ severity }) => severity === 'error')) return false;
  if (spec.schedule === undefined || from === undefined) return true;
  const next = parseSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', `${name}/${name}`).next(from.getTime());
  return next === undefined || next - from.getTime() > awayMilliseconds;
}
