// Schedules in every zone whose clock changes between 2020 and 2040, held to the oracle around the changes of each kind.
// Around every single change the integration suite does the same.
import { describe, expect, test } from 'vitest';
import { isZone, offsetAt } from '../../../crds/rules/zone.ts';
import { type Random, randomOf, repeatedly } from '../seeded.ts';
import { clockOf, minute } from './every-minute.ts';
import { kindsOf } from './oracle-history.ts';
import { around, compareAround, schedulesFor } from './oracle-schedules.ts';
import { cases, names } from './oracle-zones.ts';

const day = 86_400_000;

test('the cases cover every name, each once', () => {
  const covered = cases.flatMap(({ zones }) => zones);
  expect(new Set(covered).size).toBe(covered.length);
  // With the tables of 2026: 151 zones with 75 more names, 51 histories, 1,449 changes, 108 of them the first of their kind in a zone, 23 anywhere.
  expect(covered.length).toBeGreaterThanOrEqual(220);
  expect(cases.length).toBeGreaterThanOrEqual(48);
  expect(cases.reduce((sum, { history }) => sum + history.changes.length, 0)).toBeGreaterThanOrEqual(1300);
  expect(cases.reduce((sum, { history }) => sum + kindsOf(history.changes).length, 0)).toBeGreaterThanOrEqual(100);
  expect(kindsOf(cases.flatMap(({ history }) => history.changes)).length).toBeGreaterThanOrEqual(20);
});

test('the offset of every zone is what its dates say, at any time', () => {
  for (const zone of names) {
    expect(isZone(zone), zone).toBe(true);
    const clock = clockOf(zone);
    const once = (random: Random): void => {
      const at = Date.UTC(1900, 0, 1) + random.below(200 * 365) * day + random.below(day);
      const wall = Math.floor((at + offsetAt(at, zone)) / minute) * minute;
      expect(wall, `${zone} at ${new Date(at).toISOString()}`).toBe(clock(at));
    };
    repeatedly(10, once, zone);
  }
});

describe('schedules run when the contract says', () => {
  // The first change of each kind in the first zone that has it.
  const kinds = kindsOf(cases.flatMap(({ history }) => history.changes));
  const firsts = cases.flatMap(({ history }) =>
    history.changes.filter((change) => kinds.includes(change)).map((change) => ({ history, change })),
  );

  test.each(
    firsts.map(({ history, change }) => ({
      zone: history.zone,
      at: new Date(change.at).toISOString(),
      history,
      change,
    })),
  )('of any form, around the change in $zone of $at', ({ zone, history, change }) => {
    const texts = schedulesFor(change);
    const here = around(history, change);
    const random = randomOf(change.at);
    const windows = texts.reduce((sum, text) => sum + compareAround(text, zone, here, random), 0);
    expect(windows).toBeGreaterThan(5 * texts.length);
  });

  test.each(cases.map(({ history, zones }) => ({ zone: history.zone, history, zones })))(
    'of some forms, around each kind of change in $zone, and by each of its names',
    ({ zone, history, zones }) => {
      for (const change of kindsOf(history.changes)) {
        const texts = schedulesFor(change);
        const here = around(history, change);
        const once = (random: Random, name: string) => compareAround(random.pick(texts), name, here, random);
        repeatedly(12, (random) => once(random, zone), zone);
        for (const name of zones) repeatedly(1, (random) => once(random, name), name);
      }
    },
  );
});
