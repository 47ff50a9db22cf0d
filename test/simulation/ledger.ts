// The books of every object's runs, kept from its status writes: each claimed once, each ended once, each counted once, none by guess.
import type { Backup } from '../../controller/objects.ts';
import { baselineGate } from '../../controller/steps/gate.ts';
import { annotations } from '../../crds/rules/names.ts';
import type { Bucket } from './kubelet.ts';

type Status = NonNullable<Backup['status']>;
type Run = NonNullable<Status['run']>;
type Breach = (invariant: 'I1' | 'I6' | 'truth' | 'baseline', what: string) => void;

export class Ledger {
  /** Jobs that were let go. */
  readonly started = new Map<string, { backupUid: string; name: string }>();
  /** Jobs that a person canceled. */
  readonly canceled = new Set<string>();
  /** Outcomes in status, by uid of the Job. */
  readonly recorded = new Map<string, string>();
  private readonly bucket: Bucket;
  private readonly breach: Breach;
  /** When a Job was claimed, counted in status writes. */
  private readonly claimed = new Map<string, number>();
  private readonly windows = new Set<string>();
  /** How often a token was asked for, and how often it was claimed. */
  private readonly asked = new Map<string, number>();
  private readonly served = new Map<string, number>();
  /** Of each object: when its gate was observed, and the Jobs made for that. */
  private readonly gates = new Map<string, { at: number; own: number }>();
  private readonly told = new Set<string>();
  private count = 0;

  constructor(bucket: Bucket, breach: Breach) {
    this.bucket = bucket;
    this.breach = breach;
  }

  /** How many windows of an object were claimed. */
  windowsOf(uid: string): number {
    let count = 0;
    for (const key of this.windows) if (key.startsWith(`${uid} `)) count += 1;
    return count;
  }

  toldFinished(jobUid: string): void {
    if (this.told.has(jobUid)) this.breach('I6', `the end of Job ${jobUid} is counted twice in metrics`);
    this.told.add(jobUid);
  }

  follow(before: Backup | undefined, after: Backup | undefined, by: string): void {
    if (after === undefined) return;
    const token = after.metadata.annotations?.[annotations.trigger];
    if (token !== undefined && token !== before?.metadata.annotations?.[annotations.trigger])
      add(this.asked, `${after.metadata.uid} ${token}`);
    if (before === undefined || !/^c\d/.test(by)) return;
    this.count += 1;
    const [was, is] = [before.status ?? {}, after.status ?? {}];
    this.gateObserved(after, was, is);
    this.runChanged(after, was, is);
    this.failuresCounted(was, is);
    this.gateSatisfied(after.metadata.uid, was, is);
  }

  private runChanged(backup: Backup, was: Status, is: Status): void {
    const [old, run] = [was.run, is.run];
    if (run === undefined) {
      if (old !== undefined) this.breach('I6', `the run of Job ${old.jobUID} vanishes from status`);
    } else if (old?.jobUID !== run.jobUID) {
      if (old !== undefined && old.outcome === undefined)
        this.breach('I1', `Job ${run.jobUID} is claimed while the run of Job ${old.jobUID} has no outcome`);
      this.claim(backup, is, run);
    } else if (old.outcome !== undefined && old.outcome !== run.outcome)
      this.breach('I6', `the outcome of Job ${run.jobUID} changes from ${old.outcome} to ${run.outcome}`);
    else if (old.outcome === undefined && run.outcome !== undefined) this.record(run);
  }

  private claim(backup: Backup, status: Status, run: Run): void {
    const { uid } = backup.metadata;
    const { jobUID } = run;
    if (this.claimed.has(jobUID)) this.breach('I1', `Job ${jobUID} is claimed twice`);
    this.claimed.set(jobUID, this.count);
    if (run.slot !== undefined) this.windowClaimed(uid, status, run.slot);
    if (run.token !== undefined) {
      const key = `${uid} ${run.token}`;
      if (add(this.served, key) > (this.asked.get(key) ?? 0))
        this.breach('I1', `token "${run.token}" is claimed more often than it was asked for`);
    }
    const gate = this.gates.get(uid);
    if (run.trigger === 'Gate' && gate !== undefined && ++gate.own > 1)
      this.breach('I1', `the gate "${run.gate}" has a second Job of its own`);
  }

  private windowClaimed(uid: string, status: Status, slot: string): void {
    if (this.windows.has(`${uid} ${slot}`)) this.breach('I1', `window ${slot} is claimed twice`);
    this.windows.add(`${uid} ${slot}`);
    if (Date.parse(slot) <= Date.parse(status.scheduleBaseline ?? ''))
      this.breach('baseline', `window ${slot} is claimed, the baseline is ${status.scheduleBaseline}`);
  }

  private record({ jobUID, outcome }: Run): void {
    if (this.recorded.has(jobUID)) this.breach('I6', `the outcome of Job ${jobUID} is recorded twice`);
    this.recorded.set(jobUID, outcome ?? '');
    if (outcome === 'Succeeded' && !this.bucket.has(jobUID))
      this.breach('truth', `Job ${jobUID} is recorded as Succeeded, no snapshot was committed`);
    if (outcome === 'Canceled' && !this.canceled.has(jobUID))
      this.breach('truth', `Job ${jobUID} is recorded as Canceled, nobody canceled it`);
  }

  private failuresCounted(was: Status, is: Status): void {
    const [before = 0, now = 0] = [was.consecutiveFailures, is.consecutiveFailures];
    const ended = was.run?.outcome === undefined && is.run?.jobUID === was.run?.jobUID ? is.run?.outcome : undefined;
    const wanted = ended === 'Succeeded' ? 0 : ended === 'Failed' ? before + 1 : before;
    if (now !== wanted)
      this.breach(
        'I6',
        `consecutiveFailures goes from ${before} to ${now} as Job ${is.run?.jobUID} is ${ended ?? 'at work'}`,
      );
  }

  private gateObserved({ metadata: { uid } }: Backup, was: Status, is: Status): void {
    if (was.gate?.token === is.gate?.token && was.gate?.observedAt === is.gate?.observedAt) return;
    this.gates.set(uid, { at: this.count, own: 0 });
  }

  /** Only a run that was claimed after the change was seen is a backup before it. */
  private gateSatisfied(uid: string, was: Status, is: Status): void {
    const by = is.gate?.satisfiedBy;
    if (by === undefined || by === was.gate?.satisfiedBy || by === baselineGate) return;
    const what = `gate "${is.gate?.token}" is satisfied by Job ${by}`;
    if (!this.bucket.has(by)) this.breach('truth', `${what} without a snapshot`);
    if ((this.claimed.get(by) ?? 0) < (this.gates.get(uid)?.at ?? 0))
      this.breach('truth', `${what}, which was claimed before the change was seen`);
  }
}

function add(counts: Map<string, number>, key: string): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}
