// What the caches keep of an object: what the controller reads of it. A pod template and the list of who wrote which field are most of a Job.
import { isDeepStrictEqual } from 'node:util';
import type { Job, Meta, Pod } from './objects.ts';

/** Anything that is cached. */
export interface Cached {
  metadata: Meta;
  spec?: unknown;
}

/** The names of a type's fields. One that objects.ts gains has to be named here too, or this does not compile. */
type Names<T> = { [K in keyof Required<T>]: true };
const jobSpec: Names<Job['spec']> = { suspend: true, activeDeadlineSeconds: true, template: true };
type Container = NonNullable<NonNullable<NonNullable<Job['spec']['template']>['spec']>['containers']>[number];
const containerFields: Names<Container> = { name: true, image: true };
const podSpec: Names<NonNullable<Pod['spec']>> = { nodeName: true };

/** All but the list of who wrote which field; a write without it leaves the server's as it is. */
export function keepAll<T extends Cached>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as Meta & { managedFields?: unknown };
  return { ...object, metadata };
}

export function keepJob(job: Job): Job {
  const { template, ...spec } = only(job.spec, jobSpec);
  const containers = template?.spec?.containers?.map((container) => only(container, containerFields));
  return { ...keepAll(job), spec: { ...spec, ...(containers && { template: { spec: { containers } } }) } };
}

export function keepPod(pod: Pod): Pod {
  return { ...keepAll(pod), ...(pod.spec === undefined ? {} : { spec: only(pod.spec, podSpec) }) };
}

function only<T extends object>(from: T, names: Names<T>): T {
  return Object.fromEntries(Object.entries(from).filter(([name]) => name in names)) as T;
}

/**
 * Gives an object the spec of the one known before where they say the same, so that what is reckoned from a spec can be remembered by it.
 * The generation alone does not tell: a CRD that gains a default changes specs without it.
 */
export function adoptSpec<T extends Cached>(known: T | undefined, fresh: T): T {
  if (known?.metadata.uid !== fresh.metadata.uid || known.metadata.generation !== fresh.metadata.generation)
    return fresh;
  return isDeepStrictEqual(known.spec, fresh.spec) ? { ...fresh, spec: known.spec } : fresh;
}
