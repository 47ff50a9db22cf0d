// Leader election by a Lease: one controller works at a time. Safety does not rest on it, so it is kept plain; on doubt the work ends,
// and the process waits to lead again: one that exits is started again ever later.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Kube } from './kube.ts';
import type { Lease } from './objects.ts';
import { ApiError } from './transport.ts';

/**
 * As in client-go: others may take over after duration, we give up before that, and try this often. Half the deadline for one try, so that
 * one that hangs leaves time for another. What is between deadline and duration is for the end of the work; the last second of it is spare.
 */
const seconds = { duration: 15, deadline: 10, retry: 2, try: 5, spare: 1 };

/** What is done while leading. */
export interface Term {
  begin: () => void;
  /** Takes no more work; resolves when what is under way has ended. */
  end: () => Promise<void>;
  /** The calls of what is under way are given up, so that it ends. */
  interrupt: () => void;
  /** It has not ended, and another may lead: the caller ends the process. */
  stuck: () => void;
}

export interface LeaderOptions {
  kube: Pick<Kube, 'getLease' | 'createLease' | 'putLease'>;
  namespace: string;
  leaseName: string;
  identity: string;
  log: Logger;
  signal: AbortSignal;
  term: Term;
}

const microTime = (): string => new Date().toISOString().replace('Z', '000Z');
const now = (): number => performance.now();

/** Runs until the signal aborts, then gives the Lease back. */
export async function lead(options: LeaderOptions): Promise<void> {
  const { signal, log, identity, term } = options;
  const candidate = new Candidate(options);
  while (!signal.aborted) {
    const held = await candidate.campaign();
    if (held === undefined) return;
    log.info({ identity }, 'leading');
    term.begin();
    const { proven, other } = await candidate.renew(held);
    if (!signal.aborted)
      log.warn({ identity, other }, 'leadership is not proven any more: ending the work, then waiting for the lease');
    // Where another leads already there is nothing to wait for.
    const left = other ? 0 : proven + (seconds.duration - seconds.spare) * 1000 - now();
    if (!(await endTerm(term, left))) return term.stuck();
    if (signal.aborted && !other) await giveBack(options);
  }
}

/** Ends the work: in peace for so long, then by giving up its calls. False when it goes on nevertheless. */
export async function endTerm(term: Term, milliseconds: number): Promise<boolean> {
  const ended = term.end().then(() => true);
  if ((await within(milliseconds, ended)) === true) return true;
  term.interrupt();
  return (await within(seconds.spare * 1000, ended)) === true;
}

class Candidate {
  private readonly options: LeaderOptions;
  /** What was seen last, and when by our own clock: other machines' clocks are not trusted. */
  private seen = { version: '', at: 0 };

  constructor(options: LeaderOptions) {
    this.options = options;
  }

  /** Tries until it holds the Lease; gives the time at which it asked. Undefined when it was told to end. */
  async campaign(): Promise<number | undefined> {
    while (!this.options.signal.aborted) {
      const asked = now();
      if ((await this.try(seconds.try * 1000)) === 'held') return asked;
      await this.pause(asked + seconds.retry * 1000);
    }
    return undefined;
  }

  /** Renews until that fails for too long, another is seen to lead, or the end; says from when on the Lease was last proven ours. */
  async renew(held: number): Promise<{ proven: number; other: boolean }> {
    let proven = held;
    const left = (): number => proven + seconds.deadline * 1000 - now();
    for (let asked = held; ; ) {
      await this.pause(Math.min(asked + seconds.retry * 1000, proven + seconds.deadline * 1000));
      if (this.options.signal.aborted || left() <= 0) return { proven, other: false };
      asked = now();
      const outcome = await this.try(Math.min(left(), seconds.try * 1000));
      if (outcome === 'other') return { proven, other: true };
      if (outcome === 'held') proven = asked;
    }
  }

  /** One look and one write. A call that hangs is left behind: should it arrive one day, its resourceVersion is of the past. */
  private async try(milliseconds: number): Promise<'held' | 'other' | 'unknown'> {
    const outcome = await within(
      milliseconds,
      this.hold().catch((error: unknown) => this.unknown(error)),
    );
    return outcome ?? this.unknown(`no answer within ${Math.round(milliseconds)} ms`);
  }

  private unknown(error: unknown): 'unknown' {
    // Somebody wrote it between our look and our write: the next look tells.
    if (!(error instanceof ApiError && error.status === 409))
      this.options.log.warn({ error: String(error) }, 'leader election: no answer');
    return 'unknown';
  }

  private async hold(): Promise<'held' | 'other'> {
    const { kube, namespace, leaseName, identity } = this.options;
    const lease = await kube.getLease(namespace, leaseName);
    if (lease !== undefined && lease.metadata.resourceVersion !== this.seen.version)
      this.seen = { version: lease.metadata.resourceVersion, at: now() };
    if (!mayHold(lease, identity, now() - this.seen.at)) return 'other';
    if (lease === undefined)
      await kube.createLease(namespace, { metadata: { name: leaseName, namespace }, spec: held(undefined, identity) });
    else await kube.putLease({ ...lease, spec: held(lease, identity) });
    return 'held';
  }

  private async pause(until: number): Promise<void> {
    await sleep(Math.max(0, until - now()), undefined, { signal: this.options.signal }).catch(() => undefined);
  }
}

function mayHold(lease: Lease | undefined, identity: string, unchangedMilliseconds: number): boolean {
  const holder = lease?.spec?.holderIdentity ?? '';
  if (holder === '' || holder === identity) return true;
  return unchangedMilliseconds > (lease?.spec?.leaseDurationSeconds ?? seconds.duration) * 1000;
}

function held(lease: Lease | undefined, identity: string): NonNullable<Lease['spec']> {
  const renewTime = microTime();
  const spec = { ...lease?.spec, holderIdentity: identity, renewTime, leaseDurationSeconds: seconds.duration };
  if (lease === undefined) return { ...spec, acquireTime: renewTime };
  if (lease.spec?.holderIdentity === identity) return spec;
  return { ...spec, acquireTime: renewTime, leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1 };
}

async function giveBack({ kube, namespace, leaseName, identity, log }: LeaderOptions): Promise<void> {
  const give = async (): Promise<true> => {
    const lease = await kube.getLease(namespace, leaseName);
    if (lease?.spec?.holderIdentity === identity)
      await kube.putLease({ ...lease, spec: { ...lease.spec, holderIdentity: '' } });
    return true;
  };
  const given = await within(
    seconds.try * 1000,
    give().catch((error: unknown) => String(error)),
  );
  if (given !== true)
    log.warn({ error: given ?? 'no answer' }, 'leader election: the lease was not given back and runs out by itself');
}

/** What a promise gives, or undefined when it takes longer. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  const late = new AbortController();
  const limit = sleep(Math.max(0, milliseconds), undefined, { signal: late.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, limit]);
  } finally {
    late.abort();
  }
}
