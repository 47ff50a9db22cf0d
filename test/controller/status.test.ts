// Whether a status has changed is asked at every look: the comparison agrees with the text that is the same for equal values.
import { expect, test } from 'vitest';
import { copyOfJson, sameJson } from '../../controller/status.ts';
import { canonical } from '../../crds/rules/names.ts';
import { type Random, repeatedly } from '../crds/seeded.ts';

function value(random: Random, depth = 3): unknown {
  const way = random.below(depth === 0 ? 4 : 6);
  if (way === 0) return random.pick(['', 'a', 'b']);
  if (way === 1) return random.below(2);
  if (way === 2) return random.pick([true, false, null]);
  if (way === 3) return undefined;
  const inner = Array.from({ length: random.below(3) }, () => value(random, depth - 1));
  if (way === 4) return inner.map((item) => item ?? null);
  return Object.fromEntries(inner.map((item) => [random.pick(['a', 'b', 'c']), item]));
}

test('two values are the same exactly when they travel as the same JSON', () => {
  let same = 0;
  repeatedly(5000, (random) => {
    const [one, other] = [{ status: value(random) }, { status: value(random) }];
    expect(sameJson(one, other), `${canonical(one)} ${canonical(other)}`).toBe(canonical(one) === canonical(other));
    if (canonical(one) === canonical(other)) same += 1;
    const copy = copyOfJson(one);
    expect(sameJson(one, copy)).toBe(true);
    expect(copy).toEqual(one);
  });
  expect(same).toBeGreaterThan(100);
});

test('a copy shares nothing with what it was made from', () => {
  const from = { list: [{ a: 1 }], map: { b: 2 } };
  const copy = copyOfJson(from);
  copy.list[0] = { a: 3 };
  copy.map.b = 4;
  expect(from).toEqual({ list: [{ a: 1 }], map: { b: 2 } });
});
