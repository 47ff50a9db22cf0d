// The few calls to Kubernetes that the plugin makes, as an interface that tests can stand in for, and the adapter that makes them.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { annotations, group, labels, plural, version } from '../crds/rules/names.ts';
import { ApiError } from './errors.ts';
import type { Job, Lease, Pod } from './objects.ts';
import type { Transport } from './transport.ts';

export interface Selection {
  /** Absent: all namespaces. */
  namespace?: string;
  selector?: string | undefined;
}

/** All throw ApiError when the server refuses. */
export interface Kube {
  getBackup(namespace: string, name: string): Promise<DatabaseBackup>;
  listBackups(selection: Selection): Promise<DatabaseBackup[]>;
  /** Sets the trigger annotation on that very state of the object: 409 when it has changed since it was read. */
  setTrigger(backup: DatabaseBackup, token: string): Promise<void>;
  jobsOf(namespace: string, backup: string): Promise<Job[]>;
  podsOf(namespace: string, jobUid: string): Promise<Pod[]>;
  logTail(namespace: string, pod: string, container: string, lines: number): Promise<string>;
  /** Undefined when there is none. */
  getLease(namespace: string, name: string): Promise<Lease | undefined>;
}

/** Objects a page; with several pages no single answer grows without bound. */
const pageSize = 500;
/** Bytes of a log tail: a few lines may still be long ones. */
const logBytes = 65_536;

const api = `/apis/${group}/${version}`;
const at = (namespace: string): string => `namespaces/${encodeURIComponent(namespace)}`;
const named = (namespace: string, name: string): string =>
  `${api}/${at(namespace)}/${plural}/${encodeURIComponent(name)}`;

interface List<T> {
  items: T[];
  metadata?: { continue?: string };
}

/** The server answers an unknown kind with a bare 404, which would leave a user without a clue. */
function explainAbsence(error: unknown): never {
  if (error instanceof ApiError && error.status === 404 && error.reason !== 'NotFound')
    throw new ApiError(404, 'NotFound', `the server has no ${plural}.${group}: is dbbackup installed in this cluster?`);
  throw error;
}

export function kubeOf(transport: Transport): Kube {
  const get = async <T>(path: string, query: Record<string, string> = {}): Promise<T> =>
    JSON.parse(await transport.call({ method: 'GET', path, query })) as T;
  const list = async <T>(path: string, selector: string | undefined): Promise<T[]> => {
    const items: T[] = [];
    let next = '';
    do {
      const query = { limit: String(pageSize), ...(selector ? { labelSelector: selector } : {}) };
      const page: List<T> = await get(path, next === '' ? query : { ...query, continue: next });
      items.push(...page.items);
      next = page.metadata?.continue ?? '';
    } while (next !== '');
    return items;
  };
  return {
    getBackup: (namespace, name) => get<DatabaseBackup>(named(namespace, name)).catch(explainAbsence),
    listBackups: ({ namespace, selector }) =>
      list<DatabaseBackup>(
        namespace === undefined ? `${api}/${plural}` : `${api}/${at(namespace)}/${plural}`,
        selector,
      ).catch(explainAbsence),
    setTrigger: async ({ metadata: { namespace = '', name, uid, resourceVersion } }, token) => {
      const metadata = { uid, resourceVersion, annotations: { [annotations.trigger]: token } };
      await transport.call({ method: 'PATCH', path: named(namespace, name), body: { metadata } });
    },
    jobsOf: (namespace, backup) => list<Job>(`/apis/batch/v1/${at(namespace)}/jobs`, `${labels.backup}=${backup}`),
    podsOf: (namespace, jobUid) =>
      list<Pod>(`/api/v1/${at(namespace)}/pods`, `batch.kubernetes.io/controller-uid=${jobUid}`),
    logTail: (namespace, pod, container, lines) =>
      transport.call({
        method: 'GET',
        path: `/api/v1/${at(namespace)}/pods/${encodeURIComponent(pod)}/log`,
        query: { container, tailLines: String(lines), limitBytes: String(logBytes) },
      }),
    getLease: async (namespace, name) => {
      try {
        return await get<Lease>(`/apis/coordination.k8s.io/v1/${at(namespace)}/leases/${encodeURIComponent(name)}`);
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return undefined;
        throw error;
      }
    },
  };
}
