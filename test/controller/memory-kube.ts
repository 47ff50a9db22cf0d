// A Kubernetes API in memory with the little that one reconcile needs: names, uids and resourceVersions. What a cluster does is the rig's.
import { Caches } from '../../controller/caches.ts';
import type { Kube } from '../../controller/kube.ts';
import type { Backup, Job, KubeEvent, Lease, Meta, Pod } from '../../controller/objects.ts';
import { type Caps, Seats } from '../../controller/seats.ts';
import { ApiError } from '../../controller/transport.ts';
import { keyOf } from '../../controller/watch.ts';
import { Wiring } from '../../controller/wiring.ts';
import { labels } from '../../crds/rules/names.ts';
import { settings } from './builders.ts';

interface Stored {
  metadata: Meta;
}

interface Held {
  backups: Backup;
  jobs: Job;
  pods: Pod;
  leases: Lease;
}

export class MemoryKube implements Kube {
  readonly backups = new Map<string, Backup>();
  readonly jobs = new Map<string, Job>();
  readonly pods = new Map<string, Pod>();
  readonly leases = new Map<string, Lease>();
  readonly accounts = new Map<string, Stored>();
  readonly events = new Map<string, KubeEvent[]>();
  /** Every call, as `verb kind name`. */
  readonly calls: string[] = [];
  /** Throws what the server answers to a call instead. */
  refuse: (call: string) => void = () => {};
  private version = 100;

  /** Stores objects as they are. */
  put<K extends keyof Held>(kind: K, ...objects: Held[K][]): this {
    const map = this[kind] as Map<string, Held[K]>;
    for (const object of objects) map.set(keyOf(object), object);
    return this;
  }

  /** Caches that show what is stored, or what they are given. */
  caches(shown: Partial<Pick<MemoryKube, 'backups' | 'jobs' | 'pods' | 'leases'>> = {}): Caches {
    const { backups, jobs, pods, leases } = this;
    return new Caches({ backups, jobs, pods, leases, ...shown });
  }

  private call(verb: string, kind: string, name: string): void {
    this.calls.push(`${verb} ${kind} ${name}`);
    this.refuse(`${verb} ${kind} ${name}`);
  }

  private changed<T extends Stored>(object: T): T {
    this.version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.version) } };
  }

  private precondition(known: Stored | undefined, { uid, resourceVersion }: Partial<Meta>, what: string): void {
    if (known === undefined) throw new ApiError(what, 404, 'not found');
    if (uid !== undefined && uid !== known.metadata.uid) throw new ApiError(what, 409, 'another uid');
    if (resourceVersion !== undefined && resourceVersion !== known.metadata.resourceVersion)
      throw new ApiError(what, 409, 'another resourceVersion');
  }

  async kubeSystemUid(): Promise<string> {
    return settings.clusterUid;
  }

  async getBackup(namespace: string, name: string): Promise<Backup | undefined> {
    this.call('get', 'backup', name);
    return this.backups.get(`${namespace}/${name}`);
  }

  async putBackupStatus(backup: Backup, claims = false): Promise<Backup> {
    this.call(claims ? 'claim' : 'put', 'status', backup.metadata.name);
    const known = this.backups.get(keyOf(backup));
    this.precondition(known, backup.metadata, 'put status');
    const written = this.changed({ ...backup, ...(known && { spec: known.spec }) });
    this.backups.set(keyOf(written), written);
    return written;
  }

  async getJob(namespace: string, name: string): Promise<Job | undefined> {
    this.call('get', 'job', name);
    return this.jobs.get(`${namespace}/${name}`);
  }

  async createJob(namespace: string, object: object): Promise<Job> {
    const made = object as Job;
    this.call('create', 'job', made.metadata.name);
    const key = `${namespace}/${made.metadata.name}`;
    if (this.jobs.has(key)) throw new ApiError('create job', 409, 'exists');
    const uid = `job-${this.version}`;
    const written = this.changed({
      ...made,
      metadata: { ...made.metadata, uid, creationTimestamp: '2025-03-27T01:00:00Z' },
    });
    this.jobs.set(key, written);
    return written;
  }

  async patchJob(namespace: string, name: string, patch: object): Promise<Job> {
    this.call('patch', 'job', name);
    const known = this.jobs.get(`${namespace}/${name}`);
    const { metadata = {}, spec = {} } = patch as { metadata?: Partial<Meta>; spec?: Job['spec'] };
    this.precondition(known, metadata, 'patch job');
    const before = known ?? (patch as Job);
    const written = this.changed<Job>({
      ...before,
      metadata: {
        ...before.metadata,
        labels: { ...before.metadata.labels, ...metadata.labels },
        annotations: { ...before.metadata.annotations, ...metadata.annotations },
      },
      spec: { ...before.spec, ...spec },
    });
    this.jobs.set(`${namespace}/${name}`, written);
    return written;
  }

  async deleteJob(namespace: string, name: string, uid: string): Promise<boolean> {
    this.call('delete', 'job', name);
    const key = `${namespace}/${name}`;
    return this.jobs.get(key)?.metadata.uid === uid && this.jobs.delete(key);
  }

  async jobsNamed(namespace: string, backup: string): Promise<Job[]> {
    this.call('list', 'jobs', backup);
    return [...this.jobs.values()].filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[labels.backup] === backup,
    );
  }

  async podsOfJob(_namespace: string, jobUid: string): Promise<Pod[]> {
    this.call('list', 'pods', jobUid);
    const label = 'batch.kubernetes.io/controller-uid';
    return [...this.pods.values()].filter(({ metadata }) => metadata.labels?.[label] === jobUid);
  }

  async getServiceAccount(_namespace: string, name: string): Promise<Stored | undefined> {
    this.call('get', 'account', name);
    return this.accounts.get(name);
  }

  async getLease(namespace: string, name: string): Promise<Lease | undefined> {
    this.call('get', 'lease', name);
    return this.leases.get(`${namespace}/${name}`);
  }

  async createLease(namespace: string, object: object): Promise<Lease> {
    const lease = object as Lease;
    this.call('create', 'lease', lease.metadata.name);
    if (this.leases.has(`${namespace}/${lease.metadata.name}`)) throw new ApiError('create lease', 409, 'exists');
    const written = this.changed({ ...lease, metadata: { ...lease.metadata, uid: `lease-${this.version}` } });
    this.leases.set(keyOf(written), written);
    return written;
  }

  async putLease(lease: Lease): Promise<Lease> {
    this.call('put', 'lease', lease.metadata.name);
    this.precondition(this.leases.get(keyOf(lease)), lease.metadata, 'put lease');
    const written = this.changed(lease);
    this.leases.set(keyOf(written), written);
    return written;
  }

  async createEvent(): Promise<void> {}

  async patchEvent(): Promise<void> {}

  async eventsAbout(_namespace: string, uid: string): Promise<KubeEvent[]> {
    this.call('list', 'events', uid);
    return this.events.get(uid) ?? [];
  }
}

interface Means {
  caps?: Caps;
  now?: () => number;
  caches?: Caches;
}

/** Caches, seats and wiring over what is stored, told of all of it. */
export function wired(kube: MemoryKube, { caps = settings, now = () => 0, caches = kube.caches() }: Means = {}) {
  const seats = new Seats(caches, caps, now);
  const added: string[] = [];
  const wiring = new Wiring(caches, seats, (key) => added.push(key));
  for (const backup of kube.backups.values()) wiring.backupTold(backup);
  for (const job of kube.jobs.values()) wiring.jobTold(job);
  for (const pod of kube.pods.values()) wiring.podTold(pod);
  for (const lease of kube.leases.values()) wiring.leaseTold(lease);
  return { caches, seats, wiring, added };
}
