// What is kept and why, against the plainest statement of it over random histories, and at the edges of each rule.
import { describe, expect, test } from 'vitest';
import {
  deletions,
  durationMilliseconds,
  type RetainedSnapshot,
  type RetentionPolicy,
  retain,
} from '../../../crds/rules/retention.ts';
import { type Random, repeatedly } from '../seeded.ts';

const hour = 3_600_000;
const now = new Date('2025-03-27T12:00:00Z');
const at = (id: string, age: number): RetainedSnapshot => ({ id, time: new Date(now.getTime() - age) });
const kept = (policy: RetentionPolicy, snapshots: readonly RetainedSnapshot[]): string[] =>
  retain(policy, snapshots, now)
    .filter(({ keep }) => keep.length > 0)
    .map(({ id }) => id);

function history(random: Random): RetainedSnapshot[] {
  const step = random.pick([1, hour, 24 * hour]);
  return Array.from({ length: random.below(30) }, (_, index) =>
    // Some before others, some at one time, some later than the clock.
    at(`s${String(index).padStart(2, '0')}-${random.below(100)}`, step * (random.below(40) - random.below(5))),
  );
}

test('for any history the oldest that nothing keeps go first, never the newest, never more than allowed', () => {
  repeatedly(300, (random) => {
    const snapshots = history(random);
    const verdicts = retain({ keepLast: 1 + random.below(4) }, snapshots, now);
    const limit = 1 + random.below(12);
    const gone = deletions(verdicts, limit);
    const unwanted = verdicts.filter(({ keep }) => keep.length === 0).map(({ id }) => id);
    expect(gone).toEqual(unwanted.reverse().slice(0, limit));
    expect(gone).not.toContain(verdicts[0]?.id);
  });
});

test('run after run with a limit ends where one run without a limit does', () => {
  const all = Array.from({ length: 57 }, (_, index) => at(`s${index}`, index * hour));
  const policy = { keepLast: 3, keepWithin: '12h' };
  let left = all;
  for (let runs = 0; runs < 20; runs++) {
    const gone = deletions(retain(policy, left, now), 10);
    left = left.filter(({ id }) => !gone.includes(id));
  }
  expect(left.map(({ id }) => id)).toEqual(kept(policy, all));
  expect(left).toHaveLength(13);
});

describe('keepWithin', () => {
  test.each([
    ['exactly at the limit', 48 * hour, true],
    ['one millisecond over it', 48 * hour + 1, false],
    ['one millisecond under it', 48 * hour - 1, true],
    ['later than the clock', -hour, true],
  ])('of a snapshot %s', (_name, age, isKept) => {
    expect(kept({ keepWithin: '48h' }, [at('new', -2 * hour), at('old', age)]).includes('old')).toBe(isKept);
  });

  test('counts the same in hours, days and weeks', () => {
    expect(durationMilliseconds('336h')).toBe(durationMilliseconds('14d'));
    expect(durationMilliseconds('14d')).toBe(durationMilliseconds('2w'));
    expect(durationMilliseconds('999999w')).toBe(999_999 * 7 * 24 * hour);
  });

  test.each(['', '0h', '-1h', '1', 'h', '1m', '1H', '1.5h', '01h', '1h ', ' 1h', '1000000h', '1h\n', '1e3h'])(
    'of %j is refused in words',
    (text) => {
      expect(() => durationMilliseconds(text)).toThrow(`read duration "${text}"`);
    },
  );
});

describe('the newest snapshot is kept', () => {
  test('though it is older than keepWithin', () => {
    expect(kept({ keepWithin: '1h' }, [at('a', 1000 * hour), at('b', 2000 * hour)])).toEqual(['a']);
  });

  test('though the policy says nothing at all', () => {
    expect(kept({}, [at('a', hour), at('b', 2 * hour)])).toEqual(['a']);
  });

  test('alone of several at the same time, by its id', () => {
    expect(kept({ keepLast: 1 }, [at('b', hour), at('c', hour), at('a', hour)])).toEqual(['c']);
  });

  test('though the clock is years behind every snapshot', () => {
    const snapshots = [at('a', -9000 * hour), at('b', -9001 * hour)];
    expect(kept({ keepLast: 1 }, snapshots)).toEqual(['b']);
    expect(kept({ keepWithin: '1h' }, snapshots)).toEqual(['b', 'a']);
  });
});

test('nothing is kept or deleted of nothing', () => {
  expect(retain({ keepLast: 3 }, [], now)).toEqual([]);
  expect(deletions([], 10)).toEqual([]);
});

test('keepLast keeps all of a history that is just as long and drops one of a longer', () => {
  const snapshots = ['a', 'b', 'c', 'd'].map((id, index) => at(id, index * hour));
  expect(deletions(retain({ keepLast: 4 }, snapshots, now), 10)).toEqual([]);
  expect(deletions(retain({ keepLast: 3 }, snapshots, now), 10)).toEqual(['d']);
});
