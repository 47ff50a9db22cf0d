// Nodes: pods come to run, commit snapshots, end or linger, each by its fate.
import type { ContainerStatus, Pod } from '../../controller/objects.ts';
import { podEnded } from '../../controller/objects.ts';
import type { Result } from '../../crds/rules/contract.ts';
import { labels } from '../../crds/rules/names.ts';
import type { Random } from '../crds/seeded.ts';
import type { Agenda } from './agenda.ts';
import type { Api, Change } from './api.ts';
import {
  commits,
  disrupted,
  type Fate,
  failed,
  killedForMemory,
  losesNode,
  refusedByNode,
  running,
  stopped,
  stuck,
  succeeded,
  timedOut,
} from './fates.ts';

const second = 1000;
const minute = 60 * second;

/** How long a pod may be on its node, in ms. */
const deadlineOf = ({ spec = {} }: Pod): number =>
  ((spec as { activeDeadlineSeconds?: number }).activeDeadlineSeconds ?? 600) * second;

/** Snapshots that are there, by the uid of the Job that committed them: the truth. */
export type Bucket = Map<string, { id: string; at: number }>;

export class Kubelet {
  readonly bucket: Bucket = new Map();
  /** Fates to come, by name of the backup; without one it is success. */
  readonly armed = new Map<string, Fate[]>();
  /** Once all is left alone lost nodes come back and nothing takes long. */
  calm = false;
  private readonly agenda: Agenda;
  private readonly api: Api;
  private readonly random: Random;
  private readonly fateOf = new Map<string, Fate>();

  constructor(agenda: Agenda, api: Api, random: Random) {
    this.agenda = agenda;
    this.api = api;
    this.random = random;
    api.followers.push((change) => this.follow(change));
  }

  /** The fate of a backup's next pod is used up by looking. */
  take(backup: string | undefined): Fate {
    return this.armed.get(backup ?? '')?.shift() ?? 'success';
  }

  /** Whether the next pod will not even be made. */
  refusesNext(backup: string | undefined): boolean {
    return this.armed.get(backup ?? '')?.[0] === 'no pod';
  }

  private follow({ kind, before, after }: Change): void {
    if (kind !== 'pods' || after === undefined) return;
    const pod = after as Pod;
    if (before === undefined) this.begin(pod);
    else if (before.metadata.deletionTimestamp === undefined && pod.metadata.deletionTimestamp !== undefined)
      this.stop(pod);
  }

  private begin(pod: Pod): void {
    const fate = this.take(pod.metadata.labels?.[labels.backup]);
    this.fateOf.set(pod.metadata.uid, fate);
    this.agenda.in(300 + this.random.below(3 * second), () => {
      const now = this.find(pod);
      if (now === undefined || now.metadata.deletionTimestamp !== undefined) return;
      if (fate === 'refused by node') this.set(pod, refusedByNode);
      else if (fate === 'image missing' || fate === 'unschedulable') this.stay(pod, fate);
      else this.work(pod, fate);
    });
  }

  /** A pod that has a node is stopped at its deadline though it never came to work. */
  private stay(pod: Pod, fate: Fate): void {
    this.set(pod, stuck(fate));
    if (fate === 'unschedulable') return;
    this.agenda.in(deadlineOf(pod), () => {
      const now = this.find(pod);
      if (now !== undefined && !podEnded(now))
        this.set(pod, { ...timedOut, initContainerStatuses: [], containerStatuses: [] });
    });
  }

  private work(pod: Pod, fate: Fate): void {
    this.set(pod, running);
    const again = this.bucket.has(jobUid(pod));
    const lasts = fate === 'slow success' || fate === 'evicted' || losesNode(fate);
    const longest = this.calm ? 10 * second : lasts ? 40 * minute : 90 * second;
    const takes = again ? 2 * second : 2 * second + this.random.below(longest);
    if (!losesNode(fate)) this.agenda.in(deadlineOf(pod), () => this.end(pod, timedOut));
    if (fate === 'hangs') return;
    this.agenda.in(takes - 1 * second, () => {
      if (this.runs(pod) && (commits(fate) || again)) this.commit(jobUid(pod));
    });
    this.agenda.in(takes, () => this.finish(pod, fate));
  }

  private finish(pod: Pod, fate: Fate): void {
    if (this.bucket.has(jobUid(pod)) && !losesNode(fate)) this.end(pod, succeeded(this.result(pod), fate));
    else if (losesNode(fate)) this.loseNode(pod);
    else if (fate === 'dump fails') this.end(pod, failed('DumpFailed'));
    else if (fate === 'login refused') this.end(pod, failed('DatabaseAuthFailed'));
    else if (fate === 'out of memory') this.end(pod, killedForMemory);
    else if (fate === 'evicted') this.evict(pod);
  }

  /** A drain takes the pod away with all that tells of it. */
  private evict(pod: Pod): void {
    this.end(pod, disrupted('EvictionByEvictionAPI'));
    this.agenda.in(2 * second, () => this.api.remove('pods', pod, 'kubelet'));
  }

  /** The node is silent: its pod is deleted after five minutes and stays until the node is given up. */
  private loseNode(pod: Pod): void {
    this.agenda.in(5 * minute, () => this.remove(pod));
  }

  /** Asks a pod to go; how long it stays is up to its node. */
  remove(pod: Pod): void {
    const now = this.find(pod);
    if (now === undefined || now.metadata.deletionTimestamp !== undefined) return;
    const deletionTimestamp = new Date(this.agenda.now).toISOString();
    this.api.change('pods', pod, 'kubelet', (old) => ({ ...old, metadata: { ...old.metadata, deletionTimestamp } }));
  }

  private stop(pod: Pod): void {
    const lost = losesNode(this.fateOf.get(pod.metadata.uid) ?? 'success');
    const grace = lost && !this.calm ? this.random.below(90 * minute) : this.random.below(30 * second);
    const idle = pod.status?.phase !== 'Running';
    this.agenda.in(idle ? 200 : grace, () => this.leave(pod, lost));
  }

  private leave(pod: Pod, lost: boolean): void {
    const done = this.bucket.has(jobUid(pod));
    if (this.runs(pod))
      this.end(pod, lost ? disrupted('DeletionByPodGC') : done ? succeeded(this.result(pod), 'success') : stopped);
    this.agenda.in(100 + this.random.below(5 * second), () => this.api.remove('pods', pod, 'kubelet'));
  }

  private commit(uid: string): void {
    if (!this.bucket.has(uid)) this.bucket.set(uid, { id: `snap-${uid}`, at: this.agenda.now });
  }

  private result(pod: Pod): Result {
    const { id = '', at = 0 } = this.bucket.get(jobUid(pod)) ?? {};
    const run = { outcome: 'Succeeded', id, key: `shop/${id}.snap`, size: 1000, storedSize: 500 } as const;
    const started = `${new Date(at - second).toISOString().slice(0, 19)}Z`;
    const rest = { sha256: 'aa', dumpStartedAt: started, durationSeconds: 1, engineVersion: '16', identity: '' };
    const inventory = {
      snapshots: [{ id, size: 500 }],
      count: this.bucket.size,
      deleted: 0,
      foreign: 0,
      pruneError: '',
    };
    return { run: { ...run, ...rest, encrypted: true }, inventory };
  }

  private runs(pod: Pod): boolean {
    const now = this.find(pod);
    return now !== undefined && now.status?.phase === 'Running';
  }

  private end(pod: Pod, status: NonNullable<Pod['status']>): void {
    if (this.runs(pod)) this.set(pod, endedAt(new Date(this.agenda.now).toISOString(), status));
  }

  private find(pod: Pod): Pod | undefined {
    const now = this.api.get('pods', pod.metadata.namespace, pod.metadata.name);
    return now?.metadata.uid === pod.metadata.uid && !podEnded(now) ? now : undefined;
  }

  private set(pod: Pod, status: NonNullable<Pod['status']>): void {
    this.api.change('pods', pod, 'kubelet', (old) => ({ ...old, status }));
  }
}

/** Says when its containers ended. A pod that tells of none does not say. */
function endedAt(finishedAt: string, status: NonNullable<Pod['status']>): NonNullable<Pod['status']> {
  const timed = (containers: ContainerStatus[] = []): ContainerStatus[] =>
    containers.map(({ state, ...rest }) => ({
      ...rest,
      ...(state?.terminated === undefined
        ? { ...(state && { state }) }
        : { state: { terminated: { ...state.terminated, finishedAt } } }),
    }));
  const { initContainerStatuses, containerStatuses } = status;
  return {
    ...status,
    ...(initContainerStatuses && { initContainerStatuses: timed(initContainerStatuses) }),
    ...(containerStatuses && { containerStatuses: timed(containerStatuses) }),
  };
}

export const jobUid = (pod: Pod): string => pod.metadata.labels?.['batch.kubernetes.io/controller-uid'] ?? '';
