// Reads the project's TypeScript files as syntax trees, so that a rule sees code and never a word in a comment or a string.
import { glob, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { parseAst } from 'vitest/node';

/** A node of the syntax tree (ESTree with TypeScript's additions); what a rule needs beyond this it looks up by name. */
export interface Node {
  type: string;
  start: number;
  [field: string]: unknown;
}

export interface Import {
  /** As written. */
  specifier: string;
  /** For a relative import the path from the root of the project. */
  path: string | undefined;
  /** Only types come through it: nothing is left of it when the program runs. */
  typeOnly: boolean;
  /** Imported names, empty for `import()` and for side effects. */
  names: string[];
  line: number;
}

export interface Source {
  path: string;
  text: string;
  body: Node[];
  imports: Import[];
  /** Every node with its parent, in the order of the text. */
  nodes: { node: Node; parent: Node | undefined }[];
  line(node: Node): number;
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** The name of an identifier, otherwise undefined. */
export function nameOf(value: unknown): string | undefined {
  return isNode(value) && value.type === 'Identifier' && typeof value['name'] === 'string' ? value['name'] : undefined;
}

function* walk(node: Node, parent?: Node): Generator<{ node: Node; parent: Node | undefined }> {
  yield { node, parent };
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) yield* walk(child, node);
    }
  }
}

const importing = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

function toImport(path: string, node: Node, line: number): Import | undefined {
  const source = node['source'];
  if (!importing.has(node.type) || !isNode(source) || typeof source['value'] !== 'string') return undefined;
  const specifier = source['value'];
  const named = (Array.isArray(node['specifiers']) ? node['specifiers'] : []).filter(isNode);
  const kind = (one: Node) => one['importKind'] ?? one['exportKind'];
  const typeOnly =
    node.type === 'TSImportType' ||
    kind(node) === 'type' ||
    (named.length > 0 && named.every((one) => kind(one) === 'type'));
  const names = named.map((one) => nameOf(one['imported']) ?? '*');
  const resolved = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
  return { specifier, path: resolved, typeOnly, names, line };
}

/** Parses one file; the path is relative to the root of the project. */
export function parse(path: string, text: string): Source {
  const program: unknown = parseAst(text, { lang: 'ts' }, path);
  if (!isNode(program) || !Array.isArray(program['body'])) throw new Error(`parse ${path}: no program came out`);
  const line = (node: Node) => text.slice(0, node.start).split('\n').length;
  const nodes = [...walk(program)];
  const imports = nodes.flatMap(({ node }) => toImport(path, node, line(node)) ?? []);
  return { path, text, body: program['body'].filter(isNode), imports, nodes, line };
}

/** Every TypeScript file of the project in the current directory. */
export async function readSources(): Promise<Source[]> {
  const sources: Source[] = [];
  const foreign = (name: string) => ['node_modules', 'dist', '.git'].includes(name);
  // A declaration file says nothing that runs.
  for await (const path of glob('**/*.ts', { exclude: foreign }))
    if (!path.endsWith('.d.ts')) sources.push(parse(path, await readFile(path, 'utf8')));
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1));
}
