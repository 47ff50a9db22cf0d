// Plays a history to its end: the chaos, the calm after it, and a last look that must write nothing.
import { act } from './actions.ts';
import type { History } from './history.ts';
import type { Broken } from './invariants.ts';
import { calmDown, unsettled } from './quiet.ts';
import { World } from './world.ts';

const second = 1000;
const minute = 60 * second;
/** The longest gate, the longest Job over all its pods and a clock that ran two hours ahead, with room. */
const calmMilliseconds = 8 * 60 * minute;
/** A controller that looks more often than this for so little is in a loop. */
const mostReconciles = 40_000;

export interface Played {
  broken: Broken | undefined;
  lines: string[];
  reconciles: number;
  writes: number;
  outcomes: Outcomes;
}

export const outcomes = ['Succeeded', 'Failed', 'Canceled'] as const;
export type Outcomes = Record<(typeof outcomes)[number], number>;

export async function play(history: History, tracing = false): Promise<Played> {
  // Refusals are part of the play, thousands of them; where an error came from matters only when it is told.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = tracing ? stackTraceLimit : 0;
  try {
    return await playOut(new World(history, tracing));
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function playOut(world: World): Promise<Played> {
  const { agenda, controllers, invariants, history } = world;
  for (const planned of history.backups) agenda.at(history.start + planned.at, () => world.create(planned));
  for (const controller of controllers) controller.start();
  for (const action of history.actions) agenda.at(history.start + action.at, () => act(world, action));
  await until(world, history.start + history.chaos);
  if (invariants.broken === undefined) await settle(world);
  const sum = (of: 'reconciles' | 'writes'): number => controllers.reduce((total, one) => total + one[of], 0);
  return {
    broken: invariants.broken,
    lines: world.lines,
    reconciles: sum('reconciles'),
    writes: sum('writes'),
    outcomes: tally(invariants.ledger.recorded.values()),
  };
}

function tally(recorded: Iterable<string>): Outcomes {
  const counts: Outcomes = { Succeeded: 0, Failed: 0, Canceled: 0 };
  for (const found of recorded) for (const outcome of outcomes) if (found === outcome) counts[outcome] += 1;
  return counts;
}

/** Lets everything happen up to a time, or to the first thing that must not happen. */
async function until(world: World, time: number): Promise<void> {
  const { agenda, invariants, controllers } = world;
  while (invariants.broken === undefined && agenda.next <= time) {
    agenda.step();
    if (!world.woken) continue;
    world.woken = false;
    // Code of the controllers goes on until it waits for the API server, before anything else happens.
    await new Promise(setImmediate);
    if (controllers.some(({ reconciles }) => reconciles > mostReconciles))
      invariants.broke('I7', `a controller looked more than ${mostReconciles} times`);
  }
  agenda.now = Math.max(agenda.now, time);
}

async function settle(world: World): Promise<void> {
  const { agenda, invariants } = world;
  calmDown(world);
  const limit = agenda.now + calmMilliseconds;
  let open = unsettled(world) ?? 'everything';
  // Nothing is due in the next seconds, so that the last look is at an unchanged world.
  while (invariants.broken === undefined) {
    await until(world, agenda.now + 20 * second);
    const found = unsettled(world) ?? dueSoon(world);
    if (found === undefined) break;
    open = found;
    if (agenda.now > limit) invariants.broke('I6', `${calmMilliseconds / minute} minutes after the chaos: ${open}`);
  }
  if (invariants.broken === undefined) await lastLook(world);
}

function dueSoon({ agenda, api }: World): string | undefined {
  for (const { status } of api.all('backups').values())
    if (Date.parse(status?.nextScheduledBackup ?? '') < agenda.now + 10 * second) return 'a window is due';
  return undefined;
}

async function lookAtAll(world: World): Promise<void> {
  for (const controller of world.controllers) controller.lookAtAll();
  await new Promise(setImmediate);
  await until(world, world.agenda.now + 2 * second);
}

async function lastLook(world: World): Promise<void> {
  const { controllers, invariants } = world;
  // What the Job of a deleted backup held is given back by the next look of whoever shares the lock.
  await lookAtAll(world);
  for (let round = 0; round < 2; round++) {
    const before = controllers.map(({ writes }) => writes);
    await lookAtAll(world);
    for (const [index, { writes, name }] of controllers.entries())
      if (writes !== before[index])
        invariants.broke('I7', `${name} writes ${writes - (before[index] ?? 0)} times for nothing`);
  }
}
