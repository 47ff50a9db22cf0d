// One look at one backup: observe, decide, apply, one status write.
import { apply, Stale } from './apply.ts';
import { decide } from './decide.ts';
import type { Kube } from './kube.ts';
import { type Caches, observe } from './observe.ts';
import type { Settings } from './observed.ts';
import { statusWrite } from './status.ts';
import { ApiError } from './transport.ts';

/** A conflict says that the cache is behind: look again soon, it is no failure. */
const staleMilliseconds = 200;
const conflictMilliseconds = 30_000;

/** @returns when to look again in ms, undefined when only a change can matter */
export async function reconcile(
  caches: Caches,
  kube: Kube,
  settings: Settings,
  now: () => Date,
  key: string,
): Promise<number | undefined> {
  const observed = await observe(caches, kube, key);
  if (observed === undefined) return undefined;
  try {
    let decision = decide(observed, settings, now());
    const changes = decision.effects.filter(({ kind }) => kind !== 'event');
    const { conflict } = await apply(kube, observed.backup, changes, now);
    // What stands in the way is shown; effects come again with a later look.
    if (conflict !== undefined)
      decision = {
        ...decide({ ...observed, conflict }, settings, now()),
        wakeAt: now().getTime() + conflictMilliseconds,
      };
    const write = statusWrite(observed.backup, decision);
    if (write !== undefined) await kube.putBackupStatus(write);
    // Told only once it stands in status, so that a look that is repeated does not tell it twice.
    const events = decision.effects.filter(({ kind }) => kind === 'event');
    await apply(kube, observed.backup, events, now);
    return decision.wakeAt;
  } catch (error) {
    if (error instanceof Stale || (error instanceof ApiError && error.status === 409))
      return now().getTime() + staleMilliseconds;
    throw error;
  }
}
