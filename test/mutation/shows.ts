// Where each field of a spec is to be seen once a run has started: in its Job, in the executor's task, or in the backup's status.

import type { Backup } from '../../controller/objects.ts';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { decodeTask } from '../../crds/rules/contract.ts';
import { canonical } from '../../crds/rules/names.ts';
import { at } from './mutations.ts';
import { inTask, later, type Seen, type Shown, type WholeJob } from './shown.ts';
import { databaseShows } from './shows-database.ts';
import { storageShows } from './shows-storage.ts';

export type { WholeJob } from './shown.ts';

const inPod = (path: string, absent?: unknown): Shown => ({ of: ({ pod }) => at(pod, path), absent });
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
/** What the API server keeps of a list or of a structure: nothing of what is empty. A map keeps its empty texts. */
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

export const shows: Readonly<Record<string, Shown>> = {
  schedule: followed('schedule', ''),
  timeZone: followed('zone', 'Etc/UTC'),
  suspend: followed('suspended', false),
  startingDeadlineSeconds: later,
  'gate.token': { of: ({ backup }) => backup.status?.gate?.token },
  'gate.timeoutSeconds': later,
  'gate.onFailure': later,
  serviceAccountName: inPod('serviceAccountName'),
  ...databaseShows,
  'storage.pathPrefix': inTask('pathPrefix'),
  ...storageShows,
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
  'job.nodeSelector': {
    ...inPod('nodeSelector'),
    as: (map: object) => (Object.keys(map).length === 0 ? undefined : map),
  },
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
