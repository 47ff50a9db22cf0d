// The objects of one text: each of our kind with its value and the place of its fields, lists unpacked, other kinds counted.
import { isMap, isScalar, isSeq, type Node, type YAMLMap } from 'yaml';
import { canonical } from '../../crds/rules/names.ts';
import type { Finding } from '../../crds/rules/validate.ts';
import { type Parsed, type Position, parse, type Unreadable } from './documents.ts';
import type { RuleId } from './finding.ts';
import { verdict } from './kinds.ts';
import { placeOf } from './place.ts';
import { type Problem, scalarMeaning, Tree, Unbounded } from './tree.ts';

export interface FoundObject {
  kind: string;
  namespace: string;
  name: string;
  /** Decoded JSON; undefined where only its kind could be judged. */
  value: unknown;
  /** What was wrong before any rule was asked. */
  findings: (Finding & Position & { rule: RuleId })[];
  positionOf(field: string): Position;
  /** What the field holds, as a text to compare; undefined where it is not there. */
  textOf(field: string): string | undefined;
}

export type Found = FoundObject | Unreadable | 'foreign';

/** A list in a list in a list is no manifest that anybody wrote. */
const maxListDepth = 8;

export function* objectsOf(text: string): Generator<Found> {
  for (const parsed of parse(text)) {
    if ('document' in parsed) yield* fromDocument(parsed);
    else yield parsed;
  }
}

type Place = (node: Node | null) => Position;

function* fromDocument({ document, positionOf }: Parsed): Generator<Found> {
  const place: Place = (node) => positionOf(node?.range?.[0] ?? 0);
  try {
    const tree = new Tree(document);
    for (const { node, message, fix } of tree.dangling) yield { at: place(node), message, fix };
    if (tree.dangling.length === 0 && !isEmpty(tree.root)) yield* fromNode(tree, tree.root, place, {}, 0);
  } catch (cause) {
    if (!(cause instanceof Unbounded)) throw cause;
    yield { at: place(document.contents as Node | null), message: cause.message, fix: 'write it out, and shorter' };
  }
}

/** Nothing between two lines of ---, only comments, or null, which kubectl takes for nothing too. */
function isEmpty(root: Node | null): boolean {
  const read = isScalar(root) ? scalarMeaning(root) : undefined;
  return root === null || (read !== undefined && 'value' in read && read.value === null);
}

interface Given {
  apiVersion?: string | undefined;
  kind?: string | undefined;
}

function* fromNode(tree: Tree, given: unknown, place: Place, inherited: Given, depth: number): Generator<Found> {
  const node = tree.resolved(given);
  if (!isMap(node)) return yield 'foreign';
  const named = { apiVersion: tree.text(node, 'apiVersion'), kind: tree.text(node, 'kind') };
  // Items of a typed list may leave out what the list says.
  const own = named.apiVersion === undefined && named.kind === undefined ? { ...named, ...inherited } : named;
  const { what, findings } = verdict(own);
  if (what === 'foreign') yield 'foreign';
  else if (what !== 'list') yield toObject(tree, node, place, findings, what === 'ours');
  else {
    if (depth >= maxListDepth) throw new Unbounded('holds lists in lists in lists');
    const typed = own.kind === 'List' ? {} : { apiVersion: own.apiVersion, kind: own.kind?.replace(/List$/, '') };
    const items = tree.resolved(tree.field(node, 'items'));
    if (isSeq(items)) for (const item of items.items) yield* fromNode(tree, item, place, typed, depth + 1);
  }
}

function toObject(tree: Tree, node: YAMLMap, place: Place, byKind: Finding[], hasRules: boolean): FoundObject {
  const positionOf = (field: string): Position => place(placeOf(tree, node, field).place);
  const { value, problems } = hasRules ? tree.value(node) : { value: undefined, problems: [] };
  const metadata = tree.resolved(tree.field(node, 'metadata'));
  return {
    kind: tree.text(node, 'kind') ?? '',
    namespace: tree.text(metadata, 'namespace') ?? '',
    name: tree.text(metadata, 'name') ?? '',
    value,
    findings: [
      ...byKind.map((finding) => ({ ...finding, ...positionOf(finding.field), rule: 'kind' as const })),
      ...problems.map((problem) => ofProblem(problem, place)),
    ],
    positionOf,
    textOf: (field) => {
      const { inside } = placeOf(tree, node, field);
      return inside === undefined ? undefined : canonical(tree.value(inside as Node).value);
    },
  };
}

function ofProblem({ field, node, message, fix }: Problem, place: Place): FoundObject['findings'][number] {
  return { rule: 'value', field, severity: 'error', message, fix, ...place(node) };
}
