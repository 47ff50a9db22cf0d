// What must never be found in the history of Jobs, pods and locks: two runs for one thing, two at a time under one lock, a lock that left a
// holder at work.
import { clusterLabel } from '../../../controller/labels.ts';
import { type Job, jobEnd, type Lease, type Pod, podEnded } from '../../../controller/objects.ts';
import { annotations, leaseName } from '../../../crds/rules/names.ts';
import type { Told } from './chronicle.ts';

/** What a Job is for, so that two Jobs for one thing are seen to be that. */
export function purpose({ metadata }: Job): string {
  const { [annotations.slot]: slot, [annotations.token]: token, [annotations.gate]: gate } = metadata.annotations ?? {};
  const owner = metadata.ownerReferences?.[0];
  return `${metadata.namespace}/${owner?.name} ${owner?.uid} ${slot ?? ''} ${token ?? ''} ${gate ?? ''}`;
}

/** Whether a Job has ever been let go. */
export const hasRun = (job: Job): boolean =>
  job.spec.suspend === false || job.metadata.annotations?.[annotations.started] !== undefined;

type Event = { kind: 'job'; told: Told<Job> } | { kind: 'pod'; told: Told<Pod> } | { kind: 'lease'; told: Told<Lease> };

const jobUidOf = (pod: Pod): string => pod.metadata.labels?.['batch.kubernetes.io/controller-uid'] ?? '';
const lockOf = ({ metadata }: Job): string =>
  `${metadata.namespace}/${leaseName(metadata.labels?.[clusterLabel] ?? '')}`;

/** Everything in the one order of the store that breaks a promise; empty when all is well. */
export class Judge {
  readonly breaches: string[] = [];
  /** Jobs that ever ran, by what they are for. */
  readonly ran = new Map<string, Set<string>>();
  /** How often a lock came to a new holder. */
  handovers = 0;
  /** Jobs that may work, by uid, with the lock they need. */
  private readonly working = new Map<string, string>();
  private readonly holders = new Map<string, string>();
  private readonly pods = new Map<string, Set<string>>();

  constructor(jobs: readonly Told<Job>[], pods: readonly Told<Pod>[], leases: readonly Told<Lease>[]) {
    const events: Event[] = [
      ...jobs.map((told): Event => ({ kind: 'job', told })),
      ...pods.map((told): Event => ({ kind: 'pod', told })),
      ...leases.map((told): Event => ({ kind: 'lease', told })),
    ];
    events.sort((a, b) => a.told.revision - b.told.revision);
    for (const event of events)
      if (event.kind === 'job') this.job(event.told);
      else if (event.kind === 'pod') this.pod(event.told);
      else this.lease(event.told);
    for (const [what, uids] of this.ran) if (uids.size > 1) this.breaches.push(`${uids.size} Jobs ran for ${what}`);
  }

  private job({ type, object: job, revision }: Told<Job>): void {
    const { uid, labels } = job.metadata;
    if (labels?.[clusterLabel] === undefined) return;
    if (hasRun(job)) {
      const what = purpose(job);
      this.ran.set(what, (this.ran.get(what) ?? new Set()).add(uid));
    }
    const works = type !== 'DELETED' && job.spec.suspend === false && jobEnd(job) === undefined;
    if (!works) {
      this.working.delete(uid);
      return;
    }
    if (this.working.has(uid)) return;
    const lock = lockOf(job);
    const others = [...this.working].filter(([, held]) => held === lock);
    if (others.length > 0)
      this.breaches.push(`${revision}: ${purpose(job)} was started while ${others.length} other of ${lock} went on`);
    if (this.holders.get(lock) !== uid)
      this.breaches.push(`${revision}: ${purpose(job)} was started and ${lock} is held by "${this.holders.get(lock)}"`);
    this.working.set(uid, lock);
  }

  private pod({ type, object: pod }: Told<Pod>): void {
    const uid = jobUidOf(pod);
    const open = this.pods.get(uid) ?? new Set();
    if (type === 'DELETED' || podEnded(pod)) open.delete(pod.metadata.uid);
    else open.add(pod.metadata.uid);
    this.pods.set(uid, open);
  }

  private lease({ type, object: lease, revision }: Told<Lease>): void {
    const lock = `${lease.metadata.namespace}/${lease.metadata.name}`;
    const before = this.holders.get(lock) ?? '';
    const now = type === 'DELETED' ? '' : (lease.spec?.holderIdentity ?? '');
    this.holders.set(lock, now);
    if (now === before) return;
    this.handovers += 1;
    const pods = this.pods.get(before)?.size ?? 0;
    if (this.working.has(before) || pods > 0)
      this.breaches.push(`${revision}: ${lock} went from ${before}, which worked, with ${pods} pod(s), to "${now}"`);
  }
}
