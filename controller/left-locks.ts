// Locks that no backup looks after any more: the last one of their cluster was deleted while its Job held the lock.
import { holdingJob } from '../crds/rules/holder.ts';
import { releaseLock } from './apply.ts';
import type { Caches } from './caches.ts';
import type { Kube } from './kube.ts';
import { clusterLabel } from './labels.ts';
import { isAlive } from './observe.ts';

/** Pods tell of their end to the backup that they belong to, which is gone: they are looked for this often. */
const lookMilliseconds = 60_000;
const prefix = 'leases/';

/** The key in the queue of a Lease, which no backup has. Takes `<namespace>/<name>`. */
export const leaseKey = (lease: string): string => `${prefix}${lease}`;

/** `<namespace>/<name>` of the Lease that a key is of; undefined for the key of a backup. */
export function leaseOf(key: string): string | undefined {
  return key.startsWith(prefix) && key.split('/').length === 3 ? key.slice(prefix.length) : undefined;
}

/**
 * Gives back the lock of a Job that has ended, where no backup would.
 * @returns when to look again in ms; undefined when only a change can matter
 */
export async function giveBack(caches: Caches, kube: Kube, key: string, now: number): Promise<number | undefined> {
  const lease = caches.leases.get(key);
  const job = lease && holdingJob(lease);
  if (lease === undefined || job === undefined) return undefined;
  const { namespace, labels } = lease.metadata;
  if (caches.backupsOn(namespace, labels?.[clusterLabel] ?? '').length > 0) return undefined;
  if (await isAlive(namespace, job.name, job.uid, caches.jobs, kube)) return now + lookMilliseconds;
  await releaseLock(kube, lease, job.name, job.uid);
  return undefined;
}
