// Chance that can be repeated: numbers from a seed, and the seed in the message of whatever fails. TEST_SEED picks another one.

export interface Random {
  /** A whole number from 0 to limit - 1. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
  chance(of: number): boolean;
}

const seed = Number(process.env['TEST_SEED'] ?? '20250327');

/** mulberry32: small, quick, and the same everywhere. */
export function randomOf(start: number): Random {
  let state = start >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (of) => next() < of,
    pick: (list) => {
      const item = list[below(list.length)];
      if (item === undefined) throw new Error('pick: the list is empty');
      return item;
    },
  };
}

/** Runs a test many times with one stream of chance, another for each salt; a failure says with which seed, in which round. */
export function repeatedly(times: number, round: (random: Random) => void, salt = ''): void {
  const random = randomOf([...salt].reduce((sum, letter) => Math.imul(sum, 31) + (letter.codePointAt(0) ?? 0), seed));
  for (let count = 1; count <= times; count++) {
    try {
      round(random);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`TEST_SEED=${seed}, round ${count}: ${detail}`, { cause });
    }
  }
}
