// Schedules around every change of every zone's clock between 2020 and 2040, and over stretches of a year and more, held to the oracle.
// It needs no server, only more time than the unit suite has.
import { describe, expect, test } from 'vitest';
import { parseSchedule } from '../../crds/rules/schedule.ts';
import { stretchOf, windowsOf } from '../crds/rules/oracle.ts';
import { historyOf, minutesIn } from '../crds/rules/oracle-history.ts';
import { around, compareAround, schedulesFor } from '../crds/rules/oracle-schedules.ts';
import { begin, cases, end } from '../crds/rules/oracle-zones.ts';
import { type Random, repeatedly } from '../crds/seeded.ts';

const day = 86_400_000;
const rows = cases.map(({ history, zones }) => ({ zone: history.zone, history, zones }));

test.each(rows)('no change in $zone goes unseen between two looks at its clock', ({ zone, history }) => {
  expect(historyOf(zone, begin, end, day)).toEqual(history);
});

describe.each(rows)('in $zone', ({ history, zones }) => {
  test('schedules run when the contract says, around each change', () => {
    const once = (random: Random): void => {
      for (const change of history.changes) {
        const texts = schedulesFor(change);
        const here = around(history, change);
        for (let count = 0; count < 5; count++) compareAround(random.pick(texts), random.pick(zones), here, random);
      }
    };
    repeatedly(1, once, history.zone);
  });

  test('schedules that run seldom run when the contract says, for a year and more', () => {
    const once = (random: Random): void => {
      const change = random.pick(history.changes);
      const asked = Math.max(begin + 2 * day, change.at - random.below(400) * day);
      const stretch = stretchOf(minutesIn(history, asked - 2 * day, change.at + 3 * day));
      const seldom = schedulesFor(change).filter((text) => /^\d+ (\d+|\*) .*\d|@monthly|@weekly/.test(text));
      for (let count = 0; count < 4; count++) {
        const schedule = parseSchedule(random.pick(seldom), history.zone, 'shop/orders');
        const expected = windowsOf(schedule.resolved, stretch).filter((at) => at > asked);
        const found: number[] = [];
        let at = schedule.next(asked);
        for (; at !== undefined && found.length < expected.length; at = schedule.next(at)) found.push(at);
        expect(found, `${schedule.resolved} in ${history.zone} from ${new Date(asked).toISOString()}`).toEqual(
          expected,
        );
      }
    };
    repeatedly(1, once, history.zone);
  });
});
