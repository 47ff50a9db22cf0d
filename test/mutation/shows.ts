// Where each field of a spec is to be seen once a run has started: in its Job, in the executor's task, or in the backup's status.

import type { Backup } from '../../controller/objects.ts';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { decodeTask, literal, type Task } from '../../crds/rules/contract.ts';
import { engines } from '../../crds/rules/engines/table.ts';
import { canonical } from '../../crds/rules/names.ts';
import { at } from './mutations.ts';

interface Container {
  name: string;
  image?: string;
  command?: string[];
  env?: { name: string; value?: string }[];
  resources?: Record<string, Record<string, string>>;
}

interface Volume {
  name: string;
  secret?: { secretName: string; items?: { key: string }[] };
  configMap?: { name: string; items: { key: string }[] };
  projected?: { sources: { serviceAccountToken: { audience: string } }[] };
  persistentVolumeClaim?: { claimName: string };
}

/** The parts of a Job that a spec shows in, as the API server has it. */
export interface WholeJob {
  metadata: { name: string; uid: string; annotations?: Record<string, string> };
  spec: {
    activeDeadlineSeconds?: number;
    backoffLimit?: number;
    template: {
      metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
      spec: Record<string, unknown> & {
        initContainers: Container[];
        containers: Container[];
        volumes: Volume[];
        securityContext: Record<string, number>;
      };
    };
  };
}

interface Seen {
  job: WholeJob;
  pod: WholeJob['spec']['template']['spec'];
  task: Task;
  dump: Container;
  backup: Backup;
}

interface Shown {
  of: (seen: Seen) => unknown;
  /** What is to be seen where the spec says nothing. */
  absent?: unknown;
  /** What is to be seen of a value that the spec says, where it is not the value itself. */
  as?: (value: never) => unknown;
}

const inTask = (path: string, absent?: unknown): Shown => ({ of: ({ task }) => at(task, path), absent });
const inPod = (path: string, absent?: unknown): Shown => ({ of: ({ pod }) => at(pod, path), absent });
type Absent = string | ((spec: DatabaseBackupSpec) => string);
const variable = (name: string, absent: Absent): Shown => ({
  of: ({ dump }) => dump.env?.find((one) => one.name === name)?.value,
  absent,
});
/** @param token whether a Secret that holds a token is meant, or none that does; absent: any */
const secretOf = (volume: string, token?: boolean): Shown => ({
  of: ({ pod, dump }) => {
    const key = dump.env?.find(({ name }) => name === 'DBBACKUP_TOKEN_KEY')?.value ?? '';
    if (token !== undefined && token !== (key !== '')) return undefined;
    return pod.volumes.find(({ name }) => name === volume)?.secret?.secretName;
  },
});
/** The key of a Secret where none is said: none without a Secret, or where its files have the keys' names. */
const keyOf =
  (what: string) =>
  ({ database: { auth, engine } }: DatabaseBackupSpec): string =>
    auth?.secretRef === undefined ? '' : (engines[engine].secretKeys[what as never] ?? '');
const authorities = ({ volumes }: Seen['pod']): Volume | undefined =>
  volumes.find(({ name }) => name === 'database-ca');
/** The API server may write a quantity another way. */
const amount = (text: unknown): number | undefined => {
  if (text === undefined) return undefined;
  const [, number = '', unit = ''] = /^([\d.]+)(\w*)$/.exec(String(text)) ?? [];
  const units: Record<string, number> = {
    '': 1,
    m: 1e-3,
    k: 1e3,
    M: 1e6,
    G: 1e9,
    Ki: 2 ** 10,
    Mi: 2 ** 20,
    Gi: 2 ** 30,
  };
  return Number(number) * (units[unit] ?? Number.NaN);
};
const resource = (kind: 'requests' | 'limits', of: 'cpu' | 'memory', absent?: string): Shown => ({
  of: ({ dump }) => amount(dump.resources?.[kind]?.[of]),
  as: amount,
  absent: amount(absent),
});
/** Labels and annotations of the pod that are not the product's, the Job controller's or switches of a mesh. */
const ours =
  /^(dbbackup\.io|batch\.kubernetes\.io)\/|^(app\.kubernetes\.io\/managed-by|controller-uid|job-name|.*\/inject)$/;
const theirs = (texts: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).filter(([key]) => !ours.test(key)));
/** What the API server keeps of a value: nothing of what is empty. */
function kept(value: object): object | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value;
  const full = Object.entries(value).filter(([, text]) => text !== '');
  return full.length === 0 ? undefined : Object.fromEntries(full);
}
/** Of the schedule, its zone and its suspension, as status says what it follows. */
const followed = (part: 'suspended' | 'zone' | 'schedule', absent: unknown): Shown => ({
  of: ({ backup }) => {
    const { groups } =
      /^(?<suspended>suspended )?(?<zone>\S+) (?<schedule>.*)$/s.exec(backup.status?.observedSchedule ?? '') ?? {};
    return part === 'suspended' ? groups?.['suspended'] !== undefined : groups?.[part];
  },
  absent,
});
/** Acts at another time than a run's start: it is in the digest of the spec, and tests of decisions hold what it does. */
const later: Shown = { of: () => undefined, as: () => undefined };

export const shows: Readonly<Record<string, Shown>> = {
  schedule: followed('schedule', ''),
  timeZone: followed('zone', 'Etc/UTC'),
  suspend: followed('suspended', false),
  startingDeadlineSeconds: later,
  'gate.token': { of: ({ backup }) => backup.status?.gate?.token },
  'gate.timeoutSeconds': later,
  'gate.onFailure': later,
  serviceAccountName: inPod('serviceAccountName'),
  'database.engine': inTask('engine'),
  'database.image': { of: ({ dump, task }) => (dump.image === task.image ? dump.image : [dump.image, task.image]) },
  'database.cluster': inTask('cluster', 'stock-db'),
  'database.host': inTask('database.host'),
  'database.port': inTask('database.port', (spec: DatabaseBackupSpec) => engines[spec.database.engine].defaultPort),
  'database.name': inTask('database.name'),
  'database.allDatabases': inTask('database.allDatabases'),
  'database.extraArgs': {
    of: ({ dump, task }) => (task.engine === 'command' ? [] : dump.command?.slice(4)),
    as: (list: string[]) => list.map(literal),
    absent: [],
  },
  'database.command': {
    of: ({ dump, task }) => (task.engine === 'command' ? dump.command?.slice(4) : undefined),
    as: (list: string[]) => list.map(literal),
  },
  'database.restoreCommand': inTask('database.restoreCommand'),
  'database.tls.mode': variable('DBBACKUP_TLS_MODE', ''),
  'database.tls.ca.configMapKeyRef.name': { of: ({ pod }) => authorities(pod)?.configMap?.name },
  'database.tls.ca.configMapKeyRef.key': { of: ({ pod }) => authorities(pod)?.configMap?.items[0]?.key },
  'database.tls.ca.secretKeyRef.name': { of: ({ pod }) => authorities(pod)?.secret?.secretName },
  'database.tls.ca.secretKeyRef.key': { of: ({ pod }) => authorities(pod)?.secret?.items?.[0]?.key },
  'database.auth.secretRef.name': secretOf('database', false),
  'database.auth.secretRef.keys.username': variable('DBBACKUP_USERNAME_KEY', keyOf('username')),
  'database.auth.secretRef.keys.password': variable('DBBACKUP_PASSWORD_KEY', keyOf('password')),
  'database.auth.jwt.role': variable('DBBACKUP_JWT_ROLE', ''),
  'database.auth.jwt.mount': variable('DBBACKUP_JWT_MOUNT', ({ database }) => (database.auth?.jwt ? 'jwt' : '')),
  'database.auth.jwt.audience': {
    of: ({ pod }) =>
      pod.volumes.find(({ name }) => name === 'database-token')?.projected?.sources[0]?.serviceAccountToken.audience,
    absent: ({ database }: DatabaseBackupSpec) => (database.auth?.jwt ? 'openbao' : undefined),
  },
  'database.auth.tokenSecretKeyRef.name': secretOf('database', true),
  'database.auth.tokenSecretKeyRef.key': variable('DBBACKUP_TOKEN_KEY', ''),
  'storage.pathPrefix': inTask('pathPrefix'),
  'storage.s3.bucket': inTask('storage.bucket'),
  'storage.s3.region': inTask('storage.region'),
  'storage.s3.endpoint': inTask('storage.endpoint'),
  'storage.s3.forcePathStyle': inTask('storage.forcePathStyle', false),
  // It allows an endpoint, which shows.
  'storage.s3.insecure': later,
  'storage.s3.auth.secretRef.name': secretOf('storage'),
  'storage.s3.auth.secretRef.keys.accessKeyId': inTask('storage.secret.accessKeyId', 'AWS_ACCESS_KEY_ID'),
  'storage.s3.auth.secretRef.keys.secretAccessKey': inTask('storage.secret.secretAccessKey', 'AWS_SECRET_ACCESS_KEY'),
  'storage.s3.auth.secretRef.keys.sessionToken': inTask('storage.secret.sessionToken', 'AWS_SESSION_TOKEN'),
  'storage.s3.auth.default': {
    of: ({ task, pod }) =>
      at(task, 'storage.kind') === 's3' &&
      at(task, 'storage.secret') === undefined &&
      !pod.volumes.some(({ name }) => name === 'storage')
        ? {}
        : undefined,
  },
  'storage.pvc.claimName': {
    of: ({ pod }) => pod.volumes.find(({ name }) => name === 'volume')?.persistentVolumeClaim?.claimName,
  },
  'storage.pvc.subPath': inTask('storage.subPath'),
  'compression.algorithm': inTask('compression.algorithm', 'zstd'),
  'compression.level': {
    of: ({ task }) => task.compression.level,
    absent: (spec: DatabaseBackupSpec) => ({ zstd: 3, gzip: 6, none: 0 })[spec.compression?.algorithm ?? 'zstd'],
  },
  'encryption.age.recipients': inTask('recipients', []),
  'encryption.none': { of: ({ task }) => (task.recipients.length === 0 ? {} : undefined) },
  'retention.keepLast': inTask('retention.keepLast'),
  'retention.keepWithin': inTask('retention.keepWithin'),
  'retention.maxDeletesPerRun': inTask('retention.maxDeletesPerRun', 10),
  'job.activeDeadlineSeconds': inPod('activeDeadlineSeconds', 21600),
  'job.backoffLimit': { of: ({ job }) => job.spec.backoffLimit, absent: 1 },
  'job.runAsUser': inPod('securityContext.runAsUser', 65532),
  'job.fsGroup': inPod('securityContext.fsGroup', 65532),
  'job.resources.requests.cpu': resource('requests', 'cpu', '100m'),
  'job.resources.requests.memory': resource('requests', 'memory', '128Mi'),
  'job.resources.limits.cpu': resource('limits', 'cpu'),
  'job.resources.limits.memory': resource('limits', 'memory', '2Gi'),
  'job.nodeSelector': { ...inPod('nodeSelector'), as: kept },
  'job.tolerations': { ...inPod('tolerations'), as: (list: object[]) => kept(list.map(kept)) },
  'job.podLabels': { of: ({ job }) => theirs(job.spec.template.metadata.labels), absent: {} },
  'job.podAnnotations': { of: ({ job }) => theirs(job.spec.template.metadata.annotations), absent: {} },
  'job.imagePullSecrets': { ...inPod('imagePullSecrets'), as: kept },
  successfulJobsHistoryLimit: later,
  failedJobsHistoryLimit: later,
};

/** What a field's absence means is said only where what holds it is there. */
const holders = ['storage.s3', 'storage.s3.auth.secretRef', 'storage.pvc'];

/** What is to be seen otherwise than the spec means it. */
export function differences(spec: DatabaseBackupSpec, backup: Backup, job: WholeJob): string[] {
  const pod = job.spec.template.spec;
  const [dump, executor] = ['dump', 'executor'].map((name) => pod.containers.find((one) => one.name === name));
  if (dump === undefined || executor === undefined) throw new Error(`Job ${job.metadata.name} lacks a container`);
  const env = Object.fromEntries((executor.env ?? []).map(({ name, value }) => [name, value ?? 'x']));
  const { task } = decodeTask({ ...env, DBBACKUP_TASK: unescaped(env['DBBACKUP_TASK'] ?? '') });
  const seen: Seen = { job, pod, task, dump, backup };
  return Object.entries(shows).flatMap(([path, { of, as, absent }]) => {
    const value = at(spec, path);
    const gone = holders.some((holder) => path.startsWith(`${holder}.`) && at(spec, holder) === undefined);
    const unsaid = gone ? undefined : typeof absent === 'function' ? absent(spec) : absent;
    const meant = value === undefined ? unsaid : as === undefined ? value : as(value as never);
    const [wanted, shown] = [meant, of(seen)].map((one) => canonical(one));
    return wanted === shown ? [] : [`spec.${path} means ${wanted} and shows as ${shown}`];
  });
}

/** As the kubelet gives a variable to a container. */
const unescaped = (text: string): string => text.replaceAll('$$', '$');
