// One history: a world and what happens to it, drawn from a seed. It is plain data, so that parts of it can be left out.
import type { Backup } from '../../controller/objects.ts';
import { type Random, roundOf } from '../fuzz/chance.ts';
import { type Ambush, ambush } from './ambush.ts';
import { type Kind, kinds } from './api.ts';
import { type Fault, faults } from './calls.ts';
import { type Fate, fates } from './fates.ts';

export type Spec = Backup['spec'];

export type Happening =
  | { what: 'edit'; backup: string; field: string; value: unknown }
  | { what: 'trigger'; backup: string; token: string | undefined }
  | { what: 'delete'; backup: string }
  | { what: 'recreate'; backup: string; seconds: number }
  | { what: 'cancel'; backup: string }
  | { what: 'delete job'; backup: string; which: 'first' | 'last' | 'claimed'; slowly: boolean }
  | { what: 'strip labels'; backup: string }
  | { what: 'foreign job'; backup: string; seconds: number }
  | { what: 'foreign lock'; cluster: string; holdSeconds: number; leaseSeconds: number | undefined }
  | { what: 'namespace goes'; namespace: string }
  | { what: 'fate'; backup: string; fate: Fate }
  | { what: 'fault'; controller: number; fault: Fault; passes: number }
  | { what: 'crash'; controller: number; seconds: number }
  | { what: 'pause'; controller: number; seconds: number }
  | { what: 'lag'; controller: number; kind: Kind; seconds: number }
  | { what: 'relist'; controller: number; kind: Kind; seconds: number }
  | { what: 'repeat'; controller: number; kind: Kind }
  /** The clock is set, and for some set back to what it was. */
  | { what: 'clock'; controller: number; seconds: number; lasts: number | undefined }
  | { what: 'outage'; seconds: number }
  | Ambush;

export type Action = Happening & { at: number };

export interface Planned {
  name: string;
  namespace: string;
  cluster: string;
  spec: Partial<Spec>;
  at: number;
}

export interface History {
  seed: number;
  number: number;
  /** Epoch ms. */
  start: number;
  /** Clock offsets of the controllers in ms: one for each. */
  controllers: number[];
  caps: { maxRunning: number; maxRunningPerNamespace: number };
  backups: Planned[];
  actions: Action[];
  /** When the chaos ends, in ms from the start. */
  chaos: number;
}

const second = 1000;
const minute = 60 * second;
const schedules = [
  '*/5 * * * *',
  '*/15 * * * *',
  '7 * * * *',
  '*/20 * * * *',
  '30 1-4 * * *',
  'H/10 * * * *',
  '0 2 * * *',
];
const zones = ['Etc/UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'];
const tokens = ['v1', 'v2', 'v3'];

export function historyOf(seed: number, number: number): History {
  const random = roundOf(seed, number);
  const chaos = (5 + random.below(random.pick([15, 40, 150]))) * minute;
  const backups = plannedBackups(random);
  const controllers = Array.from({ length: random.pick([1, 1, 2, 2, 3]) }, () => (random.below(7) - 3) * second);
  const actions = Array.from({ length: 3 + random.below(22) }, () => ({
    at: random.below(chaos),
    ...happening(random, backups, controllers.length),
  })).sort((a, b) => a.at - b.at);
  // The night in which Europe's clocks go forward.
  const start = Date.parse('2025-03-29T22:00:00Z') + random.below(6 * 60) * minute + random.below(minute);
  const caps = { maxRunning: random.pick([1, 2, 3, 20]), maxRunningPerNamespace: random.pick([1, 2, 5]) };
  if (number % everyAmbushed === everyAmbushed - 1) actions.push(...ambushes(random, backups, chaos));
  return { seed, number, controllers, backups, actions, chaos, start, caps };
}

/** One history of so many meets what comes at the worst moment, besides all the rest. */
const everyAmbushed = 4;

function ambushes(random: Random, backups: readonly Planned[], chaos: number): Action[] {
  const count = 4 + random.below(8);
  return Array.from({ length: count }, () => ({
    at: random.below(chaos),
    ...ambush(random, random.pick(backups).name),
  }));
}

function plannedBackups(random: Random): Planned[] {
  const shared = random.chance(0.6);
  return ['a', 'b', 'c'].slice(0, random.pick([1, 1, 2, 2, 3])).map((name, index) => ({
    name,
    namespace: random.chance(0.85) ? 'shop' : 'yard',
    cluster: shared ? 'db' : `db-${name}`,
    at: index === 0 ? 0 : random.below(5 * minute),
    spec: {
      ...(random.chance(0.85) ? { schedule: random.pick(schedules) } : {}),
      ...(random.chance(0.3) ? { timeZone: random.pick(zones) } : {}),
      ...(random.chance(0.4) ? { gate: { token: 'v1', timeoutSeconds: random.pick([120, 900, 3600]) } } : {}),
      startingDeadlineSeconds: random.pick([60, 600, 3600]),
      job: { activeDeadlineSeconds: random.pick([120, 600, 1500]), backoffLimit: random.pick([0, 1, 2]) },
      successfulJobsHistoryLimit: random.below(3),
      failedJobsHistoryLimit: random.below(3),
    },
  }));
}

function happening(random: Random, backups: readonly Planned[], controllers: number): Happening {
  const backup = random.pick(backups).name;
  const { cluster, namespace } = random.pick(backups);
  const controller = random.below(controllers);
  const kind = random.pick(kinds);
  const seconds = 1 + random.below(random.pick([5, 60, 400]));
  const way = random.below(100);
  if (way < 20) return edit(random, backup);
  if (way < 29) return { what: 'trigger', backup, token: random.chance(0.2) ? undefined : random.pick(tokens) };
  if (way < 43) return { what: 'fate', backup, fate: random.pick(fates) };
  if (way < 58) return { what: 'fault', controller, fault: random.pick(faults), passes: random.below(8) };
  if (way < 64) return { what: 'crash', controller, seconds };
  if (way < 69) return { what: 'pause', controller, seconds };
  if (way < 77) return { what: 'lag', controller, kind, seconds };
  if (way < 81) return { what: 'relist', controller, kind, seconds };
  if (way < 82) return { what: 'repeat', controller, kind };
  if (way < 85) return clock(random, controller, controllers);
  if (way < 90) return deleteJob(random, backup);
  if (way < 92) return { what: 'cancel', backup };
  if (way < 93) return { what: 'strip labels', backup };
  if (way < 94) return { what: 'foreign job', backup, seconds: seconds * 5 };
  if (way < 97) return foreignLock(random, cluster, seconds * 3);
  if (way < 98) return { what: 'outage', seconds: seconds * 2 };
  if (random.chance(0.15)) return { what: 'namespace goes', namespace };
  return random.chance(0.3) ? { what: 'delete', backup } : { what: 'recreate', backup, seconds: random.below(20) };
}

/** Two at once with clocks far apart write over each other for as long as it lasts: that is known, and slow. */
function clock(random: Random, controller: number, controllers: number): Happening {
  const seconds = (random.below(240) - 120) * random.pick([1, 60]);
  return { what: 'clock', controller, seconds, lasts: controllers === 1 ? undefined : 1 + random.below(45) };
}

function deleteJob(random: Random, backup: string): Happening {
  return { what: 'delete job', backup, which: random.pick(['first', 'last', 'claimed']), slowly: random.chance(0.3) };
}

function foreignLock(random: Random, cluster: string, holdSeconds: number): Happening {
  const leaseSeconds = random.chance(0.5) ? undefined : 1 + random.below(600);
  return { what: 'foreign lock', cluster, holdSeconds, leaseSeconds };
}

function edit(random: Random, backup: string): Happening {
  const value = (field: string, ...values: unknown[]): Happening => ({
    what: 'edit',
    backup,
    field,
    value: values[random.below(values.length)],
  });
  const timeoutSeconds = random.pick([120, 900, 3600]);
  const onFailure = random.pick(['Block', 'Allow']);
  const gates = tokens.map((token) => ({ token, timeoutSeconds, onFailure }));
  switch (random.below(12)) {
    case 0:
      return value('timeZone', ...zones);
    case 1:
    case 2:
      return value('suspend', true, false, undefined);
    case 3:
      return value('database.image', 'postgres:15', 'postgres:16', 'postgres:17');
    case 4:
      return value('startingDeadlineSeconds', 60, 600, 3600);
    case 5:
      return value('retention.keepLast', 2, 3, 4);
    case 6:
      return value('successfulJobsHistoryLimit', 0, 1, 2);
    case 7:
    case 8:
    case 9:
      return value('gate', undefined, ...gates);
    default:
      return value('schedule', undefined, 'not a schedule', ...schedules, ...schedules);
  }
}
