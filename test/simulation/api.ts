// The API server in memory: objects with their versions, refusals as the real one gives them, and a word of each change to who follows.
import { isDeepStrictEqual } from 'node:util';
import type { Backup, Job, Lease, Meta, Pod } from '../../controller/objects.ts';
import { ApiError } from '../../controller/transport.ts';
import { keyOf } from '../../controller/watch.ts';
import { labels } from '../../crds/rules/names.ts';

export interface Stored {
  backups: Backup;
  jobs: Job;
  pods: Pod;
  leases: Lease;
}
export type Kind = keyof Stored;
export const kinds: readonly Kind[] = ['backups', 'jobs', 'pods', 'leases'];

export interface Change<K extends Kind = Kind> {
  kind: K;
  before: Stored[K] | undefined;
  after: Stored[K] | undefined;
  /** Who did it: c0, c1 and so on are the controllers. */
  by: string;
}

/** What a caller may give: the server adds the rest. */
export interface Given {
  metadata: Pick<Meta, 'name'> & Partial<Meta>;
}

const refuse = (action: string, code: number, why: string): never => {
  throw new ApiError(action, code, why);
};

export class Api {
  private readonly objects: { [K in Kind]: Map<string, Stored[K]> } = {
    backups: new Map(),
    jobs: new Map(),
    pods: new Map(),
    leases: new Map(),
  };
  /** Told of each change, in this order. */
  readonly followers: ((change: Change) => void)[] = [];
  /** Namespaces that are going take nothing new. */
  readonly going = new Set<string>();
  private readonly now: () => number;
  private version = 100;
  private uids = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  all<K extends Kind>(kind: K): ReadonlyMap<string, Stored[K]> {
    return this.objects[kind];
  }

  get<K extends Kind>(kind: K, namespace: string, name: string): Stored[K] | undefined {
    return this.objects[kind].get(`${namespace}/${name}`);
  }

  jobsNamed(namespace: string, backup: string): Job[] {
    return [...this.objects.jobs.values()].filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[labels.backup] === backup,
    );
  }

  podsOfJob(uid: string): Pod[] {
    const label = 'batch.kubernetes.io/controller-uid';
    return [...this.objects.pods.values()].filter(({ metadata }) => metadata.labels?.[label] === uid);
  }

  create<K extends Kind>(kind: K, namespace: string, given: object, by: string): Stored[K] {
    const { metadata, ...rest } = given as Given;
    const action = `POST ${kind} ${metadata.name}`;
    if (this.objects[kind].has(`${namespace}/${metadata.name}`)) refuse(action, 409, 'already exists');
    if (this.going.has(namespace)) refuse(action, 403, 'the namespace is being terminated');
    const made = {
      ...rest,
      metadata: {
        ...metadata,
        namespace,
        uid: `${kind.slice(0, 1)}${++this.uids}`,
        resourceVersion: String(++this.version),
        generation: 1,
        creationTimestamp: new Date(Math.floor(this.now() / 1000) * 1000).toISOString().replace('.000Z', 'Z'),
      },
    };
    return this.store(kind, undefined, made as unknown as Stored[K], by);
  }

  /** A PUT: of the status alone for a backup, of the whole for a Lease. */
  put<K extends Kind>(kind: K, given: Stored[K], by: string): Stored[K] {
    const { namespace, name } = given.metadata;
    const old = this.checked(kind, namespace, name, given.metadata, 'PUT');
    const next = kind === 'backups' ? { ...old, status: (given as Backup).status } : given;
    return this.replace(kind, old, next as Stored[K], by);
  }

  /** A merge patch, with metadata.uid and metadata.resourceVersion as preconditions. */
  patch<K extends Kind>(kind: K, namespace: string, name: string, patch: object, by: string): Stored[K] {
    const { metadata = {} } = patch as { metadata?: Partial<Meta> };
    const old = this.checked(kind, namespace, name, metadata, 'PATCH');
    return this.replace(kind, old, merged(old, patch) as Stored[K], by);
  }

  /** What other parts of the cluster write; it has no precondition. Nothing happens to an object that is gone. */
  change<K extends Kind>(kind: K, object: Stored[K], by: string, next: (now: Stored[K]) => Stored[K]): void {
    const old = this.objects[kind].get(keyOf(object));
    if (old?.metadata.uid === object.metadata.uid) this.replace(kind, old, next(old), by);
  }

  remove(kind: Kind, object: { metadata: Meta }, by: string): void {
    const key = keyOf(object);
    const old = this.objects[kind].get(key);
    if (old?.metadata.uid !== object.metadata.uid) return;
    this.objects[kind].delete(key);
    this.tell({ kind, before: old, after: undefined, by });
  }

  private checked<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    { uid, resourceVersion }: Partial<Meta>,
    verb: string,
  ): Stored[K] {
    const action = `${verb} ${kind} ${name}`;
    const old = this.objects[kind].get(`${namespace}/${name}`);
    if (old === undefined) return refuse(action, 404, 'not found');
    if (uid !== undefined && uid !== old.metadata.uid) refuse(action, 409, 'another uid');
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
      refuse(action, 409, 'the object has been modified');
    return old;
  }

  /** Stores a next version; one that says the same is not a new version. A new spec is a new generation. */
  private replace<K extends Kind>(kind: K, old: Stored[K], next: Stored[K], by: string): Stored[K] {
    const { uid, creationTimestamp, resourceVersion, generation = 1 } = old.metadata;
    const fixed = { ...next, metadata: { ...next.metadata, uid, creationTimestamp, resourceVersion, generation } };
    if (isDeepStrictEqual(fixed, old)) return old;
    const sameSpec = fixed.spec === old.spec || isDeepStrictEqual(fixed.spec, old.spec);
    fixed.metadata.resourceVersion = String(++this.version);
    fixed.metadata.generation = generation + (sameSpec ? 0 : 1);
    // One spec for one spec, as the caches keep it.
    if (sameSpec && old.spec !== undefined) fixed.spec = old.spec;
    return this.store(kind, old, fixed, by);
  }

  private store<K extends Kind>(kind: K, before: Stored[K] | undefined, after: Stored[K], by: string): Stored[K] {
    freeze(after);
    this.objects[kind].set(keyOf(after), after);
    this.tell({ kind, before, after, by });
    return after;
  }

  private tell(change: Change): void {
    for (const follower of this.followers) follower(change);
  }
}

/** RFC 7396. */
function merged(old: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const base = old !== null && typeof old === 'object' && !Array.isArray(old) ? (old as Record<string, unknown>) : {};
  const next: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete next[key];
    else next[key] = merged(base[key], value);
  }
  return next;
}

/** Whoever changes what a cache holds would change it for everyone: here it throws. */
function freeze(value: unknown): void {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}
