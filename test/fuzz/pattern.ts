// Regular expressions as trees: only what means the same in JavaScript and in RE2 is understood, all else is refused.

/** Code points from and to, both included. */
export type Range = readonly [from: number, to: number];

export type Tree =
  | { kind: 'empty' }
  | { kind: 'start' | 'end' }
  | { kind: 'set'; ranges: readonly Range[] }
  | { kind: 'sequence' | 'choice'; items: readonly Tree[] }
  | { kind: 'repeat'; item: Tree; min: number; max: number }
  /** Lookahead, of either sense: only where JavaScript alone reads the pattern. */
  | { kind: 'ahead'; item: Tree };

const last = 0x10ffff;
const named: Record<string, readonly Range[]> = {
  d: [[48, 57]],
  w: [
    [48, 57],
    [65, 90],
    [95, 95],
    [97, 122],
  ],
};
/** What \s means differs: JavaScript counts Unicode spaces, RE2 does not. It is for expressions that only JavaScript runs. */
const javascriptOnly: Record<string, readonly Range[]> = {
  s: [
    [9, 13],
    [32, 32],
    [160, 160],
    [5760, 5760],
    [8192, 8202],
    [8232, 8233],
    [8239, 8239],
    [8287, 8287],
    [12288, 12288],
    [65279, 65279],
  ],
};

const code = (text: string): number => text.codePointAt(0) ?? 0;

function inverted(ranges: readonly Range[]): Range[] {
  const out: Range[] = [];
  let next = 0;
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    if (from > next) out.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next <= last) out.push([next, last]);
  return out;
}

/** The other case of ASCII letters besides. */
function anyCase(ranges: readonly Range[]): Range[] {
  const out = [...ranges];
  for (const [from, to] of ranges)
    for (const [low, high, shift] of [
      [65, 90, 32],
      [97, 122, -32],
    ] as const)
      if (from <= high && to >= low) out.push([Math.max(from, low) + shift, Math.min(to, high) + shift]);
  return out;
}

export interface Dialect {
  /** Flags i and others; g, u and y change nothing here. */
  flags?: string;
  /** Takes \s and lookahead too, which RE2 reads differently or not at all. */
  javascript?: boolean;
}

/** @throws Error for anything that is not in the common subset */
export function parsePattern(pattern: string, { flags = '', javascript = false }: Dialect = {}): Tree {
  const letters = [...pattern];
  let at = 0;
  const fail = (what: string): never => {
    throw new Error(`pattern ${JSON.stringify(pattern)} at ${at}: ${what}`);
  };
  const peek = (): string => letters[at] ?? '';
  const take = (): string => letters[at++] ?? fail('it ends too early');
  const set = (ranges: readonly Range[]): Tree => ({
    kind: 'set',
    ranges: flags.includes('i') ? anyCase(ranges) : ranges,
  });

  function choice(): Tree {
    const items = [sequence()];
    while (peek() === '|') {
      at++;
      items.push(sequence());
    }
    return items.length === 1 ? (items[0] as Tree) : { kind: 'choice', items };
  }

  function sequence(): Tree {
    const items: Tree[] = [];
    while (at < letters.length && peek() !== '|' && peek() !== ')') items.push(quantified(atom()));
    return items.length === 0 ? { kind: 'empty' } : { kind: 'sequence', items };
  }

  function quantified(item: Tree): Tree {
    const simple: Record<string, [number, number]> = { '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1] };
    let bounds = simple[peek()];
    if (bounds !== undefined) at++;
    else {
      const counted = /^\{(\d+)(?:(,)(\d*))?\}/.exec(letters.slice(at, at + 16).join(''));
      if (counted === null) return item;
      const [text, min, comma, max] = counted;
      at += text.length;
      bounds = [Number(min), comma === undefined ? Number(min) : max === '' ? Infinity : Number(max)];
    }
    if ('*+?{'.includes(peek() || ' ')) fail('two quantifiers in a row, or one that is lazy or possessive');
    if (item.kind === 'start' || item.kind === 'end') fail('a repeated anchor');
    return { kind: 'repeat', item, min: bounds[0], max: bounds[1] };
  }

  function atom(): Tree {
    const letter = take();
    if (letter === '^') return { kind: 'start' };
    if (letter === '$') return { kind: 'end' };
    if (letter === '.')
      return set(
        inverted([
          [10, 10],
          [13, 13],
          [0x2028, 0x2029],
        ]),
      );
    if (letter === '[') return set(brackets());
    if (letter === '\\') return set(escaped());
    if ('*+?{}])'.includes(letter)) fail(`${letter} stands alone`);
    if (letter !== '(') return set([[code(letter), code(letter)]]);
    const isAhead = javascript && peek() === '?' && '=!'.includes(letters[at + 1] ?? ' ');
    if (peek() === '?') {
      if (!isAhead && letters[at + 1] !== ':') fail('lookaround, names and flags are not in both dialects');
      at += 2;
    }
    const inner = choice();
    if (take() !== ')') fail('a group that is not closed');
    return isAhead ? { kind: 'ahead', item: inner } : inner;
  }

  function brackets(): readonly Range[] {
    const negated = peek() === '^';
    if (negated) at++;
    const ranges: Range[] = [];
    while (peek() !== ']') {
      const from = one();
      if (from.length !== 1 || peek() !== '-' || letters[at + 1] === ']') ranges.push(...from);
      else {
        at++;
        const [low, high] = [from[0]?.[0] ?? 0, one()[0]?.[1] ?? 0];
        if (low > high) fail('a range that is reversed');
        ranges.push([low, high]);
      }
    }
    at++;
    return negated ? inverted(ranges) : ranges;
  }

  function one(): readonly Range[] {
    const letter = take();
    if (letter === '[') fail('a bracket in brackets is a class to RE2');
    return letter === '\\' ? escaped() : [[code(letter), code(letter)]];
  }

  function escaped(): readonly Range[] {
    const letter = take();
    const known = named[letter] ?? (javascript ? javascriptOnly[letter] : undefined);
    if (known !== undefined) return known;
    if (letter === 'x') {
      const value = Number.parseInt(take() + take(), 16);
      return Number.isNaN(value) ? fail('\\x wants two digits') : [[value, value]];
    }
    const control: Record<string, number> = { n: 10, r: 13, t: 9 };
    const value = control[letter] ?? (/[A-Za-z0-9]/.test(letter) ? fail(`\\${letter}`) : code(letter));
    return [[value, value]];
  }

  const tree = choice();
  if (at < letters.length) fail('a bracket too many');
  return tree;
}
