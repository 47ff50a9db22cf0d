// Which files are pure and what that forbids them: clock, timer, chance, file system, network, the environment and the Kubernetes client.
// A decision that can be read without its effects can be tested with a literal object.
import { at } from './rules.ts';
import { type Node, nameOf, type Source } from './source.ts';

const pure = [
  /^crds\/rules\//,
  /^controller\/(decide|job)\.ts$/,
  /^controller\/steps\//,
  /^webhook\/(review|default)\.ts$/,
];

export const isPure = (path: string) => pure.some((pattern) => pattern.test(path));

/** Globals a pure file may not name at all. */
const effects = new Set([
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch', 'WebSocket'],
  ...['process', 'globalThis', 'console', 'performance'],
]);

const effectfulModules =
  /^(node:)?(fs|net|http|http2|https|tls|dgram|dns|timers|child_process|worker_threads|os|process|readline|cluster)(\/.*)?$/;

/** Is the node the name of a field or key, not of a variable? */
function isKey(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined || parent['computed'] === true) return false;
  return parent['property'] === node || parent['key'] === node;
}

/** What the node does that a pure file must not, in a few words. */
function effect(node: Node, parent: Node | undefined): string | undefined {
  const name = nameOf(node);
  if (name !== undefined && effects.has(name) && !isKey(node, parent)) return name;
  const made = nameOf(node['callee']);
  if (node.type === 'NewExpression' && made === 'Date' && (node['arguments'] as unknown[]).length === 0)
    return 'new Date()';
  if (node.type === 'CallExpression' && made === 'Date') return 'Date()';
  if (node.type !== 'MemberExpression') return undefined;
  const member = `${nameOf(node['object'])}.${nameOf(node['property'])}`;
  return /^(Date\.now|Math\.random|crypto\.(random|getRandom)\w*)$/.test(member) ? member : undefined;
}

/** What one file does that a pure file must not. */
function effectsOf(source: Source): string[] {
  const modules = source.imports.filter(
    ({ specifier, names, typeOnly }) =>
      !typeOnly &&
      (effectfulModules.test(specifier) ||
        specifier === '@kubernetes/client-node' ||
        (/^(node:)?crypto$/.test(specifier) && names.some((name) => /^(random|getRandom|webcrypto|\*)/.test(name)))),
  );
  const calls = source.nodes.flatMap(({ node, parent }) => {
    const what = effect(node, parent);
    return what === undefined ? [] : `${at(source, node)}: ${what}: a pure file takes it as a parameter`;
  });
  return [
    ...modules.map((one) => `${at(source, one)}: imports ${one.specifier}: a pure file has no effects`),
    ...calls,
  ];
}

/** Effects of the pure files and of all they import: a decision is no purer than what it calls. */
export function impurities(sources: Source[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const problems: string[] = [];
  const seen = new Set<string>();
  const visit = (source: Source, because: string) => {
    if (seen.has(source.path)) return;
    seen.add(source.path);
    problems.push(...effectsOf(source).map((problem) => problem + because));
    for (const { path, typeOnly } of source.imports) {
      const imported = typeOnly || path === undefined ? undefined : byPath.get(path);
      if (imported !== undefined) visit(imported, isPure(imported.path) ? '' : ` (${source.path} needs it pure)`);
    }
  };
  for (const source of sources) if (isPure(source.path)) visit(source, '');
  return problems;
}
