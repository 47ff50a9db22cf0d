// The history of a zone's clock between two instants: where it changes and by how much, found by reading it every few days.
// It makes a stretch of minutes some fifty times faster than Intl does, and shows which zones are one case.
import { clockOf, type Minute, minute } from './every-minute.ts';

export interface Change {
  /** The first instant after the change, ms. */
  at: number;
  /** What the clock is ahead of UTC, ms. */
  before: number;
  after: number;
}

export interface History {
  zone: string;
  /** Its beginning: nothing is known of the time before. */
  from: number;
  /** Ahead of UTC at the beginning, ms. */
  first: number;
  changes: readonly Change[];
}

const day = 86_400_000;
/** Two changes are further apart than this: the shortest time is an hour less than seven days, foretold for Gaza and October 2040. */
const pace = 5 * day;

/** @param every how far the looks at the clock are apart: two changes within it that undo each other go unseen */
export function historyOf(zone: string, from: number, to: number, every = pace): History {
  const clock = clockOf(zone);
  const aheadAt = (at: number): number => clock(at) - at;
  const first = aheadAt(from);
  const changes: Change[] = [];
  let before = first;
  for (let at = from + every; at <= to; at += every) {
    const after = aheadAt(at);
    if (after === before) continue;
    let low = at - every;
    let high = at;
    while (high - low > minute) {
      const middle = low + Math.floor((high - low) / 2 / minute) * minute;
      if (aheadAt(middle) === before) low = middle;
      else high = middle;
    }
    changes.push({ at: high, before, after });
    before = after;
  }
  return { zone, from, first, changes };
}

/** The same as reading the clock every minute. */
export function minutesIn(history: History, from: number, to: number): Minute[] {
  if (from < history.from)
    throw new Error(`the history of ${history.zone} begins later than ${new Date(from).toISOString()}`);
  const minutes: Minute[] = [];
  let ahead = history.first;
  let next = 0;
  for (let at = from; at <= to; at += minute) {
    for (let change = history.changes[next]; change !== undefined && change.at <= at; change = history.changes[next]) {
      ahead = change.after;
      next += 1;
    }
    minutes.push({ at, wall: at + ahead });
  }
  return minutes;
}

/** Zones whose clocks show the same at every instant. */
export interface Sharing {
  history: History;
  zones: readonly string[];
}

/** The histories of some zones, each once, without those that never change. */
export function changing(zones: readonly string[], from: number, to: number): Sharing[] {
  const found = new Map<string, { history: History; zones: string[] }>();
  for (const zone of zones) {
    const history = historyOf(zone, from, to);
    if (history.changes.length === 0) continue;
    const key = history.changes.map(({ at, before, after }) => `${at} ${before} ${after}`).join();
    const same = found.get(key);
    if (same === undefined) found.set(key, { history, zones: [zone] });
    else same.zones.push(zone);
  }
  return [...found.values()];
}

/** What a change is to a schedule: by how much the clock moves, and at what time of day. */
const kindOf = ({ at, before, after }: Change): string => `${after - before} at ${(at + before) % day}`;

/** The first change of each kind. */
export function kindsOf(changes: readonly Change[]): Change[] {
  const kinds = new Map<string, Change>();
  for (const change of changes) if (!kinds.has(kindOf(change))) kinds.set(kindOf(change), change);
  return [...kinds.values()];
}
