// Fields that hold null. The API server takes them for absent, before defaults and admission, so whoever judges a manifest must too.
import { schema } from '../databasebackup.gen.ts';

interface SchemaNode {
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  nullable?: boolean;
}

export interface WithoutEmpty {
  value: unknown;
  /** Paths of the fields that were taken out. */
  taken: string[];
}

/** The object as the API server sees it: no field of the schema is null unless the schema allows null. Items of lists stay. */
export function withoutEmpty(object: unknown, root: object = schema): WithoutEmpty {
  const taken: string[] = [];
  return { value: clean(object, root as SchemaNode, '', taken), taken };
}

function clean(value: unknown, node: SchemaNode, path: string, taken: string[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { items } = node;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item, index) => clean(item, items, `${path}[${index}]`, taken));
  const out: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const field = path === '' ? name : `${path}.${name}`;
    const next = childOf(node, name);
    if (item === null && next !== undefined && next.nullable !== true) taken.push(field);
    else set(out, name, next === undefined ? item : clean(item, next, field, taken));
  }
  return out;
}

function childOf({ properties = {}, additionalProperties: free }: SchemaNode, name: string): SchemaNode | undefined {
  if (Object.hasOwn(properties, name)) return properties[name];
  return typeof free === 'object' ? free : undefined;
}

/** A plain assignment to __proto__ would change what the object is. */
function set(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
