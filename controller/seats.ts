// Places under the caps: what the cache shows as running, and what was let go so lately that the cache does not show it yet.
import { holdingJob } from '../crds/rules/holder.ts';
import type { Caches } from './caches.ts';
import { isStarted, type Job, jobEnd, type Lease } from './objects.ts';

export interface Caps {
  maxRunning: number;
  maxRunningPerNamespace: number;
}

/** A launch that has not come to its start by then has failed; its Job takes a seat anew. */
const launchMilliseconds = 60_000;
/** So many who wait for room are told when one ends; the others of a full namespace may stand before them. */
const toldAtOnce = 16;

export class Seats {
  private readonly caches: Caches;
  private readonly caps: Caps;
  private readonly now: () => number;
  /** By uid of the Job, oldest first. */
  private readonly reserved = new Map<string, { namespace: string; until: number }>();
  private readonly reservedIn = new Map<string, number>();
  /** Keys of backups that only the caps hold up, the longest waiting first. */
  private readonly waiting = new Set<string>();

  constructor(caches: Caches, caps: Caps, now: () => number) {
    this.caches = caches;
    this.caps = caps;
    this.now = now;
  }

  taken(namespace: string): { overall: number; namespace: number } {
    this.expire();
    const seen = this.caches.running(namespace);
    return {
      overall: seen.overall + this.reserved.size,
      namespace: seen.namespace + (this.reservedIn.get(namespace) ?? 0),
    };
  }

  /** Takes a seat for a Job that is about to be launched; false when there is none. Taking it twice is taking it once. */
  reserve({ metadata }: Job): boolean {
    if (this.reserved.has(metadata.uid)) return true;
    const { overall, namespace } = this.taken(metadata.namespace);
    if (overall >= this.caps.maxRunning || namespace >= this.caps.maxRunningPerNamespace) return false;
    this.hold(metadata.uid, metadata.namespace);
    return true;
  }

  isReserved(jobUid: string): boolean {
    return this.reserved.has(jobUid);
  }

  free(jobUid: string): void {
    const held = this.reserved.get(jobUid);
    if (held === undefined) return;
    this.reserved.delete(jobUid);
    this.reservedIn.set(held.namespace, (this.reservedIn.get(held.namespace) ?? 1) - 1);
  }

  /** From its start on the cache counts a Job. */
  jobTold(job: Job): void {
    const known = this.caches.jobs.get(`${job.metadata.namespace}/${job.metadata.name}`);
    if (known?.metadata.uid !== job.metadata.uid || isStarted(known) || jobEnd(known) !== undefined)
      this.free(job.metadata.uid);
  }

  /** A controller before this one may have taken the lock for a Job that it did not come to start. */
  leaseTold(lease: Lease): void {
    const { namespace } = lease.metadata;
    const holder = holdingJob(lease);
    const job = this.caches.jobs.get(`${namespace}/${holder?.name ?? ''}`);
    if (job === undefined || job.metadata.uid !== holder?.uid) return;
    if (!isStarted(job) && jobEnd(job) === undefined && !this.reserved.has(job.metadata.uid))
      this.hold(job.metadata.uid, namespace);
  }

  /** Remembers who waits for room. */
  waits(key: string, full: boolean): void {
    if (full) this.waiting.add(key);
    else this.waiting.delete(key);
  }

  /** Who may try again, now that a Job has ended. They wait anew if there is still no room. */
  nextInLine(): string[] {
    const next: string[] = [];
    for (const key of this.waiting) {
      if (next.length === toldAtOnce) break;
      next.push(key);
      this.waiting.delete(key);
    }
    return next;
  }

  private hold(uid: string, namespace: string): void {
    this.reserved.set(uid, { namespace, until: this.now() + launchMilliseconds });
    this.reservedIn.set(namespace, (this.reservedIn.get(namespace) ?? 0) + 1);
  }

  private expire(): void {
    for (const [uid, { until }] of this.reserved) {
      if (until > this.now()) return;
      this.free(uid);
    }
  }
}
