// One look at one backup: observe, decide, apply, one status write.
import { type Applied, apply, type Conflict, type Means, Stale } from './apply.ts';
import type { Caches } from './caches.ts';
import { decide } from './decide.ts';
import type { Happening } from './events.ts';
import { giveBack, leaseOf } from './left-locks.ts';
import type { Backup } from './objects.ts';
import { observe, withAllJobs } from './observe.ts';
import type { Decision, Effect, Observed, Settings } from './observed.ts';
import type { Staleness } from './staleness.ts';
import { canWait, mustStand, statusWrite, withoutNews } from './status.ts';
import type { FinishedRun } from './tally.ts';
import { ApiError } from './transport.ts';

const conflictMilliseconds = 30_000;
/** A Job that is refused is not asked for again and again, whatever else there is to do. */
const soonestMilliseconds = 1_000;

export interface World extends Means {
  caches: Caches;
  settings: Settings;
  /** A conflict says that the cache is behind: it is no failure. */
  staleness: Staleness;
  /** Told of each outcome once, after it stands in status. */
  finished: (backup: Backup, run: FinishedRun) => void;
  /** Whether launches are held up, by the client's limits or by an API server that is slow. */
  launchesWait: () => boolean;
  /** For people, after what it tells stands in status. */
  tell: (backup: Backup, happening: Happening) => void;
  /** The object is gone. */
  forget: (key: string) => void;
}

/** @returns when to look again in ms, undefined when only a change can matter */
export async function reconcile(world: World, key: string): Promise<number | undefined> {
  const { caches, kube, staleness, now } = world;
  const lease = leaseOf(key);
  try {
    const wakeAt = await (lease === undefined ? look(world, key) : giveBack(caches, kube, lease, now().getTime()));
    staleness.settled(key);
    return wakeAt;
  } catch (error) {
    if (isBehind(error)) return now().getTime() + staleness.again(key);
    throw error;
  }
}

async function look(world: World, key: string): Promise<number | undefined> {
  const { caches, seats, kube, settings, now } = world;
  let observed = await observe(caches, seats, kube, key, now(), world.launchesWait());
  if (observed === undefined) {
    seats.waits(key, false);
    if (!caches.backups.has(key)) world.forget(key);
    return undefined;
  }
  let decision = decide(observed, settings, now());
  // A window is given up only when no Job waits for it, also none that the cache does not show yet.
  if (decision.status.missedWindows !== (observed.backup.status?.missedWindows ?? 0)) {
    observed = await withAllJobs(observed, kube);
    decision = decide(observed, settings, now());
  }
  seats.waits(key, decision.full);
  const { conflict, ...done } = await carryOut(world, observed, decision);
  if (conflict || !canWait(observed.backup, done.decision)) await store(world, observed.backup, done.decision);
  return done.decision.wakeAt;
}

/** The cache is: it was decided from what has changed since. */
const isBehind = (error: unknown): boolean =>
  error instanceof Stale || (error instanceof ApiError && error.status === 409);

/**
 * Applies what was decided. What stands in the way of one Job is shown and comes again with a later look. It keeps nothing else from being
 * done: where nothing else was decided, what would be without that Job is applied too.
 */
async function carryOut(
  world: World,
  observed: Observed,
  decision: Decision,
): Promise<{ decision: Decision; conflict: boolean }> {
  const { settings, now } = world;
  const { conflict, lost } = await applyOrStore(world, observed.backup, decision);
  if (conflict === undefined) return { decision, conflict: false };
  const shown = decide({ ...observed, conflict, lost }, settings, now());
  const others = decision.effects.filter((effect) => effect.kind !== 'event' && !isAbout(conflict, effect));
  if (others.length === 0) await applyOrStore(world, observed.backup, shown);
  const time = now().getTime();
  const wakeAt = Math.max(time + soonestMilliseconds, Math.min(shown.wakeAt ?? Infinity, time + conflictMilliseconds));
  return { decision: { ...shown, wakeAt }, conflict: true };
}

function isAbout({ jobName }: Conflict, effect: Effect): boolean {
  if (effect.kind === 'createJob') return effect.name === jobName;
  return (effect.kind === 'takeLock' || effect.kind === 'startJob') && effect.job.metadata.name === jobName;
}

/** What must not be lost is not to wait for a write that goes on failing: none of it rests on that write. */
async function applyOrStore(world: World, backup: Backup, decision: Decision): Promise<Applied> {
  try {
    return await apply(world, backup, decision.effects);
  } catch (error) {
    if (!isBehind(error) && mustStand(backup, decision))
      await store(world, backup, withoutNews(backup, decision)).catch(() => {});
    throw error;
  }
}

/** Writes the status. Events and metrics are told only once it stands, so that a look that is repeated does not tell them twice. */
async function store(world: World, backup: Backup, decision: Decision): Promise<void> {
  const write = statusWrite(backup, decision);
  if (write !== undefined) await world.kube.putBackupStatus(write, decision.claims);
  if (decision.finished !== undefined) world.finished(backup, decision.finished);
  for (const effect of decision.effects) if (effect.kind === 'event') world.tell(backup, effect);
}
