// A backup's spec as the Job that runs it. Pure: equal input gives an equal Job, so that making it twice is making it once.
import { defaultResources } from '../crds/rules/admission/job-rules.ts';
import { containers, encodeTask, literal, paths, type Task } from '../crds/rules/contract.ts';
import { databaseTask, effective } from '../crds/rules/effective.ts';
import { accessOf, dumpEnvironment } from '../crds/rules/engines/environment.ts';
import { dumpScript } from '../crds/rules/engines/script.ts';
import { engines } from '../crds/rules/engines/table.ts';
import { annotations, group, labels, version } from '../crds/rules/names.ts';
import { permanentExitCodes } from '../crds/rules/reasons.ts';
import { databaseVolumes } from './job-database.ts';
import { executorMemory } from './job-memory.ts';
import {
  identityAnnotations,
  identityLabels,
  storageMounts,
  storageTask,
  storageVariables,
  storageVolumesOf,
} from './job-storage.ts';
import { clusterLabel, managedByLabels } from './labels.ts';
import type { Backup } from './objects.ts';
import type { Settings } from './observed.ts';
import { specDigest } from './spec.ts';

export interface JobRequest {
  backup: Backup;
  settings: Settings;
  name: string;
  /** What the dump runs in: the spec's, or while a gate is pending that of the last good run. */
  image: string;
  /** Either the window, or the token and when it was seen. */
  trigger: { kind: 'Schedule'; slot: string } | { kind: 'Manual' | 'Gate'; token: string; time: string };
}

/** The Job's own deadline is a backstop behind the pod's: it deletes pods and their messages with them. */
const jobSlackSeconds = 300;
/** Kubernetes waits before it makes another pod: 10 s, twice as long after each, and never more than this. */
export const longestBackoffSeconds = 600;
/** A pod that does not come to work is given up so long before the kubelet would stop it, which then would be the reason that is told. */
const startSlackSeconds = 30;
/** Without a byte for this long a dump that has begun counts as stalled. */
const stallSeconds = 1800;
const terminationGraceSeconds = 60;

/** Seconds that a Job may take over all its pods, with the time that each may take to come to work; the lock is taken for longer than this. */
export function jobDeadlineSeconds(
  backup: Backup,
  { startTimeoutSeconds }: Pick<Settings, 'startTimeoutSeconds'>,
): number {
  const { activeDeadlineSeconds, backoffLimit } = effective(backup);
  let seconds = (activeDeadlineSeconds + startTimeoutSeconds) * (backoffLimit + 1) + jobSlackSeconds;
  for (let retry = 0; retry < backoffLimit; retry++) seconds += Math.min(10 * 2 ** retry, longestBackoffSeconds);
  return seconds;
}

/** Seconds that a pod may take to come to work. */
export function startLimitSeconds(
  backup: Backup,
  { startTimeoutSeconds }: Pick<Settings, 'startTimeoutSeconds'>,
): number {
  return Math.min(startTimeoutSeconds, effective(backup).activeDeadlineSeconds - startSlackSeconds);
}

export function taskOf({ backup, settings, trigger, image }: JobRequest): Task {
  const { spec, metadata } = backup;
  const { cluster, compression, maxDeletesPerRun, activeDeadlineSeconds, timeZone } = effective(backup);
  return {
    version: 1,
    owner: { clusterUid: settings.clusterUid, namespace: metadata.namespace, name: metadata.name },
    cluster,
    ...(spec.storage.pathPrefix === undefined ? {} : { pathPrefix: spec.storage.pathPrefix }),
    trigger: trigger.kind,
    time: trigger.kind === 'Schedule' ? trigger.slot : trigger.time,
    engine: spec.database.engine,
    image,
    database: databaseTask(backup),
    storage: storageTask(backup),
    compression,
    recipients: spec.encryption.age?.recipients ?? [],
    retention: { ...spec.retention, maxDeletesPerRun, ...(timeZone === 'Etc/UTC' ? {} : { timeZone }) },
    limits: { firstByteSeconds: settings.startTimeoutSeconds, stallSeconds, deadlineSeconds: activeDeadlineSeconds },
  };
}

const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

function dumpContainer(backup: Backup, image: string): object {
  const { database } = backup.spec;
  const given = database.command ?? database.extraArgs ?? [];
  const resources = backup.spec.job?.resources;
  const engine = engines[database.engine];
  const values = dumpEnvironment(engine, databaseTask(backup), accessOf(database));
  return {
    name: containers.dump,
    image,
    // What the manifest gives are the script's own arguments, so that no shell reads them.
    command: ['/bin/sh', '-c', literal(dumpScript(engine)), 'dump', ...given.map(literal)],
    env: values.map((variable) => ({ name: variable.name, value: literal(variable.value) })),
    securityContext: containerSecurity,
    resources: {
      requests: { ...defaultResources.requests, ...resources?.requests },
      limits: { ...defaultResources.limits, ...resources?.limits },
    },
    volumeMounts: [
      { name: 'run', mountPath: paths.run },
      { name: 'dump-temporary', mountPath: paths.dumpTemporary },
      ...databaseVolumes(backup).map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
    ],
  };
}

function executorContainer(request: JobRequest, command: 'prepare' | 'backup', name: string): object {
  return {
    name,
    image: request.settings.executorImage,
    args: [command],
    env: [...encodeTask(taskOf(request), annotations), ...storageVariables(request.backup)],
    securityContext: containerSecurity,
    resources: { requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: executorMemory(request.backup) } },
    terminationMessagePolicy: 'File',
    volumeMounts: [
      { name: 'run', mountPath: paths.run },
      { name: 'executor-temporary', mountPath: '/tmp' },
      ...storageMounts(request.backup),
    ],
  };
}

function volumes(backup: Backup): object[] {
  return [
    { name: 'run', emptyDir: { sizeLimit: '16Mi' } },
    { name: 'dump-temporary', emptyDir: { sizeLimit: '64Mi' } },
    { name: 'executor-temporary', emptyDir: { sizeLimit: '64Mi' } },
    ...databaseVolumes(backup).map(({ name, source }) => ({ name, ...source })),
    ...storageVolumesOf(backup),
  ];
}

function podTemplate(request: JobRequest, podLabels: Record<string, string>): object {
  const { backup } = request;
  const { job, serviceAccountName } = backup.spec;
  const { runAsUser, fsGroup, activeDeadlineSeconds } = effective(backup);
  return {
    metadata: {
      labels: { ...job?.podLabels, ...podLabels, ...identityLabels(backup), 'sidecar.istio.io/inject': 'false' },
      annotations: {
        ...job?.podAnnotations,
        ...identityAnnotations,
        'linkerd.io/inject': 'disabled',
        'sidecar.istio.io/inject': 'false',
      },
    },
    spec: {
      restartPolicy: 'Never',
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
      ...(job?.nodeSelector === undefined ? {} : { nodeSelector: job.nodeSelector }),
      ...(job?.tolerations === undefined ? {} : { tolerations: job.tolerations }),
      ...(job?.imagePullSecrets === undefined ? {} : { imagePullSecrets: job.imagePullSecrets }),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      activeDeadlineSeconds,
      terminationGracePeriodSeconds: terminationGraceSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser,
        runAsGroup: fsGroup,
        fsGroup,
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      initContainers: [executorContainer(request, 'prepare', containers.prepare)],
      containers: [dumpContainer(backup, request.image), executorContainer(request, 'backup', containers.executor)],
      volumes: volumes(backup),
    },
  };
}

/** What a Job is for, as `purposeOf` reads it back. */
function purposeAnnotation(trigger: JobRequest['trigger']): Record<string, string> {
  if (trigger.kind === 'Schedule') return { [annotations.slot]: trigger.slot };
  return { [trigger.kind === 'Manual' ? annotations.token : annotations.gate]: trigger.token };
}

/** The suspended Job of a window, a trigger or a gate. */
export function buildJob(request: JobRequest): object {
  const { backup, name, trigger, image, settings } = request;
  const { cluster, backoffLimit } = effective(backup);
  const jobLabels = {
    ...managedByLabels,
    [labels.backup]: backup.metadata.name,
    [labels.trigger]: trigger.kind,
    [clusterLabel]: cluster,
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace: backup.metadata.namespace,
      // Labels and annotations of the backup are not copied: tracking labels would make GitOps tools prune the Job.
      labels: jobLabels,
      annotations: {
        [annotations.specHash]: specDigest(backup, image),
        ...purposeAnnotation(trigger),
      },
      ownerReferences: [
        {
          apiVersion: `${group}/${version}`,
          kind: 'DatabaseBackup',
          name: backup.metadata.name,
          uid: backup.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      suspend: true,
      backoffLimit,
      activeDeadlineSeconds: jobDeadlineSeconds(backup, settings),
      podReplacementPolicy: 'Failed',
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          { action: 'FailJob', onExitCodes: { operator: 'In', values: permanentExitCodes() } },
        ],
      },
      template: podTemplate(request, jobLabels),
    },
  };
}
