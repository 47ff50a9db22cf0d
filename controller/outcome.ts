// How a claimed Job ended, from the Job, its pods and the executor's result. Success needs the result of a commit; nothing else is one.
import {
  containers,
  decodeResult,
  type Failure,
  type Inventory,
  type Result,
  type Success,
} from '../crds/rules/contract.ts';
import { explain, type Reason, reasonOfExitCode } from '../crds/rules/reasons.ts';
import { type ContainerStatus, isStarted, type Job, jobEnd, type KubeEvent, type Pod, podEnded } from './objects.ts';
import { shortened } from './observed.ts';

export interface Outcome {
  outcome: 'Succeeded' | 'Failed' | 'Canceled';
  reason?: Reason;
  message?: string;
  success?: Success;
  inventory?: Inventory;
}

/** On a Job: why its start was given up, `<reason> <message>`; the Job itself only says that a deadline passed. */
export const startFailedAnnotation = 'dbbackup.io/start-failed';

/** Of what others wrote, in status: nodes and Jobs may say a megabyte. */
const longestDetail = 800;
/** The kubelet keeps no more of a container's message; a longer one is none of an executor's. */
const longestResult = 4096;

const inWords = (reason: Reason, detail: string): string => explain(reason, shortened(detail, longestDetail));
const failed = (reason: Reason, detail: string): Outcome => ({
  outcome: 'Failed',
  reason,
  message: inWords(reason, detail),
});

const resultOf = (pod: Pod, container: string): Result | undefined =>
  decodeResult((terminated(pod, container)?.message ?? '').slice(0, longestResult));

/** What the newest of the pods that committed says of it. */
function committedBy(pods: readonly Pod[]): Outcome | undefined {
  for (const pod of pods) {
    const result = resultOf(pod, containers.executor);
    if (result?.run.outcome !== 'Succeeded') continue;
    const { run: success, inventory } = result;
    return { outcome: 'Succeeded', success, ...(inventory === undefined ? {} : { inventory }) };
  }
  return undefined;
}

const newestFirst = (pods: readonly Pod[]): Pod[] =>
  [...pods].sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1));

/** The outcome of a run whose Job is gone; undefined while a pod of it may still tell. */
export function outcomeWithoutJob(pods: readonly Pod[]): Outcome | undefined {
  const committed = committedBy(newestFirst(pods));
  if (committed !== undefined) return committed;
  return pods.every(podEnded) ? failed('Unknown', 'its Job is gone and no result was seen') : undefined;
}

/** The outcome of an ended or canceled Job; undefined while it goes on. */
export function outcomeOf(job: Job, pods: readonly Pod[]): Outcome | undefined {
  const end = jobEnd(job);
  if (end === undefined)
    return isStarted(job) && job.spec.suspend === true
      ? { outcome: 'Canceled', reason: 'Canceled', message: explain('Canceled', '') }
      : undefined;
  const pastPods = newestFirst(pods);
  const committed = committedBy(pastPods);
  if (committed !== undefined) return committed;
  // A Job is complete when every container ended with 0, and the executor does so after a commit only.
  if (end === 'Complete')
    return {
      outcome: 'Succeeded',
      message: 'The Job completed and its result is lost; the next run reports what storage holds.',
    };
  const [pod] = pastPods;
  const found = pod === undefined ? undefined : podFailure(pod);
  const given = job.metadata.annotations?.[startFailedAnnotation];
  // What an executor said itself is why; that no other pod came after it is not.
  const told = pod === undefined ? undefined : toldFailure(pod);
  if (given !== undefined && (told === undefined || told.run.reason === 'Canceled')) {
    const [word = '', ...rest] = given.split(' ');
    return failed(reasonOrUnknown(word), rest.join(' '));
  }
  // The Job's deadline has its pod deleted: that the executor was told to stop is not why.
  const ofJob = jobFailure(job);
  const isItsDoing = ofJob.reason === 'DeadlineExceeded' && told?.run.reason === 'Canceled';
  return found === undefined || (isItsDoing && pod !== undefined && stoppedBy(pod) === undefined) ? ofJob : found;
}

/** What an executor said itself of its failure. */
function toldFailure(pod: Pod): { run: Failure; inventory?: Inventory } | undefined {
  for (const name of [containers.executor, containers.prepare]) {
    const { run, ...rest } = resultOf(pod, name) ?? {};
    if (run?.outcome === 'Failed') return { run, ...rest };
  }
  return undefined;
}

function reasonOrUnknown(word: string): Reason {
  return word === 'ImagePullFailed' || word === 'Unschedulable' || word === 'ConfigInvalid' ? word : 'Unknown';
}

function statusesOf(pod: Pod): ContainerStatus[] {
  return [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
}

function terminated(pod: Pod, name: string): NonNullable<ContainerStatus['state']>['terminated'] {
  return statusesOf(pod).find((status) => status.name === name)?.state?.terminated;
}

/** Why a pod failed, the surest sign first. */
function podFailure(pod: Pod): Outcome | undefined {
  const killed = statusesOf(pod).find((status) => status.state?.terminated?.reason === 'OOMKilled');
  if (killed !== undefined) return failed('OutOfMemory', `container "${killed.name}"`);
  if (pod.status?.reason === 'Evicted') return failed('Evicted', pod.status.message ?? '');
  const stopped = stoppedBy(pod);
  const told = toldFailure(pod);
  // Who cancels a run suspends its Job. A pod that goes otherwise was deleted, and its run has failed.
  if (told?.run.reason === 'Canceled')
    return stopped ?? failed('Evicted', 'it was told to stop, and nothing on it says why: somebody deleted it');
  if (told !== undefined)
    return {
      ...failed(told.run.reason, told.run.message),
      ...(told.inventory === undefined ? {} : { inventory: told.inventory }),
    };
  if (stopped !== undefined) return stopped;
  for (const name of [containers.executor, containers.dump, containers.prepare]) {
    const end = terminated(pod, name);
    if (end === undefined || end.exitCode === 0) continue;
    const reason = reasonOfExitCode(end.exitCode) ?? 'Unknown';
    return failed(reason, `container "${name}" ended with exit code ${end.exitCode} and left no result`);
  }
  // The node's own refusals: OutOfcpu, UnexpectedAdmissionError, NodeAffinity.
  const { phase, reason, message } = pod.status ?? {};
  if (phase === 'Failed' && reason !== undefined) return failed('Unschedulable', `${reason} ${message ?? ''}`.trim());
  return undefined;
}

/** What made the kubelet stop a pod that did nothing wrong; undefined when nothing says so. */
function stoppedBy({ status }: Pod): Outcome | undefined {
  const disrupted = status?.conditions?.find((one) => one.type === 'DisruptionTarget' && one.status === 'True');
  if (disrupted !== undefined) return failed('Evicted', `${disrupted.reason ?? ''} ${disrupted.message ?? ''}`.trim());
  if (status?.reason === 'DeadlineExceeded') return failed('DeadlineExceeded', 'the pod was stopped');
  return undefined;
}

function jobFailure(job: Job): Outcome {
  const condition = job.status?.conditions?.find(({ type, status }) => type === 'Failed' && status === 'True');
  const detail = `${condition?.reason ?? ''} ${condition?.message ?? ''}`.trim();
  return failed(condition?.reason === 'DeadlineExceeded' ? 'DeadlineExceeded' : 'Unknown', detail);
}

export interface Trouble {
  reason: Reason;
  message: string;
}

/**
 * Why a started Job's pod has not come to work, when that is to be seen. Pods that have ended are none that could; where one of them has
 * succeeded none needs to.
 * @param events of the Job and its pods: what quotas, admission and mounts refuse shows nowhere else
 */
export function startTrouble(pods: readonly Pod[], events: readonly KubeEvent[]): Trouble | undefined {
  if (pods.some(({ status }) => status?.phase === 'Succeeded')) return undefined;
  const open = pods.filter((pod) => !podEnded(pod));
  if (open.length === 0)
    return {
      reason: 'Unschedulable',
      message: `no pod was made: ${newest(events)?.message ?? 'see the events of the Job'}`,
    };
  for (const pod of open) {
    const found = podTrouble(pod);
    if (found !== undefined) return found;
  }
  if (!open.some(isIdle)) return undefined;
  // Volumes that cannot be mounted and networks that are not ready show in the pod's events only: its containers wait to be made.
  const event = newest(events);
  if (event === undefined)
    return { reason: 'Unschedulable', message: 'no container was made: see the events of the pod' };
  const mount = event.reason === 'FailedMount' || event.reason === 'FailedAttachVolume';
  return { reason: mount ? 'ConfigInvalid' : 'Unschedulable', message: `${event.reason}: ${event.message ?? ''}` };
}

function podTrouble(pod: Pod): Trouble | undefined {
  const pending = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (pending !== undefined) return { reason: 'Unschedulable', message: pending.message ?? '' };
  for (const { name, state } of statusesOf(pod)) {
    const { reason, message = '' } = state?.waiting ?? {};
    if (reason === undefined || reason === 'PodInitializing' || reason === 'ContainerCreating') continue;
    const pull = /^(ErrImage|ImagePull|ImageInspect|InvalidImageName|RegistryUnavailable)/.test(reason);
    const text = `container "${name}": ${reason} ${message}`.trim();
    return { reason: pull ? 'ImagePullFailed' : 'ConfigInvalid', message: text };
  }
  return undefined;
}

/** The newest warning. */
export function newest(events: readonly KubeEvent[]): KubeEvent | undefined {
  return events.filter(({ type }) => type === 'Warning').sort((a, b) => timeOf(b).localeCompare(timeOf(a)))[0];
}

export const timeOf = (event: KubeEvent): string => event.lastTimestamp ?? event.eventTime ?? '';

/** When the last container of a pod ended, by its node's clock, in ms; undefined where nothing says. */
export function endOf(pod: Pod): number | undefined {
  const times = statusesOf(pod)
    .map(({ state }) => Date.parse(state?.terminated?.finishedAt ?? ''))
    .filter((time) => !Number.isNaN(time));
  return times.length === 0 ? undefined : Math.max(...times);
}

/** Whether no container of the pod has come to run yet. */
export function isIdle(pod: Pod): boolean {
  const ran = statusesOf(pod).some(({ state }) => state?.running !== undefined || state?.terminated !== undefined);
  return (pod.status?.phase ?? 'Pending') === 'Pending' && !ran;
}
