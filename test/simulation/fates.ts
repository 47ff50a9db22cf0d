// What may become of a pod, and how its status tells of it.
import type { Pod } from '../../controller/objects.ts';
import { containers, encodeResult, type Result } from '../../crds/rules/contract.ts';
import { explain, type Reason, reasons } from '../../crds/rules/reasons.ts';

export const fates = [
  'success',
  'slow success',
  'lost message',
  'cut message',
  'dump fails',
  'login refused',
  'out of memory',
  'evicted',
  'image missing',
  'unschedulable',
  'no pod',
  'refused by node',
  'hangs',
  'node lost',
  'node lost after commit',
] as const;
export type Fate = (typeof fates)[number];

/** Fates in which the executor commits a snapshot. */
export const commits = (fate: Fate): boolean =>
  ['success', 'slow success', 'lost message', 'cut message', 'node lost after commit'].includes(fate);
export const losesNode = (fate: Fate): boolean => fate === 'node lost' || fate === 'node lost after commit';

type Status = NonNullable<Pod['status']>;

const ended = (name: string, exitCode: number, message = '', reason = exitCode === 0 ? 'Completed' : 'Error') => ({
  name,
  state: { terminated: { exitCode, reason, message } },
});

export const running: Status = {
  phase: 'Running',
  initContainerStatuses: [ended(containers.prepare, 0)],
  containerStatuses: [
    { name: containers.dump, state: { running: {} } },
    { name: containers.executor, state: { running: {} } },
  ],
};

export function succeeded(result: Result, fate: Fate): Status {
  const whole = encodeResult(result);
  const message = fate === 'lost message' ? '' : fate === 'cut message' ? whole.slice(0, 60) : whole;
  return {
    phase: 'Succeeded',
    initContainerStatuses: [ended(containers.prepare, 0)],
    containerStatuses: [ended(containers.dump, 0), ended(containers.executor, 0, message)],
  };
}

export function failed(reason: Reason): Status {
  const { exitCode } = reasons[reason];
  const message = encodeResult({ run: { outcome: 'Failed', reason, message: explain(reason, 'simulated') } });
  return {
    phase: 'Failed',
    initContainerStatuses: [ended(containers.prepare, 0)],
    containerStatuses: [ended(containers.dump, 0), ended(containers.executor, exitCode, message)],
  };
}

export const killedForMemory: Status = {
  phase: 'Failed',
  containerStatuses: [ended(containers.dump, 137, '', 'OOMKilled'), ended(containers.executor, 16)],
};

export const disrupted = (reason: string): Status => ({
  phase: 'Failed',
  conditions: [{ type: 'DisruptionTarget', status: 'True', reason }],
});

/** The kubelet tells the executor to stop; what that says of it is not why. */
export const timedOut: Status = { ...failed('Canceled'), reason: 'DeadlineExceeded' };
export const refusedByNode: Status = { phase: 'Failed', reason: 'OutOfcpu', message: 'simulated' };
/** Somebody deleted the pod, and nothing on it says so. */
export const stopped: Status = failed('Canceled');

/** How a pod that comes never to run looks. */
export function stuck(fate: Fate): Status {
  if (fate === 'unschedulable')
    return { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message: 'no node fits' }] };
  const waiting = { reason: 'ImagePullBackOff', message: 'simulated' };
  return { phase: 'Pending', initContainerStatuses: [{ name: containers.prepare, state: { waiting } }] };
}
