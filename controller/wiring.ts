// Which backups a change concerns: the owner of a Job or pod, and everyone who waits for the same lock or for room under the caps.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { effective } from '../crds/rules/effective.ts';
import { labels, leaseName } from '../crds/rules/names.ts';
import type { Caches } from './caches.ts';
import { clusterLabel } from './labels.ts';
import { leaseKey } from './left-locks.ts';
import { type Backup, type Job, jobEnd, type Lease, type Meta, type Pod, podEnded } from './objects.ts';
import type { Seats } from './seats.ts';
import { keyOf } from './watch.ts';

export class Wiring {
  private readonly caches: Caches;
  private readonly seats: Seats;
  private readonly add: (key: string) => void;

  constructor(caches: Caches, seats: Seats, add: (key: string) => void) {
    this.caches = caches;
    this.seats = seats;
    this.add = add;
  }

  /** Whoever begins to lead looks at all. */
  everything(): void {
    for (const backup of this.caches.backups.values()) this.add(keyOf(backup));
    for (const { metadata } of this.caches.leases.values())
      this.leftLock(metadata.namespace, metadata.labels?.[clusterLabel]);
  }

  backupTold(backup: Backup): void {
    const neighbours = this.caches.backupTold(backup);
    this.add(keyOf(backup));
    for (const key of neighbours) this.add(key);
    // One that is gone may have stood first in line.
    if (!this.caches.backups.has(keyOf(backup))) this.lockTold(backup.metadata.namespace, effective(backup).cluster);
  }

  /** A Job that ends makes room under the caps, for anyone who waits. */
  jobTold(job: Job): void {
    this.caches.jobTold(job);
    this.seats.jobTold(job);
    this.named(job);
    if (this.goesOn(job)) return;
    this.lockTold(job.metadata.namespace, job.metadata.labels?.[clusterLabel]);
    for (const key of this.seats.nextInLine()) this.add(key);
  }

  podTold(pod: Pod): void {
    this.caches.podTold(pod);
    this.named(pod);
    // A lock is held as long as a pod of its Job works, also when that Job and its backup are gone.
    if (podEnded(pod) || !this.caches.pods.has(keyOf(pod)))
      this.lockTold(pod.metadata.namespace, pod.metadata.labels?.[clusterLabel]);
  }

  leaseTold(lease: Lease): void {
    this.seats.leaseTold(lease);
    this.lockTold(lease.metadata.namespace, lease.metadata.labels?.[clusterLabel]);
  }

  private goesOn(job: Job): boolean {
    const { deletionTimestamp } = job.metadata;
    return this.caches.jobs.has(keyOf(job)) && jobEnd(job) === undefined && deletionTimestamp === undefined;
  }

  private named(object: { metadata: Meta }): void {
    const backup = object.metadata.labels?.[labels.backup];
    if (backup !== undefined) this.add(`${object.metadata.namespace}/${backup}`);
  }

  private lockTold(namespace: string, cluster: string | undefined): void {
    if (cluster === undefined) return;
    for (const backup of this.caches.backupsOn(namespace, cluster)) this.add(keyOf(backup));
    this.leftLock(namespace, cluster);
  }

  /** A lock whose last backup was deleted while it ran is given back all the same. */
  private leftLock(namespace: string, cluster = ''): void {
    const lease = `${namespace}/${leaseName(cluster)}`;
    if (this.caches.leases.has(lease) && this.caches.backupsOn(namespace, cluster).length === 0)
      this.add(leaseKey(lease));
  }

  /** Asks until there is an answer. */
  async untilAnswered<T>(ask: () => Promise<T>, signal: AbortSignal, log: Logger): Promise<T> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (signal.aborted) throw error;
        log.warn({ error: String(error) }, 'no answer from the API server, asking again');
        await sleep(1000, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}
