// The calls to Kubernetes that the controller needs, as an interface that tests can stand in for, and the adapter that makes them.
import { group, labels, plural, version } from '../crds/rules/names.ts';
import type { Backup, Job, KubeEvent, Lease, Meta, Pod } from './objects.ts';
import { ApiError, type ApiRequest, type Transport } from './transport.ts';

/** Kinds that are watched, with the path of their lists in all namespaces. */
export interface WatchedKind {
  name: 'backups' | 'jobs' | 'pods' | 'leases';
  path: string;
  labelSelector?: string;
}

/** Of one Job or pod: they are few, and the newest of any page says what is wrong. */
const mostEvents = 100;

/** Errors come as they are. */
const metadataOnly = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';

export const managedBy = 'dbbackup';
const ours = `${labels.managedBy}=${managedBy}`;

export const watched: Record<WatchedKind['name'], WatchedKind> = {
  backups: { name: 'backups', path: `/apis/${group}/${version}/${plural}` },
  jobs: { name: 'jobs', path: '/apis/batch/v1/jobs', labelSelector: ours },
  pods: { name: 'pods', path: '/api/v1/pods', labelSelector: ours },
  leases: { name: 'leases', path: '/apis/coordination.k8s.io/v1/leases', labelSelector: ours },
};

/** Undefined answers mean "not found"; every other failure throws ApiError, 409 included. What a write answers is nobody's business: watches tell. */
export interface Kube {
  kubeSystemUid(): Promise<string>;
  getBackup(namespace: string, name: string): Promise<Backup | undefined>;
  /**
   * Writes status under the object's resourceVersion.
   * @param claims it is part of a launch, and goes before other status writes
   */
  putBackupStatus(backup: Backup, claims?: boolean): Promise<unknown>;
  getJob(namespace: string, name: string): Promise<Job | undefined>;
  createJob(namespace: string, job: object): Promise<unknown>;
  patchJob(namespace: string, name: string, patch: object): Promise<unknown>;
  /** Deletes that very Job, its pods after it. A Job that is gone already is success: resolves to whether it was there. */
  deleteJob(namespace: string, name: string, uid: string): Promise<boolean>;
  /** Jobs that carry a backup's name; whose they are is the caller's question. */
  jobsNamed(namespace: string, backup: string): Promise<Job[]>;
  podsOfJob(namespace: string, jobUid: string): Promise<Pod[]>;
  getServiceAccount(namespace: string, name: string): Promise<{ metadata: Meta } | undefined>;
  getLease(namespace: string, name: string): Promise<Lease | undefined>;
  createLease(namespace: string, lease: object): Promise<unknown>;
  putLease(lease: Lease): Promise<unknown>;
  createEvent(namespace: string, event: object): Promise<unknown>;
  patchEvent(namespace: string, name: string, patch: object): Promise<unknown>;
  /** Events about one object, of the core API. */
  eventsAbout(namespace: string, uid: string): Promise<KubeEvent[]>;
}

export function kubeOf(transport: Transport): Kube {
  const backups = (namespace: string): string => `/apis/${group}/${version}/namespaces/${namespace}/${plural}`;
  const jobs = (namespace: string): string => `/apis/batch/v1/namespaces/${namespace}/jobs`;
  const events = (namespace: string): string => `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
  const leases = (namespace: string): string => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const find = async <T>(path: string): Promise<T | undefined> => {
    try {
      return await transport.call<T>({ method: 'GET', path });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  };
  // The server reads what we write once, not a second time for fields that it does not know, and answers with metadata alone.
  const write = (request: ApiRequest): Promise<unknown> =>
    transport.call({ ...request, query: { fieldValidation: 'Ignore' }, accept: metadataOnly });
  return {
    kubeSystemUid: async () =>
      (await transport.call<{ metadata: { uid: string } }>({ method: 'GET', path: '/api/v1/namespaces/kube-system' }))
        .metadata.uid,
    getBackup: (namespace, name) => find(`${backups(namespace)}/${name}`),
    putBackupStatus: (body, claims) =>
      write({
        method: 'PUT',
        path: `${backups(body.metadata.namespace)}/${body.metadata.name}/status`,
        body,
        lane: claims === true ? 'claim' : 'status',
      }),
    getJob: (namespace, name) => find(`${jobs(namespace)}/${name}`),
    createJob: (namespace, body) => write({ method: 'POST', path: jobs(namespace), body, lane: 'create' }),
    patchJob: (namespace, name, body) =>
      write({ method: 'PATCH', path: `${jobs(namespace)}/${name}`, body, lane: 'start' }),
    deleteJob: async (namespace, name, uid) => {
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background', preconditions: { uid } };
      try {
        await transport.call({ method: 'DELETE', path: `${jobs(namespace)}/${name}`, body });
        return true;
      } catch (error) {
        if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) throw error;
        // 409: another Job has the name by now, and this one is gone; or this one is there, and the store was busy with it.
        if (error.status === 409 && (await find<Job>(`${jobs(namespace)}/${name}`))?.metadata.uid === uid) throw error;
        return false;
      }
    },
    jobsNamed: async (namespace, backup) => {
      const query = { labelSelector: `${ours},${labels.backup}=${backup}` };
      return (await transport.call<{ items: Job[] }>({ method: 'GET', path: jobs(namespace), query })).items;
    },
    podsOfJob: async (namespace, jobUid) => {
      const query = { labelSelector: `batch.kubernetes.io/controller-uid=${jobUid}` };
      const path = `/api/v1/namespaces/${namespace}/pods`;
      return (await transport.call<{ items: Pod[] }>({ method: 'GET', path, query })).items;
    },
    getServiceAccount: (namespace, name) => find(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}`),
    getLease: (namespace, name) => find(`${leases(namespace)}/${name}`),
    createLease: (namespace, body) => write({ method: 'POST', path: leases(namespace), body, lane: 'lock' }),
    putLease: (body) =>
      write({
        method: 'PUT',
        path: `${leases(body.metadata.namespace)}/${body.metadata.name}`,
        body,
        lane: 'lock',
      }),
    createEvent: (namespace, body) => write({ method: 'POST', path: events(namespace), body }),
    patchEvent: (namespace, name, body) => write({ method: 'PATCH', path: `${events(namespace)}/${name}`, body }),
    eventsAbout: async (namespace, uid) => {
      const query = { fieldSelector: `involvedObject.uid=${uid}`, limit: String(mostEvents) };
      const path = `/api/v1/namespaces/${namespace}/events`;
      return (await transport.call<{ items: KubeEvent[] }>({ method: 'GET', path, query })).items;
    },
  };
}
