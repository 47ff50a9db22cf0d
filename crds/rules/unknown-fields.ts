// Fields that the CRD's schema does not know. The API server drops them, or warns, before any webhook sees the object: a misspelt field
// would silently be a default. Everything here is read from the schema.
import { schema } from '../databasebackup.gen.ts';
import { nearest } from './nearest.ts';
import type { Finding } from './validate.ts';

/** The part of a structural schema that says which fields there are. */
interface SchemaNode {
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** A typo is wrong once; whoever pastes another object in need not read of each of its fields. */
const maxFindings = 100;

/** Kubernetes' own, which no CRD describes. */
const objectMeta: SchemaNode = {
  properties: Object.fromEntries(
    [
      ...['name', 'generateName', 'namespace', 'labels', 'annotations', 'finalizers', 'ownerReferences'],
      ...['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'deletionTimestamp'],
      ...['deletionGracePeriodSeconds', 'managedFields', 'selfLink'],
    ].map((name) => [name, { 'x-kubernetes-preserve-unknown-fields': true }]),
  ),
};

function withMetadata(root: SchemaNode): SchemaNode {
  return { properties: { apiVersion: {}, kind: {}, ...root.properties, metadata: objectMeta } };
}

/**
 * One error for each unknown field, with the known one that was meant where that can be guessed. Values are not repeated: a password
 * that somebody wrote into a manifest must not end in a log.
 * @param object decoded JSON of any shape
 */
export function unknownFields(object: unknown, root: object = schema): Finding[] {
  const findings: Finding[] = [];
  look(object, withMetadata(root as SchemaNode), '', [], findings);
  return findings;
}

function look(value: unknown, node: SchemaNode, path: string, above: readonly Level[], findings: Finding[]): void {
  if (typeof value !== 'object' || value === null || node['x-kubernetes-preserve-unknown-fields'] === true) return;
  if (Array.isArray(value)) {
    const { items } = node;
    if (items !== undefined)
      for (const [index, item] of value.entries()) look(item, items, `${path}[${index}]`, above, findings);
    return;
  }
  const known = node.properties ?? {};
  const levels = [...above, { path, known }];
  for (const [name, item] of Object.entries(value)) {
    if (findings.length >= maxFindings) return;
    const field = path === '' ? name : `${path}.${name}`;
    const next = Object.hasOwn(known, name) ? known[name] : extra(node);
    if (next !== undefined) look(item, next, field, levels, findings);
    else findings.push({ field, severity: 'error', message: 'is not a known field', fix: advice(name, levels) });
  }
}

/** What a field may hold that is free to have any name; undefined where names are not free. */
function extra({ additionalProperties: free, properties }: SchemaNode): SchemaNode | undefined {
  if (typeof free === 'object') return free;
  // A scalar's schema has neither; its wrong shape is what the schema check names.
  return free === true && properties === undefined ? { 'x-kubernetes-preserve-unknown-fields': true } : undefined;
}

interface Level {
  path: string;
  known: Record<string, SchemaNode>;
}

function advice(name: string, levels: readonly Level[]): string {
  const here = levels.at(-1) ?? { path: '', known: {} };
  const similar = nearest(name, Object.keys(here.known));
  if (similar !== undefined) return `did you mean ${similar}?`;
  const elsewhere = [...below(here), ...levels.slice(0, -1).reverse()].find(({ known }) => Object.hasOwn(known, name));
  if (elsewhere !== undefined) return `did you mean ${elsewhere.path === '' ? name : `${elsewhere.path}.${name}`}?`;
  const names = Object.keys(here.known);
  return names.length === 0 ? 'remove it; nothing is set here' : `remove it; known here are ${names.join(', ')}`;
}

/** Fields are often written one level too high: storage.bucket for storage.s3.bucket. */
function below({ path, known }: Level): Level[] {
  return Object.entries(known).map(([name, node]) => ({
    path: path === '' ? name : `${path}.${name}`,
    known: node.properties ?? {},
  }));
}
