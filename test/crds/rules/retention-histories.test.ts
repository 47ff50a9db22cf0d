// Retention against an independent statement of its rules over random histories, and as tables that a person can read and agree with.
import { describe, expect, test } from 'vitest';
import { keepRules, type RetainedSnapshot, type RetentionPolicy, retain } from '../../../crds/rules/retention.ts';
import { type Random, repeatedly } from '../seeded.ts';
import { isNewer, reasonsFor } from './retention-oracle.ts';

const hour = 3_600_000;
const day = 24 * hour;
const zones = ['Etc/UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia'];

/** Mostly one schedule, with gaps, bursts of manual runs, runs at one time, clocks ahead, and databases that were made anew. */
function history(random: Random, now: Date): RetainedSnapshot[] {
  const step = random.pick([1, hour / 2, hour, 5 * hour, day, 9 * day, 40 * day]);
  const databases = random.pick([[''], ['one'], ['one', 'two', ''], ['one', 'two', 'three']]);
  const turn = 1 + random.below(12);
  return Array.from({ length: random.below(40) }, (_, index) => {
    const time = new Date(
      now.getTime() - step * (index + random.below(3) - 2) - (random.chance(0.2) ? random.below(day) : 0),
    );
    const identity = random.chance(0.1)
      ? random.pick(databases)
      : (databases[Math.floor(index / turn) % databases.length] ?? '');
    const since = random.chance(0.5) ? {} : { identitySince: new Date(time.getTime() - random.below(40) * day) };
    return { id: `s${String(random.below(1000)).padStart(3, '0')}-${index}`, time, identity, ...since };
  });
}

/** As runs write it down: since when the identity is that of the snapshot before. */
function recorded(snapshots: readonly RetainedSnapshot[]): RetainedSnapshot[] {
  let [identity, since] = ['', new Date(0)];
  return [...snapshots]
    .sort((a, b) => (isNewer(a, b) ? 1 : -1))
    .map((one) => {
      if (one.identity !== identity && one.identity !== '') [identity, since] = [one.identity ?? '', one.time];
      return { ...one, identitySince: since };
    });
}

function policyFor(random: Random, snapshots: readonly RetainedSnapshot[]): RetentionPolicy {
  const policy: RetentionPolicy = { timeZone: random.pick(zones) };
  for (const rule of keepRules) {
    if (!random.chance(0.35)) continue;
    if (rule === 'keepWithin') policy.keepWithin = `${1 + random.below(60)}${random.pick(['h', 'd', 'w'] as const)}`;
    else policy[rule] = 1 + random.below(8);
  }
  if (snapshots.length > 0 && random.chance(0.2)) policy.pin = [random.pick(snapshots).id, 'not-there'];
  return policy;
}

test('for any of 5,000 histories each snapshot is kept for exactly the reasons that hold for it', () => {
  let [judged, superseded] = [0, 0];
  repeatedly(5000, (random) => {
    // Around changes of daylight saving and of the year, too.
    const now = new Date(Date.UTC(2020 + random.below(8), random.below(12), 1 + random.below(28), random.below(24)));
    const snapshots = history(random, now);
    const policy = policyFor(random, snapshots);
    const verdicts = retain(policy, snapshots, now);
    const ordered = [...snapshots].sort((a, b) => (isNewer(a, b) ? -1 : 1));
    expect(verdicts).toEqual(ordered.map((one) => ({ id: one.id, keep: reasonsFor(policy, one, snapshots, now) })));
    expect(retain(policy, [...snapshots].reverse(), now)).toEqual(verdicts);
    judged += verdicts.length;
    superseded += verdicts.filter(({ keep }) => keep.some((reason) => reason.startsWith('last of another'))).length;
  });
  // The histories are worth something only if the rare rule was met, too.
  expect(judged).toBeGreaterThan(50_000);
  expect(superseded).toBeGreaterThan(500);
}, 120_000);

test('for any history run after run ends where one run does, and then nothing more goes while the clock stands', () => {
  repeatedly(500, (random) => {
    const now = new Date('2025-03-30T12:00:00Z');
    const all = recorded(history(random, now));
    const policy = policyFor(random, all);
    const kept = (left: readonly RetainedSnapshot[]) => {
      const ids = new Set(retain(policy, left, now).flatMap(({ id, keep }) => (keep.length > 0 ? [id] : [])));
      return left.filter(({ id }) => ids.has(id));
    };
    const once = kept(all);
    // What one rule kept may stand in for what another let go, never the other way round.
    expect(kept(once).map(({ id }) => id)).toEqual(once.map(({ id }) => id));
  });
});

const table = (policy: RetentionPolicy, snapshots: readonly RetainedSnapshot[], now: Date): string => {
  const rows = retain(policy, snapshots, now).map(({ id, keep }) => {
    const { time, identity } = snapshots.find((one) => one.id === id) ?? {};
    const date = new Date(time ?? 0);
    const weekday = date.toLocaleDateString('en-GB', { weekday: 'short', timeZone: 'UTC' });
    const of = identity === undefined || identity === '' ? '' : `  [${identity}]`;
    return `${date.toISOString().slice(0, 16)}Z ${weekday}${of}  ${keep.length > 0 ? `keep: ${keep.join(', ')}` : 'delete'}`;
  });
  return [`now ${now.toISOString()}`, `policy ${JSON.stringify(policy)}`, '', ...rows, ''].join('\n');
};

const every = (count: number, step: number, until: Date, identity?: (index: number) => string): RetainedSnapshot[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `s${String(count - index).padStart(4, '0')}`,
    time: new Date(until.getTime() - index * step),
    ...(identity === undefined ? {} : { identity: identity(index) }),
  }));

describe('a table that a person can read', () => {
  const nightly = new Date('2025-03-31T01:00:00Z');
  const now = new Date('2025-03-31T09:00:00Z');
  const cases: Record<string, [RetentionPolicy, RetainedSnapshot[]]> = {
    'the-smallest-manifest': [{ keepLast: 3, keepWithin: '336h' }, every(20, day, nightly)],
    'grandfather-father-son': [
      { keepDaily: 7, keepWeekly: 4, keepMonthly: 6, keepYearly: 2, timeZone: 'Europe/Berlin' },
      every(500, day, nightly),
    ],
    'hours-over-a-change-to-winter': [
      { keepHourly: 8, timeZone: 'Europe/Berlin' },
      every(20, hour / 2, new Date('2024-10-27T03:00:00Z')),
    ],
    'weeks-over-new-year': [{ keepWeekly: 4, keepYearly: 2 }, every(30, day, new Date('2021-01-08T01:00:00Z'))],
    'a-day-in-its-own-zone': [
      { keepDaily: 3, timeZone: 'Pacific/Auckland' },
      every(12, 6 * hour, new Date('2025-01-10T13:00:00Z')),
    ],
    'a-pin': [{ keepLast: 1, pin: ['s0002'] }, every(5, day, nightly)],
    'a-database-made-anew': [
      { keepLast: 2 },
      every(6, day, nightly, (index) => (index < 3 ? 'new, empty' : 'old, full')),
    ],
  };
  test.each(Object.entries(cases))('%s', async (name, [policy, snapshots]) => {
    const text = table(policy, snapshots, now);
    // Hundreds of deleted days say nothing; the file keeps the first of each stretch.
    const short = text.replace(/(^.* {2}delete\n)((?:.* {2}delete\n)+)/gm, (_all, first: string, rest: string) => {
      return `${first}... and ${rest.split('\n').length - 1} more to delete\n`;
    });
    await expect(short).toMatchFileSnapshot(`../../golden/retention/${name}.txt`);
  });
});
