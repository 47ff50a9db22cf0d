// Leader election by a Lease: one controller works at a time. Safety does not rest on it, so it is kept plain; on doubt it steps down.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Kube } from './kube.ts';
import type { Lease } from './objects.ts';
import { ApiError } from './transport.ts';

/** As in client-go: others may take over after duration, we give up before that, and try this often. */
const seconds = { duration: 15, deadline: 10, retry: 2 };

export interface LeaderOptions {
  kube: Kube;
  namespace: string;
  leaseName: string;
  identity: string;
  log: Logger;
  signal: AbortSignal;
  started: () => void;
  /** Called when leadership can no longer be proven; the caller ends the process. */
  lost: () => void;
}

const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

/** Runs until the signal aborts, then gives the Lease back. */
export async function lead(options: LeaderOptions): Promise<void> {
  const { signal, log, identity } = options;
  let leading = false;
  let over = false;
  let expiry: NodeJS.Timeout | undefined;
  /** A call that hangs must not hold up the end: others may lead by then. */
  const proveUntil = (at: number): void => {
    if (over) return;
    clearTimeout(expiry);
    expiry = setTimeout(
      () => {
        over = true;
        options.lost();
      },
      Math.max(0, at - performance.now()),
    );
  };
  /** What was seen last, and when by our own clock: other machines' clocks are not trusted. */
  let seen = { version: '', at: 0 };
  while (!signal.aborted && !over) {
    const asked = performance.now();
    try {
      const lease = await options.kube.getLease(options.namespace, options.leaseName);
      if (lease !== undefined && lease.metadata.resourceVersion !== seen.version)
        seen = { version: lease.metadata.resourceVersion, at: performance.now() };
      if (mayHold(lease, identity, performance.now() - seen.at)) {
        await hold(options, lease);
        proveUntil(asked + seconds.deadline * 1000);
        if (!leading && !over) {
          leading = true;
          log.info({ identity }, 'leading');
          options.started();
        }
      } else if (leading) proveUntil(0);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409))
        log.warn({ error: String(error) }, 'leader election: no answer');
    }
    await sleep(seconds.retry * 1000, undefined, { signal }).catch(() => undefined);
  }
  clearTimeout(expiry);
  if (leading && !over) await giveBack(options);
}

function mayHold(lease: Lease | undefined, identity: string, unchangedMilliseconds: number): boolean {
  const holder = lease?.spec?.holderIdentity ?? '';
  if (holder === '' || holder === identity) return true;
  return unchangedMilliseconds > (lease?.spec?.leaseDurationSeconds ?? seconds.duration) * 1000;
}

async function hold({ kube, namespace, leaseName, identity }: LeaderOptions, lease: Lease | undefined): Promise<void> {
  const now = microTime();
  if (lease === undefined) {
    const spec = { holderIdentity: identity, acquireTime: now, renewTime: now, leaseDurationSeconds: seconds.duration };
    await kube.createLease(namespace, { metadata: { name: leaseName, namespace }, spec });
    return;
  }
  const same = lease.spec?.holderIdentity === identity;
  await kube.putLease({
    ...lease,
    spec: {
      ...lease.spec,
      holderIdentity: identity,
      renewTime: now,
      leaseDurationSeconds: seconds.duration,
      ...(same ? {} : { acquireTime: now, leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1 }),
    },
  });
}

async function giveBack({ kube, namespace, leaseName, identity, log }: LeaderOptions): Promise<void> {
  try {
    const lease = await kube.getLease(namespace, leaseName);
    if (lease?.spec?.holderIdentity !== identity) return;
    await kube.putLease({ ...lease, spec: { ...lease.spec, holderIdentity: '' } });
  } catch (error) {
    log.warn({ error: String(error) }, 'leader election: the lease was not given back and runs out by itself');
  }
}
