// What each controller has read live of locks and claims. A start is let go on what was seen the moment before, not on what a cache says.

import type { Backup, Job, Lease } from '../../controller/objects.ts';

/** A call there takes up to 20 ms, its answer as long, and both reads are under way at once. */
const freshMilliseconds = 45;

export class LiveReads {
  private readonly now: () => number;
  /** When a Job, by its uid, was last seen to hold a lock, and to be the claimed one. */
  private readonly held = new Map<string, number>();
  private readonly claimed = new Map<string, number>();
  /** When a backup was last looked at, by its name. */
  private readonly looked = new Map<string, number>();

  constructor(now: () => number) {
    this.now = now;
  }

  lease(by: string, lease: Lease | undefined): void {
    const holder = lease?.spec?.holderIdentity ?? '';
    if (lease !== undefined && holder !== '') this.held.set(`${by} ${holder}`, this.now());
  }

  backup(by: string, namespace: string, name: string, backup: Backup | undefined): void {
    this.looked.set(`${by} ${namespace}/${name}`, this.now());
    const run = backup?.status?.run;
    if (backup !== undefined && run !== undefined && run.outcome === undefined)
      this.claimed.set(`${by} ${backup.metadata.uid} ${run.jobUID}`, this.now());
  }

  /** Why a Job that waits may not be deleted; undefined when it may. */
  wrongToDelete(by: string, { metadata }: Job, stoodStillSince: number): string | undefined {
    const { uid, namespace, ownerReferences } = metadata;
    const [owner] = ownerReferences ?? [];
    const from = Math.min(this.now() - freshMilliseconds, stoodStillSince);
    if (!((this.looked.get(`${by} ${namespace}/${owner?.name}`) ?? 0) >= from)) return 'has not looked at its claim';
    return (this.claimed.get(`${by} ${owner?.uid} ${uid}`) ?? 0) >= from ? 'has seen it claimed' : undefined;
  }

  /**
   * What was not looked at before a Job is let go; undefined when all was.
   * @param stoodStillSince since when the process has not stood still, in ms: what it read before may be older
   */
  missingFor(by: string, { metadata }: Job, stoodStillSince: number): string | undefined {
    const { uid, ownerReferences } = metadata;
    const from = Math.min(this.now() - freshMilliseconds, stoodStillSince);
    if (!((this.held.get(`${by} ${uid}`) ?? 0) >= from)) return 'that it holds its lock';
    const owner = ownerReferences?.[0]?.uid;
    return (this.claimed.get(`${by} ${owner} ${uid}`) ?? 0) >= from ? undefined : 'that it is claimed';
  }
}
