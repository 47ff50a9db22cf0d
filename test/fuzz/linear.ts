// Whether a backtracking matcher takes at most a constant number of steps for each letter of any text, proved on the expression itself.
//
// Every attempt of a backtracking matcher is a path through the expression's automaton that reads a front part of the text. The number of
// such paths grows with the text if and only if (Weber and Seidl, 1991) there is a state with two different ways back to itself on the same
// letters (exponential), or two states with p to p, p to q and q to q on the same letters (polynomial). Where neither exists a text of n
// letters has at most c * n attempts, with a c that depends on the expression alone. All states count as final here, since a matcher tries
// fronts that lead nowhere too. Repetitions of 1 to 61 are taken for endless ones, and $ for nothing: both only add paths.
//
// The linear engine of V8 (flag l) would not do: it says which expressions it could run in linear time itself, while the engine in use
// tracks back, and it accepts (a*)*.
import type { Range, Tree } from './pattern.ts';

/** Up to here a counted repetition is written out, one of a fixed number sooner than one of few or many. */
const fewTimes = 3;
const fixedTimes = 64;
const anything: Tree = { kind: 'repeat', item: { kind: 'set', ranges: [[0, 0x10ffff]] }, min: 0, max: Infinity };

type Ways = Map<number, number>;
interface Part {
  first: Ways;
  last: Ways;
  /** In how many ways it matches nothing. */
  empty: number;
}

class Automaton {
  /** Whether ^ can still hold. */
  readonly fromStart: boolean;
  readonly sets: (readonly Range[])[] = [];
  /** From each position to those that may follow it, and in how many ways: more than one matter as much as two. */
  readonly next: Ways[] = [];

  constructor(fromStart: boolean) {
    this.fromStart = fromStart;
  }

  part(tree: Tree): Part {
    switch (tree.kind) {
      case 'empty':
      case 'end':
        return { first: new Map(), last: new Map(), empty: 1 };
      case 'start':
        return { first: new Map(), last: new Map(), empty: this.fromStart ? 1 : 0 };
      case 'ahead':
        // Its paths end within it, and what follows it starts where it started.
        return { first: this.part(tree.item).first, last: new Map(), empty: 1 };
      case 'set': {
        const position = this.sets.push(tree.ranges) - 1;
        this.next.push(new Map());
        return { first: new Map([[position, 1]]), last: new Map([[position, 1]]), empty: 0 };
      }
      case 'choice':
        return tree.items
          .map((item) => this.part(item))
          .reduce((a, b) => ({ first: sum(a.first, b.first), last: sum(a.last, b.last), empty: a.empty + b.empty }));
      case 'sequence':
        return tree.items.map((item) => this.part(item)).reduce((a, b) => this.joined(a, b));
      case 'repeat':
        return this.repeated(tree.item, tree.min, tree.max);
    }
  }

  private joined(a: Part, b: Part): Part {
    this.connect(a.last, b.first);
    return {
      first: sum(a.first, times(b.first, a.empty)),
      last: sum(b.last, times(a.last, b.empty)),
      empty: a.empty * b.empty,
    };
  }

  private repeated(item: Tree, min: number, max: number): Part {
    if (max <= fewTimes || (min === max && max <= fixedTimes)) {
      let all: Part = { first: new Map(), last: new Map(), empty: 1 };
      for (let count = 0; count < max; count++) {
        const part = this.part(item);
        all = this.joined(all, count < min ? part : { ...part, empty: part.empty + 1 });
      }
      return all;
    }
    const part = this.part(item);
    this.connect(part.last, part.first);
    return { ...part, empty: part.empty + 1 };
  }

  private connect(from: Ways, to: Ways): void {
    for (const [a, waysOut] of from)
      for (const [b, waysIn] of to) {
        const known = this.next[a];
        known?.set(b, Math.min(2, (known.get(b) ?? 0) + waysOut * waysIn));
      }
  }
}

function sum(a: Ways, b: Ways): Ways {
  const out = new Map(a);
  for (const [position, ways] of b) out.set(position, Math.min(2, (out.get(position) ?? 0) + ways));
  return out;
}

const times = (ways: Ways, factor: number): Ways =>
  factor === 0 ? new Map() : new Map([...ways].map(([position, count]) => [position, Math.min(2, count * factor)]));

const meet = (...sets: (readonly Range[])[]): boolean =>
  sets.reduce((a, b) =>
    a.flatMap(([from, to]) =>
      b.map(([low, high]): Range => [Math.max(from, low), Math.min(to, high)]).filter(([low, high]) => low <= high),
    ),
  ).length > 0;

/** Why an expression is not linear; undefined when it is. */
export function superlinear(tree: Tree): string | undefined {
  const alternatives = tree.kind === 'choice' ? tree.items : [tree];
  for (const alternative of alternatives) {
    const found = ways(alternative, true) ?? (isAnchored(alternative) ? undefined : ways(alternative, false));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Without ^ the matcher starts again at every letter, as if anything might stand in front. */
function ways(tree: Tree, fromStart: boolean): string | undefined {
  const automaton = new Automaton(fromStart);
  automaton.part(fromStart ? tree : { kind: 'sequence', items: [anything, tree] });
  return exponential(automaton) ?? polynomial(automaton);
}

const isAnchored = (tree: Tree): boolean =>
  tree.kind === 'start' ||
  (tree.kind === 'sequence' && tree.items[0] !== undefined && isAnchored(tree.items[0])) ||
  (tree.kind === 'choice' && tree.items.every(isAnchored));

/** Whether the search from a start meets the goal. States are lists of numbers. */
function reaches(start: number[], steps: (state: number[]) => number[][], goal: number[]): boolean {
  const seen = new Set<string>();
  const open = [start];
  const wanted = goal.join();
  for (let state = open.pop(); state !== undefined; state = open.pop())
    for (const next of steps(state)) {
      const name = next.join();
      if (name === wanted) return true;
      if (!seen.has(name)) {
        seen.add(name);
        open.push(next);
      }
    }
  return false;
}

function exponential({ sets, next }: Automaton): string | undefined {
  const steps = ([a = 0, b = 0, apart = 0]: number[]): number[][] =>
    [...(next[a] ?? [])].flatMap(([c, ways]) =>
      [...(next[b] ?? []).keys()]
        .filter((d) => meet(sets[c] ?? [], sets[d] ?? []))
        .map((d) => [c, d, apart === 1 || c !== d || ways > 1 ? 1 : 0]),
    );
  const bad = sets.findIndex((_, state) => reaches([state, state, 0], steps, [state, state, 1]));
  return bad < 0 ? undefined : `exponential: letter set ${bad} comes back to itself in two ways`;
}

function polynomial({ sets, next }: Automaton): string | undefined {
  const after = (state: number): number[] => [...(next[state]?.keys() ?? [])];
  const loops = sets
    .map((_, state) => state)
    .filter((state) => reaches([state], ([at = 0]) => after(at).map((to) => [to]), [state]));
  const steps = ([a = 0, b = 0, c = 0]: number[]): number[][] =>
    after(a).flatMap((d) =>
      after(b).flatMap((e) =>
        after(c)
          .filter((f) => meet(sets[d] ?? [], sets[e] ?? [], sets[f] ?? []))
          .map((f) => [d, e, f]),
      ),
    );
  for (const p of loops)
    for (const q of loops)
      if (p !== q && reaches([p, p, q], steps, [p, q, q]))
        return `polynomial: letter sets ${p} and ${q} share what they read`;
  return undefined;
}
