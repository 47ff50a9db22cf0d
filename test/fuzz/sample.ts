// Texts that a pattern accepts, at the edges of its repetitions too, and texts that are one slip away from them.
import type { Random } from './chance.ts';
import type { Tree } from './pattern.ts';

/** Endless repetitions are tried up to here. */
const many = 12;

export function sample(tree: Tree, random: Random): string {
  switch (tree.kind) {
    case 'empty':
    case 'start':
    case 'end':
    case 'ahead':
      return '';
    case 'set': {
      const [from, to] = random.pick(tree.ranges);
      const edge = random.below(3);
      const code = edge === 0 ? from : edge === 1 ? to : from + random.below(to - from + 1);
      return String.fromCodePoint(code);
    }
    case 'choice':
      return sample(random.pick(tree.items), random);
    case 'sequence':
      return tree.items.map((item) => sample(item, random)).join('');
    case 'repeat': {
      const most = Math.min(tree.max, tree.min + many);
      const times = random.pick([tree.min, most, tree.min + random.below(most - tree.min + 1)]);
      return Array.from({ length: times }, () => sample(tree.item, random)).join('');
    }
  }
}

const strange = [
  '\u0000',
  '\n',
  '\r',
  '\t',
  ' ',
  '\u007f',
  '\u0080',
  '\u00a0',
  '\u2028',
  '\u017f',
  '\u212a',
  '\ud800',
  '\ufeff',
  '漢',
  '😀',
  '$',
  '^',
  '\\',
  '"',
];
const plain = [...'-._/:@=,*+aAzZ09[]'];

/** One letter more, fewer, other, doubled or swapped; or the whole doubled. */
export function slip(text: string, random: Random): string {
  const letters = [...text];
  const at = random.below(letters.length + 1);
  const [front, back] = [letters.slice(0, at), letters.slice(at)];
  const foreign = random.pick(random.chance(0.5) ? strange : plain);
  const ways = [
    () => [...front, foreign, ...back],
    () => [...front, ...back.slice(1)],
    () => [...front, foreign, ...back.slice(1)],
    () => [...front, ...back.slice(0, 1), ...back],
    () => [...front, ...back.slice(1, 2), ...back.slice(0, 1), ...back.slice(2)],
    () => [...letters, ...letters],
  ];
  return random.pick(ways)().join('');
}
