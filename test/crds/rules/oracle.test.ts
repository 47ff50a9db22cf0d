// Schedules in every zone whose clock changes between 2020 and 2040, held to the oracle around the changes of each kind.
// Around every single change the integration suite does the same.
import { describe, expect, test } from 'vitest';
import { isZone, offsetAt } from '../../../crds/rules/zone.ts';
import { randomOf, repeatedly } from '../seeded.ts';
import { clockOf, minute } from './every-minute.ts';
import { type Stretch, stretchOf } from './oracle.ts';
import { type Change, type History, minutesIn } from './oracle-history.ts';
import { compareAround, compareGap, scheduleOf, schedulesFor } from './oracle-schedules.ts';
import { cases, names } from './oracle-zones.ts';

const day = 86_400_000;

/** The first change of each kind: by how much the clock moves, and at what time of day. */
function kindsOf({ changes }: History): Change[] {
  const kinds = new Map<string, Change>();
  for (const change of changes) {
    const kind = `${change.after - change.before} at ${(change.at + change.before) % day}`;
    if (!kinds.has(kind)) kinds.set(kind, change);
  }
  return [...kinds.values()];
}

const around = (history: History, { at }: Change): Stretch => stretchOf(minutesIn(history, at - 4 * day, at + 4 * day));
const rows = cases.map(({ history, zones }) => ({ zone: history.zone, history, zones }));

test('the cases cover every name, each once', () => {
  const covered = cases.flatMap(({ zones }) => zones);
  expect(new Set(covered).size).toBe(covered.length);
  // With the tables of 2026: 151 zones with 75 more names, 51 histories, 1,449 changes of 108 kinds.
  expect(covered.length).toBeGreaterThanOrEqual(220);
  expect(cases.length).toBeGreaterThanOrEqual(48);
  expect(cases.reduce((sum, { history }) => sum + history.changes.length, 0)).toBeGreaterThanOrEqual(1300);
  expect(cases.reduce((sum, { history }) => sum + kindsOf(history).length, 0)).toBeGreaterThanOrEqual(100);
});

test('the offset of every zone is what its dates say, at any time', () => {
  for (const zone of names) {
    expect(isZone(zone), zone).toBe(true);
    const clock = clockOf(zone);
    repeatedly(
      10,
      (random) => {
        const at = Date.UTC(1900, 0, 1) + random.below(200 * 365) * day + random.below(day);
        const wall = Math.floor((at + offsetAt(at, zone)) / minute) * minute;
        expect(wall, `${zone} at ${new Date(at).toISOString()}`).toBe(clock(at));
      },
      zone,
    );
  }
});

describe.each(rows)('in $zone', ({ history, zones }) => {
  test('schedules of any form run when the contract says, around each kind of change', () => {
    const random = randomOf(history.changes.length);
    for (const change of kindsOf(history)) {
      const stretch = around(history, change);
      const texts = schedulesFor(change);
      let windows = 0;
      for (const text of texts) {
        const schedule = scheduleOf(text, history.zone);
        windows += compareAround(schedule, change, stretch, random);
        compareGap(schedule, change, stretch);
      }
      expect(windows).toBeGreaterThan(5 * texts.length);
    }
  });

  test('the same holds by each of its names', () => {
    for (const change of new Set([history.changes[0], history.changes.at(-1)])) {
      if (change === undefined) throw new Error(`${history.zone} never changes`);
      const stretch = around(history, change);
      const texts = schedulesFor(change);
      for (const zone of zones)
        repeatedly(2, (random) => compareAround(scheduleOf(random.pick(texts), zone), change, stretch, random), zone);
    }
  });
});
