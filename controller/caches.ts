// The caches with their indexes: what belongs to a backup, a lock or a Job is found without a walk over everything.
import { effective } from '../crds/rules/effective.ts';
import { group, labels } from '../crds/rules/names.ts';
import { storageOf } from '../crds/rules/place.ts';
import { clusterLabel } from './labels.ts';
import { type Backup, isStarted, type Job, jobEnd, type Lease, type Meta, type Pod, podEnded } from './objects.ts';
import { keyOf } from './watch.ts';

/** What they show names one of the others and counts the rest. Ten thousand in one place would tell each other fifty million times. */
const mostNeighbours = 16;

type Objects<T> = ReadonlyMap<string, T>;

export interface Sources {
  backups: Objects<Backup>;
  jobs: Objects<Job>;
  pods: Objects<Pod>;
  leases: Objects<Lease>;
}

/** Keys of objects by a text that they have in common. */
class Groups {
  private readonly members = new Map<string, Set<string>>();
  private readonly memberOf = new Map<string, string>();

  /** @param group undefined takes the key out */
  put(key: string, group: string | undefined): void {
    const before = this.memberOf.get(key);
    if (before === group) return;
    if (before !== undefined) {
      const rest = this.members.get(before);
      rest?.delete(key);
      if (rest?.size === 0) this.members.delete(before);
      this.memberOf.delete(key);
    }
    if (group === undefined) return;
    this.memberOf.set(key, group);
    const members = this.members.get(group);
    if (members === undefined) this.members.set(group, new Set([key]));
    else members.add(key);
  }

  groupOf(key: string): string | undefined {
    return this.memberOf.get(key);
  }

  keys(group: string | undefined, most: number): string[] {
    const keys: string[] = [];
    for (const key of (group === undefined ? undefined : this.members.get(group)) ?? [])
      if (keys.push(key) === most) break;
    return keys;
  }

  of<T>(group: string, objects: Objects<T>): T[] {
    return [...(this.members.get(group) ?? [])].flatMap((key) => objects.get(key) ?? []);
  }

  size(group: string): number {
    return this.members.get(group)?.size ?? 0;
  }

  get total(): number {
    return this.memberOf.size;
  }
}

export const jobUidOf = (pod: Pod): string | undefined => pod.metadata.labels?.['batch.kubernetes.io/controller-uid'];
export const controllerUid = ({ metadata }: { metadata: Meta }): string | undefined =>
  metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid;

/** Labels and annotations are anybody's to write: what counts has an owner of ours besides. */
export const isOwnedByUs = ({ metadata }: Job): boolean =>
  metadata.ownerReferences?.some(
    ({ apiVersion, controller }) => controller === true && apiVersion.startsWith(`${group}/`),
  ) === true;

/** It may have pods. */
const isLetGo = (job: Job): boolean => isStarted(job) && job.spec.suspend !== true && isOwnedByUs(job);

export class Caches implements Sources {
  readonly backups: Objects<Backup>;
  readonly jobs: Objects<Job>;
  readonly pods: Objects<Pod>;
  readonly leases: Objects<Lease>;
  private readonly backupsByLock = new Groups();
  private readonly backupsByPlace = new Groups();
  private readonly jobsByBackup = new Groups();
  private readonly waitingByLock = new Groups();
  private readonly runningByNamespace = new Groups();
  private readonly runningByLock = new Groups();
  private readonly openPodsByLock = new Groups();
  private readonly podsByJob = new Groups();

  constructor(sources: Sources) {
    this.backups = sources.backups;
    this.jobs = sources.jobs;
    this.pods = sources.pods;
    this.leases = sources.leases;
  }

  /**
   * To be told of each change, once it is in the sources.
   * @returns keys of others that write to the place in storage that it has come to, or has left
   */
  backupTold(backup: Backup): string[] {
    const key = keyOf(backup);
    const now = this.backups.get(key);
    this.backupsByLock.put(key, now === undefined ? undefined : `${now.metadata.namespace}/${effective(now).cluster}`);
    const before = this.backupsByPlace.groupOf(key);
    const place = now === undefined ? undefined : storageOf(now);
    if (place === before) return [];
    this.backupsByPlace.put(key, place);
    const others = [
      ...this.backupsByPlace.keys(before, mostNeighbours),
      ...this.backupsByPlace.keys(place, mostNeighbours),
    ];
    return others.filter((other) => other !== key);
  }

  jobTold(job: Job): void {
    const key = keyOf(job);
    const now = this.jobs.get(key);
    const { namespace, labels: named } = (now ?? job).metadata;
    const backup = named?.[labels.backup];
    const cluster = named?.[clusterLabel];
    const goesOn = now !== undefined && jobEnd(now) === undefined;
    this.jobsByBackup.put(key, now === undefined || backup === undefined ? undefined : `${namespace}/${backup}`);
    const waits = goesOn && !isStarted(now) && cluster !== undefined;
    this.waitingByLock.put(key, waits ? `${namespace}/${cluster}` : undefined);
    const runs = goesOn && isLetGo(now);
    this.runningByNamespace.put(key, runs ? namespace : undefined);
    this.runningByLock.put(key, runs && cluster !== undefined ? `${namespace}/${cluster}` : undefined);
  }

  podTold(pod: Pod): void {
    const key = keyOf(pod);
    const now = this.pods.get(key);
    this.podsByJob.put(key, now === undefined ? undefined : jobUidOf(now));
    const cluster = now?.metadata.labels?.[clusterLabel];
    const works = now !== undefined && cluster !== undefined && !podEnded(now);
    this.openPodsByLock.put(key, works ? `${now.metadata.namespace}/${cluster}` : undefined);
  }

  /** Jobs that carry a backup's name; whose they are is the caller's question. */
  jobsNamed(namespace: string, backup: string): Job[] {
    return this.jobsByBackup.of(`${namespace}/${backup}`, this.jobs);
  }

  /** Jobs that have not been started and need a lock. */
  waitingFor(namespace: string, cluster: string): Job[] {
    return this.waitingByLock.of(`${namespace}/${cluster}`, this.jobs);
  }

  /** Started Jobs of a lock that have not ended, and those that a pod of it belongs to that has not, whoever holds it. */
  atWork(namespace: string, cluster: string): { name: string; uid: string }[] {
    const lock = `${namespace}/${cluster}`;
    const jobs = this.runningByLock.of(lock, this.jobs).map(({ metadata: { name, uid } }) => ({ name, uid }));
    const pods = this.openPodsByLock.of(lock, this.pods).map((pod) => ({
      name: pod.metadata.labels?.['batch.kubernetes.io/job-name'] ?? `of pod ${pod.metadata.name}`,
      uid: jobUidOf(pod) ?? '',
    }));
    return [...jobs, ...pods];
  }

  backupsOn(namespace: string, cluster: string): Backup[] {
    return this.backupsByLock.of(`${namespace}/${cluster}`, this.backups);
  }

  podsOf(jobUid: string): Pod[] {
    return this.podsByJob.of(jobUid, this.pods);
  }

  /** Started Jobs that have not ended. */
  running(namespace: string): { overall: number; namespace: number } {
    return { overall: this.runningByNamespace.total, namespace: this.runningByNamespace.size(namespace) };
  }
}
