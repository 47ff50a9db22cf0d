// The patterns that the CRD's schema holds, with where they stand and how long their texts may be.
import { schema } from '../../crds/databasebackup.gen.ts';

export interface CrdPattern {
  path: string;
  pattern: string;
  maxLength: number;
}

export function patternsOf(node: unknown = schema, path = ''): CrdPattern[] {
  if (node === null || typeof node !== 'object') return [];
  const { pattern, maxLength } = node as { pattern?: unknown; maxLength?: unknown };
  const own = typeof pattern === 'string' ? [{ path, pattern, maxLength: Number(maxLength) }] : [];
  return [...own, ...Object.entries(node).flatMap(([name, inner]) => patternsOf(inner, place(path, name)))];
}

const place = (path: string, name: string): string =>
  name === 'properties' ? path : path === '' ? name : name === 'items' ? `${path}[]` : `${path}.${name}`;
