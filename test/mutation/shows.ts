// Where each field of a spec is to be seen once a run has started: in its Job, in the executor's task, or in the backup's status.

import type { Backup } from '../../controller/objects.ts';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { decodeTask, literal, type Task } from '../../crds/rules/contract.ts';
import type { Engine } from '../../crds/rules/engines/engine.ts';
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
  configMap?: { name: string; items?: { key: string }[] };
  persistentVolumeClaim?: { claimName: string };
  projected?: { sources: { serviceAccountToken?: { audience?: string } }[] };
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
  executor: Container;
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
const variableOf = ({ env = [] }: Container, name: string): string | undefined =>
  env.find((one) => one.name === name)?.value;
const variable = (name: string, absent: Shown['absent']): Shown => ({
  of: ({ dump }) => variableOf(dump, name),
  absent,
});
const volumeOf = ({ pod }: Seen, name: string): Volume | undefined => pod.volumes.find((one) => one.name === name);
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
/** Labels and annotations of the pod that are not the product's, the Job controller's or switches of a mesh or of a cloud's webhook. */
const ours =
  /^(dbbackup\.io|batch\.kubernetes\.io|azure\.workload\.identity)\/|^(app\.kubernetes\.io\/managed-by|controller-uid|job-name|.*\/inject|eks\.amazonaws\.com\/skip-containers)$/;
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
type Kind = Task['storage']['kind'];
const inStore = (kind: Kind, path: string, absent?: Shown['absent']): Shown => ({
  of: ({ task }) => (task.storage.kind === kind ? at(task.storage, path) : undefined),
  absent,
});
const storeSecret = (kind: Kind): Shown => ({
  of: (seen) => (seen.task.storage.kind === kind ? volumeOf(seen, 'storage')?.secret?.secretName : undefined),
});
/** One of the ways into an Azure account, of which the task names one. */
const inAzure = (kind: string, path: string): Shown => ({
  of: ({ task }) => (at(task, 'storage.auth.kind') === kind ? at(task, `storage.auth.${path}`) : undefined),
});
const azureSecret = (field: string, kind: string): Record<string, Shown> => ({
  [`storage.azure.auth.${field}.name`]: {
    // The volume holds what the task speaks of.
    of: (seen) => {
      const [told, mounted] = [inAzure(kind, 'secretKey.secret').of(seen), storeSecret('azure').of(seen)];
      return told === undefined || told === mounted ? told : [told, mounted];
    },
  },
  [`storage.azure.auth.${field}.key`]: inAzure(kind, 'secretKey.key'),
});
/** Certificate authorities, of which one key is mounted. */
const authorities = (path: string, volume: string): Record<string, Shown> => ({
  [`${path}.configMapKeyRef.name`]: { of: (seen) => volumeOf(seen, volume)?.configMap?.name },
  [`${path}.configMapKeyRef.key`]: { of: (seen) => volumeOf(seen, volume)?.configMap?.items?.[0]?.key },
  [`${path}.secretKeyRef.name`]: { of: (seen) => volumeOf(seen, volume)?.secret?.secretName },
  [`${path}.secretKeyRef.key`]: { of: (seen) => volumeOf(seen, volume)?.secret?.items?.[0]?.key },
});
/** The Secret of the database's login, where it holds a token or where it does not. */
const login = (isToken: boolean): Shown => ({
  of: (seen) =>
    (variableOf(seen.dump, 'DBBACKUP_TOKEN_KEY') !== '') === isToken
      ? volumeOf(seen, 'database')?.secret?.secretName
      : undefined,
});
const loginKey = (name: 'username' | 'password'): Shown =>
  variable(`DBBACKUP_${name.toUpperCase()}_KEY`, ({ database: { engine, auth } }: DatabaseBackupSpec) =>
    auth?.secretRef === undefined ? '' : ((engines[engine] as Engine).secretKeys[name] ?? ''),
  );
/** What only a login by a token of the service account has, and is set by default. */
const ofJwt =
  (value: string, otherwise?: string) =>
  ({ database: { auth } }: DatabaseBackupSpec) =>
    auth?.jwt === undefined ? otherwise : value;
/** What the manifest hands to the dump: the command, or arguments of the engine's own tool. */
const handed = (isCommand: boolean, absent?: string[]): Shown => ({
  of: ({ dump, task }) => ((task.engine === 'command') === isCommand ? dump.command?.slice(4) : absent),
  as: (list: string[]) => list.map(literal),
  absent,
});
/** Without a key Google's libraries find what the pod or its node is given: the Job is the same. */
const keyless: Shown = {
  of: (seen) =>
    seen.task.storage.kind === 'gcs' &&
    seen.task.storage.keyFile === undefined &&
    volumeOf(seen, 'storage') === undefined
      ? {}
      : undefined,
  absent: ({ storage: { gcs } }: DatabaseBackupSpec) =>
    gcs === undefined || gcs.auth.serviceAccountKeySecretKeyRef !== undefined ? undefined : {},
};
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
  'database.port': inTask(
    'database.port',
    ({ database: { engine } }: DatabaseBackupSpec) => engines[engine].defaultPort,
  ),
  'database.name': inTask('database.name'),
  'database.allDatabases': inTask('database.allDatabases'),
  'database.extraArgs': handed(false, []),
  'database.command': handed(true),
  'database.restoreCommand': inTask('database.restoreCommand'),
  'database.tls.mode': variable('DBBACKUP_TLS_MODE', ''),
  ...authorities('database.tls.ca', 'database-ca'),
  'database.auth.secretRef.name': login(false),
  'database.auth.secretRef.keys.username': loginKey('username'),
  'database.auth.secretRef.keys.password': loginKey('password'),
  'database.auth.jwt.role': variable('DBBACKUP_JWT_ROLE', ''),
  'database.auth.jwt.mount': variable('DBBACKUP_JWT_MOUNT', ofJwt('jwt', '')),
  'database.auth.jwt.audience': {
    of: (seen) => volumeOf(seen, 'database-token')?.projected?.sources[0]?.serviceAccountToken?.audience,
    absent: ofJwt('openbao'),
  },
  'database.auth.tokenSecretKeyRef.name': login(true),
  'database.auth.tokenSecretKeyRef.key': variable('DBBACKUP_TOKEN_KEY', ''),
  'storage.pathPrefix': inTask('pathPrefix'),
  'storage.s3.bucket': inStore('s3', 'bucket'),
  'storage.s3.region': inStore('s3', 'region'),
  'storage.s3.endpoint': inStore('s3', 'endpoint'),
  'storage.s3.forcePathStyle': inStore('s3', 'forcePathStyle', false),
  // It allows an endpoint, which shows.
  'storage.s3.insecure': later,
  ...authorities('storage.s3.ca', 'storage-ca'),
  'storage.s3.checksums': inStore('s3', 'checksums', ({ storage: { s3 } }: DatabaseBackupSpec) =>
    s3?.endpoint === undefined ? 'auto' : 'required',
  ),
  'storage.s3.storageClass': inStore('s3', 'storageClass'),
  'storage.s3.serverSideEncryption.algorithm': inStore('s3', 'serverSideEncryption.algorithm'),
  'storage.s3.serverSideEncryption.kmsKeyId': inStore('s3', 'serverSideEncryption.kmsKeyId'),
  'storage.s3.objectLock.mode': inStore('s3', 'objectLock.mode'),
  'storage.s3.objectLock.days': inStore('s3', 'objectLock.days'),
  'storage.s3.auth.secretRef.name': storeSecret('s3'),
  'storage.s3.auth.secretRef.keys.accessKeyId': inStore('s3', 'secret.accessKeyId', 'AWS_ACCESS_KEY_ID'),
  'storage.s3.auth.secretRef.keys.secretAccessKey': inStore('s3', 'secret.secretAccessKey', 'AWS_SECRET_ACCESS_KEY'),
  'storage.s3.auth.secretRef.keys.sessionToken': inStore('s3', 'secret.sessionToken', 'AWS_SESSION_TOKEN'),
  'storage.s3.auth.workloadIdentity.roleArn': {
    of: ({ task, executor }) => {
      const told = at(task, 'storage.roleArn');
      return told === variableOf(executor, 'AWS_ROLE_ARN') ? told : [told, variableOf(executor, 'AWS_ROLE_ARN')];
    },
  },
  'storage.s3.auth.default': {
    of: (seen) =>
      seen.task.storage.kind === 's3' &&
      seen.task.storage.secret === undefined &&
      volumeOf(seen, 'storage') === undefined &&
      // The chain ends at the node, where an identity of the pod's would not.
      variableOf(seen.executor, 'AWS_EC2_METADATA_DISABLED') === undefined
        ? {}
        : undefined,
  },
  'storage.gcs.bucket': inStore('gcs', 'bucket'),
  'storage.gcs.project': inStore('gcs', 'project'),
  'storage.gcs.endpoint': inStore('gcs', 'endpoint'),
  'storage.gcs.insecure': later,
  'storage.gcs.auth.serviceAccountKeySecretKeyRef.name': storeSecret('gcs'),
  'storage.gcs.auth.serviceAccountKeySecretKeyRef.key': inStore('gcs', 'keyFile.key'),
  'storage.gcs.auth.workloadIdentity': keyless,
  'storage.gcs.auth.applicationDefault': keyless,
  'storage.azure.container': inStore('azure', 'container'),
  'storage.azure.account': inStore('azure', 'account'),
  'storage.azure.endpoint': inStore('azure', 'endpoint'),
  'storage.azure.insecure': later,
  ...azureSecret('accountKeySecretKeyRef', 'accountKey'),
  ...azureSecret('connectionStringSecretKeyRef', 'connectionString'),
  ...azureSecret('sasTokenSecretKeyRef', 'sasToken'),
  'storage.azure.auth.managedIdentity.clientId': inAzure('managedIdentity', 'clientId'),
  'storage.azure.auth.workloadIdentity.clientId': inAzure('workloadIdentity', 'clientId'),
  'storage.azure.auth.workloadIdentity.tenantId': inAzure('workloadIdentity', 'tenantId'),
  'storage.pvc.claimName': { of: (seen) => volumeOf(seen, 'volume')?.persistentVolumeClaim?.claimName },
  'storage.pvc.subPath': inStore('directory', 'subPath'),
  'compression.algorithm': inTask('compression.algorithm', 'zstd'),
  'compression.level': {
    of: ({ task }) => task.compression.level,
    absent: (spec: DatabaseBackupSpec) => ({ zstd: 3, gzip: 6, none: 0 })[spec.compression?.algorithm ?? 'zstd'],
  },
  'encryption.age.recipients': inTask('recipients', []),
  'encryption.none': { of: ({ task }) => (task.recipients.length === 0 ? {} : undefined) },
  'retention.keepLast': inTask('retention.keepLast'),
  'retention.keepWithin': inTask('retention.keepWithin'),
  'retention.keepHourly': inTask('retention.keepHourly'),
  'retention.keepDaily': inTask('retention.keepDaily'),
  'retention.keepWeekly': inTask('retention.keepWeekly'),
  'retention.keepMonthly': inTask('retention.keepMonthly'),
  'retention.keepYearly': inTask('retention.keepYearly'),
  'retention.pin': inTask('retention.pin'),
  'retention.adopt': inTask('retention.adopt'),
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
  const seen: Seen = { job, pod, task, dump, executor, backup };
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
