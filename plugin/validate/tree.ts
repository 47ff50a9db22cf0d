// One document's nodes turned into the JSON that kubectl would send, under bounds, and every field found again in the text.
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, Scalar, type YAMLMap } from 'yaml';
import { maxDepth, maxDocumentBytes } from './documents.ts';
import { meaning } from './scalars.ts';

/** Something about a node that keeps the object from being what its author meant. */
export interface Problem {
  field: string;
  node: Node;
  message: string;
  fix: string;
}

/** A DatabaseBackup has some hundred values. Aliases that refer to aliases could make any number of them. */
const maxValues = 50_000;
/** Whoever has more has one mistake many times. */
const maxProblems = 100;

export class Unbounded extends Error {}

/** A document whose aliases are known. */
export class Tree {
  readonly root: Node | null;
  /** Aliases without an anchor before them. */
  readonly dangling: Problem[] = [];
  readonly #targets = new Map<Node, Node>();

  /** Throws Unbounded. */
  constructor(document: Document) {
    this.root = document.contents as Node | null;
    const anchors = new Map<string, Node>();
    const walk = (node: unknown, depth: number): void => {
      if (depth > maxDepth) throw new Unbounded('is nested too deeply');
      if (isAlias(node)) this.#resolve(node, node.source, anchors);
      else if (isPair(node)) for (const part of [node.key, node.value]) walk(part, depth);
      else if (isScalar(node) || isMap(node) || isSeq(node)) {
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
        if (!isScalar(node)) for (const item of node.items) walk(item, depth + 1);
      }
    };
    walk(this.root, 0);
  }

  #resolve(alias: Node, name: string, anchors: ReadonlyMap<string, Node>): void {
    const target = anchors.get(name);
    if (target !== undefined) this.#targets.set(alias, target);
    else {
      const fix = `write &${name} where its value stands, before this`;
      this.dangling.push({ field: '', node: alias, message: `refers to the unknown anchor "${name}"`, fix });
    }
  }

  /** What an alias stands for; any other node itself. */
  resolved(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node;
  }

  /** The value of a field of a map; of one that is there twice the last, as kubectl reads it. */
  field(map: unknown, name: string): unknown {
    if (!isMap(map)) return undefined;
    return map.items.findLast(({ key }) => isScalar(key) && key.value === name)?.value;
  }

  /** The same where it is a text. */
  text(map: unknown, name: string): string | undefined {
    const value = this.resolved(this.field(map, name));
    if (!isScalar(value)) return undefined;
    const read = scalarMeaning(value);
    return 'value' in read && typeof read.value === 'string' ? read.value : undefined;
  }

  /** Throws Unbounded. */
  value(node: Node | null): { value: unknown; problems: Problem[] } {
    const reader = new Reader(this);
    return { value: reader.read(node, ''), problems: reader.problems };
  }
}

export function scalarMeaning(node: Scalar): ReturnType<typeof meaning> {
  // A tag "!" says: a text, whatever it looks like.
  return meaning(String(node.value ?? ''), node.type === Scalar.PLAIN, node.tag);
}

class Reader {
  readonly problems: Problem[] = [];
  readonly #tree: Tree;
  readonly #open = new Set<unknown>();
  #left = maxValues;
  #charactersLeft = maxDocumentBytes;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  read(given: unknown, field: string): unknown {
    this.#left -= 1;
    if (this.#left < 0) throw new Unbounded(`holds more than ${maxValues} values once its aliases are unfolded`);
    const node = this.#tree.resolved(given);
    if (isScalar(node)) return this.#scalar(node, field);
    if (!isMap(node) && !isSeq(node)) return null;
    if (this.#open.has(node)) throw new Unbounded('contains itself by an alias');
    this.#open.add(node);
    const value = isSeq(node)
      ? node.items.map((item, index) => this.read(item, `${field}[${index}]`))
      : this.#map(node, field);
    this.#open.delete(node);
    return value;
  }

  #scalar(node: Scalar, field: string): unknown {
    this.#charactersLeft -= String(node.value ?? '').length;
    if (this.#charactersLeft < 0) throw new Unbounded('is larger than 3 MiB once its aliases are unfolded');
    const read = scalarMeaning(node);
    if ('value' in read) return read.value;
    this.#problem(node, field, read.problem, 'put it in quotes if it is a text');
    return String(node.value);
  }

  #map(map: YAMLMap, field: string): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    const seen = new Set<string>();
    for (const { key, value } of map.items) {
      if (isMerge(key)) this.#merge(out, value, key, field);
      else {
        const name = this.#name(key, field);
        if (name === undefined) continue;
        const path = field === '' ? name : `${field}.${name}`;
        if (seen.has(name)) this.#problem(key as Node, path, 'is there twice', 'keep one of them');
        seen.add(name);
        put(out, name, this.read(value, path));
      }
    }
    return out;
  }

  /** As kubectl does it: what comes later wins, be it a field or a merge; of a list of maps the first one wins. */
  #merge(out: Record<string, unknown>, given: unknown, key: Node, field: string): void {
    const node = this.#tree.resolved(given);
    const maps = isSeq(node) ? [...node.items].reverse() : [given];
    for (const map of maps) {
      if (isMap(this.#tree.resolved(map))) {
        for (const [name, value] of Object.entries(this.read(map, field) as object)) put(out, name, value);
      } else this.#problem(key, field, 'merges what is no map', 'let << refer to a map, or to a list of maps');
    }
  }

  #name(key: unknown, field: string): string | undefined {
    const node = this.#tree.resolved(key);
    const read = isScalar(node) ? scalarMeaning(node) : undefined;
    if (read !== undefined && 'value' in read && read.value !== null) return String(read.value);
    this.#problem(key as Node, field, 'has a key that is no text', 'write a text before the colon');
    return undefined;
  }

  #problem(node: Node, field: string, message: string, fix: string): void {
    // An alias leads here again; the mistake is one.
    if (this.problems.some((known) => known.node === node) || this.problems.length >= maxProblems) return;
    this.problems.push({ field, node, message, fix });
  }
}

function isMerge(key: unknown): key is Scalar {
  return isScalar(key) && key.value === '<<' && key.type === Scalar.PLAIN;
}

/** A plain assignment to __proto__ would change what the object is. */
function put(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
