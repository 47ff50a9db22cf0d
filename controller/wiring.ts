// Which backups a change concerns: the owner of a Job or pod, and everyone who waits for the same lock.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { effective } from '../crds/rules/effective.ts';
import { labels } from '../crds/rules/names.ts';
import { clusterLabel } from './labels.ts';
import { type Backup, type Job, jobEnd, type Meta } from './objects.ts';
import type { Caches } from './observe.ts';
import { keyOf } from './watch.ts';

export class Wiring {
  caches: Caches = { backups: new Map(), jobs: new Map(), pods: new Map(), leases: new Map() };
  private readonly add: (key: string) => void;

  constructor(add: (key: string) => void) {
    this.add = add;
  }

  backupChanged(backup: Backup): void {
    this.add(keyOf(backup));
    // One that is gone may have stood first in line.
    if (!this.caches.backups.has(keyOf(backup))) this.lockChanged(backup.metadata.namespace, effective(backup).cluster);
  }

  /** A Job that ends makes room under the caps, for anyone who waits. */
  jobChanged(job: Job): void {
    this.named(job, job.metadata.labels?.[labels.backup]);
    if (jobEnd(job) === undefined && job.metadata.deletionTimestamp === undefined) return;
    this.lockChanged(job.metadata.namespace, job.metadata.labels?.[clusterLabel]);
  }

  named(object: { metadata: Meta }, backup: string | undefined): void {
    if (backup !== undefined) this.add(`${object.metadata.namespace}/${backup}`);
  }

  lockChanged(namespace: string, cluster: string | undefined): void {
    if (cluster === undefined) return;
    for (const backup of this.caches.backups.values())
      if (backup.metadata.namespace === namespace && effective(backup).cluster === cluster) this.add(keyOf(backup));
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
