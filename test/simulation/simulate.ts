// Plays many histories; of one that fails it finds the smallest part that still fails alike, and tells it step by step.
import { shrink } from '../fuzz/shrink.ts';
import { inWords } from './actions.ts';
import { type History, historyOf } from './history.ts';
import { type Outcomes, outcomes, type Played, play } from './play.ts';

export interface Totals {
  histories: number;
  reconciles: number;
  writes: number;
  outcomes: Outcomes;
}

interface Options {
  /** Number of the first. */
  first?: number;
  /** Hears of each history. */
  told?: (totals: Totals) => void;
  /** Hears of each history that breaks a promise: seed, invariant and the shrunk history; answers whether to go on. Without it the first ends it. */
  broke?: (report: string) => boolean;
  /** Whether a history that fails is made as small as it can be, which takes hundreds of plays. */
  shrinks?: boolean;
  player?: typeof play;
}

/** What a report shows of the beginning and the end of a history. */
const mostLines = 150;

/** @throws an Error with the report of the first history that fails, where nobody hears of it otherwise */
export async function simulate(
  count: number,
  seed: number,
  { first = 0, told = () => undefined, broke, shrinks = true, player = play }: Options = {},
): Promise<Totals> {
  const totals: Totals = { histories: 0, reconciles: 0, writes: 0, outcomes: { Succeeded: 0, Failed: 0, Canceled: 0 } };
  for (let number = first; number < first + count; number++) {
    const history = historyOf(seed, number);
    const played = await player(history);
    totals.histories += 1;
    totals.reconciles += played.reconciles;
    totals.writes += played.writes;
    for (const outcome of outcomes) totals.outcomes[outcome] += played.outcomes[outcome];
    told(totals);
    if (played.broken === undefined) continue;
    const said = await report(history, played.broken.message, player, shrinks);
    if (broke === undefined) throw new Error(said);
    if (!broke(said)) break;
  }
  return totals;
}

/** The same failure, not just any. */
const kindOf = (message: string): string =>
  message
    .split('\n', 1)[0]
    ?.replaceAll(/"[^"]*"|\b[bjlpc]\d+\b|\d+/g, '_')
    .slice(0, 60) ?? '';

async function report(history: History, message: string, player: typeof play, shrinks: boolean): Promise<string> {
  const again = `npm run simulate -- --seed ${history.seed} --history ${history.number}`;
  if (!shrinks) return `${again}\n${message}`;
  const kind = kindOf(message);
  const smallest = await smaller(
    history,
    async (candidate) => kindOf((await player(candidate)).broken?.message ?? '') === kind,
  );
  const { broken, lines }: Played = await player(smallest, true);
  return [
    again,
    message,
    `shrunk from ${history.actions.length} happenings to ${smallest.actions.length}: ${broken?.message}`,
    `controllers ${JSON.stringify(smallest.controllers)}, caps ${JSON.stringify(smallest.caps)}`,
    ...smallest.backups.map((backup) => `backup ${JSON.stringify(backup)}`),
    ...smallest.actions.map((action) => `${clock(smallest.start + action.at)}  ${inWords(action)}`),
    'what happened:',
    ...(lines.length <= mostLines ? lines : [...lines.slice(0, mostLines / 2), '...', ...lines.slice(-mostLines / 2)]),
  ].join('\n');
}

const clock = (time: number): string => new Date(time).toISOString().slice(11, 23);

/** Leaves out happenings, backups and controllers as long as it fails alike. */
async function smaller(history: History, fails: (candidate: History) => Promise<boolean>): Promise<History> {
  const wholly = { ...history };
  const indexes = await shrink(
    history.actions.map((_, index) => index),
    async (kept) => await fails({ ...wholly, actions: pick(history.actions, kept) }),
  );
  let best: History = { ...wholly, actions: pick(history.actions, indexes) };
  for (const { name } of history.backups) {
    const backups = best.backups.filter((one) => one.name !== name);
    const actions = best.actions.filter((action) => !('backup' in action) || action.backup !== name);
    const candidate = { ...best, backups, actions };
    if (backups.length > 0 && (await fails(candidate))) best = candidate;
  }
  while (best.controllers.length > 1) {
    const candidate = { ...best, controllers: best.controllers.slice(0, -1) };
    if (!(await fails(candidate))) break;
    best = candidate;
  }
  return best;
}

const pick = <T>(items: readonly T[], indexes: readonly number[]): T[] =>
  indexes.flatMap((index) => items[index] ?? []);
