// Where in a document a field stands, from the path that a finding names.
import { isMap, isScalar, isSeq, type Node } from 'yaml';
import { scalarMeaning, type Tree } from './tree.ts';

export interface FieldPlace {
  /** The key of the field, or its item in a list; for a field that is not there what would hold it. */
  place: Node;
  /** What the field holds; undefined where it is not there. */
  inside: unknown;
}

export function placeOf(tree: Tree, object: Node, field: string): FieldPlace {
  let place = object;
  let inside: unknown = object;
  let rest = field;
  while (rest !== '') {
    const step = next(tree, tree.resolved(inside), rest);
    if (step === undefined) return { place, inside: undefined };
    place = step.place;
    inside = step.inside;
    rest = step.rest;
  }
  return { place, inside };
}

interface Step {
  place: Node;
  inside: unknown;
  rest: string;
}

function next(tree: Tree, node: unknown, rest: string): Step | undefined {
  if (isSeq(node)) {
    const index = /^\[(\d+)\]/.exec(rest);
    const item = index === null ? undefined : node.items[Number(index[1])];
    return index === null || item == null
      ? undefined
      : { place: item as Node, inside: item, rest: rest.slice(index[0].length) };
  }
  if (!isMap(node)) return undefined;
  const path = rest.replace(/^\./, '');
  const steps = node.items.flatMap(({ key, value }) => {
    const left = after(path, nameOf(tree.resolved(key)));
    return left === undefined ? [] : [{ place: key as Node, inside: value, rest: left }];
  });
  // A label's name has dots of its own: the longest key that fits is the one. Of a key that is there twice the last one counts.
  const found = steps.reduce<Step | undefined>(
    (best, step) => (best === undefined || step.rest.length <= best.rest.length ? step : best),
    undefined,
  );
  return found ?? merged(tree, node, rest);
}

function merged(tree: Tree, map: { items: { key: unknown; value: unknown }[] }, rest: string): Step | undefined {
  for (const { key, value } of map.items) {
    if (!isScalar(key) || key.value !== '<<') continue;
    const node = tree.resolved(value);
    for (const one of isSeq(node) ? node.items : [node]) {
      const step = next(tree, tree.resolved(one), rest);
      if (step !== undefined) return step;
    }
  }
  return undefined;
}

/** A key as kubectl reads it: yes is true, 0x10 is 16. */
function nameOf(key: unknown): string | undefined {
  const read = isScalar(key) ? scalarMeaning(key) : undefined;
  return read !== undefined && 'value' in read ? String(read.value) : undefined;
}

/** What is left of a path behind a key; undefined where the path does not go through it. */
function after(path: string, key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  // The rules write a key as it is, in brackets, or escaped as in a JSON pointer.
  const spelling = [key, `[${key}]`, key.replaceAll('~', '~0').replaceAll('/', '~1')].find((one) =>
    path.startsWith(one),
  );
  const rest = spelling === undefined ? undefined : path.slice(spelling.length);
  return rest === undefined || /^([.[]|$)/.test(rest) ? rest : undefined;
}
