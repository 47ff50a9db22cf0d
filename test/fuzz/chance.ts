// One stream of chance for each round of a fuzzer: a round can be repeated by its seed and number, without the rounds before it.
import { type Random, randomOf } from '../crds/seeded.ts';

export type { Random } from '../crds/seeded.ts';

export function roundOf(seed: number, round: number): Random {
  return randomOf(Math.imul(seed, 0x9e3779b1) ^ Math.imul(round + 1, 0x85ebca6b));
}

/** One of several ways, each as likely as its weight. */
export function oneOf<T>(random: Random, ways: readonly (readonly [weight: number, way: () => T])[]): T {
  let left = random.below(ways.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, way] of ways) {
    if (left < weight) return way();
    left -= weight;
  }
  throw new Error('oneOf: there is no way');
}
