// The house rules that hold for any file: where it may be, what it is called, how it opens, what it may import, what a test may not do.
import { type Import, isNode, type Node, nameOf, type Source } from './source.ts';

/** Gives one line for each breach, with file, line and what to do instead. */
export type Rule = (source: Source) => string[];

export const programs = ['webhook', 'controller', 'executor', 'plugin'];

/** Everything a reader of the repository expects at its top, and nothing else. */
export const topLevel = new Set([
  ...programs,
  ...['crds', 'kustomize', 'test', 'docs', '.ci', '.git', '.gitignore', 'node_modules', 'dist'],
  ...['README.md', 'LICENSE', 'CHANGELOG.md', 'CONTRIBUTING.md', 'DECISIONS.md'],
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'biome.json', 'vitest.config.ts', 'build.ts'],
]);

const vague = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'misc', 'shared', 'manager', 'index']);
const maxLines = 400;

/** Where a breach is: `path:line`. */
export function at(source: Source, place: Node | Import): string {
  return `${source.path}:${'specifier' in place ? place.line : source.line(place as Node)}`;
}

export const programOf = (path: string) => programs.find((program) => path.startsWith(`${program}/`));

export const layout = (names: string[]): string[] =>
  names
    .filter((name) => !topLevel.has(name) && !name.endsWith('.log'))
    .map((name) => `${name}: does not belong at the top level: move it into the folder it serves`);

export const saysWhatItHolds: Rule = ({ path, text }) =>
  /^(#!.*\n)?\/[/*]/.test(text) ? [] : [`${path}:1: open the file with a comment that says what lives in it`];

export const isSmall: Rule = ({ path, text }) => {
  const lines = text.trimEnd().split('\n').length;
  if (path.endsWith('.gen.ts') || lines <= maxLines) return [];
  return [`${path}: ${lines} lines, more than ${maxLines}: it holds two ideas, make it two files`];
};

export const hasAName: Rule = ({ path }) =>
  path
    .split('/')
    .map((part) => part.replace(/\..*$/, ''))
    .filter((part) => vague.has(part))
    .map((part) => `${path}: "${part}" says nothing: name it after what it does`);

export const isNoBarrel: Rule = (source) => {
  const reexports = source.body.filter((one) => one.type.startsWith('Export') && isNode(one['source']));
  if (reexports.length === 0 || reexports.length < source.body.length) return [];
  return [`${source.path}: only hands on what other files export: import from those`];
};

export const importsAlongTheStar: Rule = (source) => {
  const home = source.path.startsWith('crds/') ? 'crds' : programOf(source.path);
  if (home === undefined) return [];
  return source.imports
    .filter(({ path }) => path !== undefined && path !== 'package.json')
    .filter(({ path }) => !path?.startsWith('crds/') && !path?.startsWith(`${home}/`))
    .map((one) => {
      const allowed = home === 'crds' ? 'crds imports nothing of ours' : `${home} imports crds and itself`;
      return `${at(source, one)}: imports ${one.path}: ${allowed}`;
    });
};

/** main puts a program together; a file that imports it back makes a circle. */
export const leavesMainAlone: Rule = (source) =>
  source.imports
    .filter(({ path }) => path?.endsWith('/main.ts') && programOf(source.path) !== undefined)
    .map((one) => `${at(source, one)}: imports ${one.path}: move what it needs out of main`);

export const onlyMainReadsTheEnvironment: Rule = (source) => {
  const program = programOf(source.path);
  if (program === undefined || source.path === `${program}/main.ts`) return [];
  const fix = `only ${program}/main.ts reads it: take it as a parameter`;
  const reads = source.nodes.filter(({ node }) => {
    const what = nameOf(node['property']) ?? '';
    return node.type === 'MemberExpression' && nameOf(node['object']) === 'process' && ['env', 'argv'].includes(what);
  });
  const imports = source.imports.filter(({ specifier }) => /^(node:)?process$/.test(specifier));
  return [
    ...reads.map(({ node }) => `${at(source, node)}: process.${nameOf(node['property'])}: ${fix}`),
    ...imports.map((one) => `${at(source, one)}: imports ${one.specifier}: ${fix}`),
  ];
};

// A condition of the machine (runIf) stays honest: the last line of npm test counts what it skipped.
const escapes = new Set(['skip', 'only', 'todo', 'fails']);

function root(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  return nameOf(node) ?? root(node.type === 'CallExpression' ? node['callee'] : node['object']);
}

export const runsEveryTest: Rule = (source) =>
  source.nodes
    .filter(({ node }) => node.type === 'MemberExpression' && escapes.has(nameOf(node['property']) ?? ''))
    .filter(({ node }) => ['test', 'it', 'describe', 'suite'].includes(root(node) ?? ''))
    .map(({ node }) => `${at(source, node)}: .${nameOf(node['property'])}: a test runs, or it is not there`);

export const hasNoAny: Rule = (source) =>
  source.nodes
    .filter(({ node }) => node.type === 'TSAnyKeyword')
    .map(({ node }) => `${at(source, node)}: any: write the type, or unknown and decode it`);
