// How a Job ended, from the Job, its pods and the executor's words: a table, the surest sign first.
import { describe, expect, test } from 'vitest';
import type { ContainerStatus, Pod } from '../../controller/objects.ts';
import { outcomeOf, startTrouble } from '../../controller/outcome.ts';
import { encodeResult, type Success } from '../../crds/rules/contract.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import { container, job, pod, window } from './builders.ts';

const success: Success = {
  outcome: 'Succeeded',
  id: '20250327T010000Z-1a2b3c4d',
  key: 'shop/orders-db/20250327T010000Z-1a2b3c4d.snap',
  size: 1,
  storedSize: 1,
  sha256: 'a'.repeat(64),
  dumpStartedAt: '2025-03-27T01:00:20Z',
  durationSeconds: 9,
  engineVersion: '16.4',
  identity: '',
  encrypted: true,
};
const good = encodeResult({ run: success });
const bad = encodeResult({ run: { outcome: 'Failed', reason: 'DumpFailed', message: 'cut off' } });
const canceled = encodeResult({ run: { outcome: 'Failed', reason: 'Canceled', message: 'told to stop' } });

const ended = (name: string, exitCode: number, message?: string, reason?: string): ContainerStatus =>
  container(name, {
    terminated: {
      exitCode,
      ...(message === undefined ? {} : { message }),
      ...(reason === undefined ? {} : { reason }),
    },
  });
const podOf = (statuses: ContainerStatus[], more: Pod['status'] = {}, change: Parameters<typeof pod>[1] = {}): Pod =>
  pod({ phase: 'Failed', containerStatuses: statuses, ...more }, change);

const failedJob = job({ started: window, ended: 'Failed', reason: 'BackoffLimitExceeded' });
const completeJob = job({ started: window, ended: 'Complete' });

describe('a Job that goes on has no outcome', () => {
  test.each([
    ['waiting', job()],
    ['started', job({ started: window })],
    ['about to fail', job({ started: window, ended: 'FailureTarget' })],
  ])('while it is %s, whatever its pods say', (_name, one) => {
    expect(outcomeOf(one, [podOf([ended('executor', 0, good)])])).toBeUndefined();
  });
});

test.each([
  ['a node', podOf([], { reason: 'Evicted', message: 'x'.repeat(1_000_000) })],
  ['an executor', podOf([ended('executor', 15, JSON.stringify({ ...success, key: 'x'.repeat(1_000_000) }))])],
  ['a failed executor', podOf([ended('executor', 15, bad.replace('cut off', '\u{1f600}'.repeat(1_500)))])],
])('of a megabyte that %s says little is kept, and no half of a character', (_name, one) => {
  const { message = '' } = outcomeOf(failedJob, [one]) ?? {};
  expect(message.length).toBeLessThan(1_200);
  expect(message.isWellFormed()).toBe(true);
});

test('a Job that was started and is suspended was canceled', () => {
  expect(outcomeOf(job({ started: window, spec: { suspend: true } }), [])).toMatchObject({
    outcome: 'Canceled',
    reason: 'Canceled',
  });
});

describe('a complete Job whose result is lost has succeeded, since the executor ends with 0 after a commit only', () => {
  test.each([
    ['with its pod', []],
    ['with its words', [podOf([ended('executor', 0)])]],
    ['in the middle', [podOf([ended('executor', 0, good.slice(0, 80))])]],
    ['and the dump speaks of success', [podOf([ended('dump', 0, good)])]],
    ['and the preparation speaks of success', [podOf([ended('prepare', 0, good)])]],
  ])('%s, and nothing is said of the snapshot', (_name, pods) => {
    const outcome = outcomeOf(completeJob, pods);
    expect(outcome).toMatchObject({ outcome: 'Succeeded', message: expect.stringContaining('result is lost') });
    expect(outcome).not.toHaveProperty('success');
  });
});

describe('success needs a commit', () => {
  test.each([
    ['a complete Job with a result', completeJob, [podOf([ended('executor', 0, good)])], 'Succeeded'],
    [
      'a failed Job with a result: it failed after the commit',
      failedJob,
      [podOf([ended('executor', 143, good)])],
      'Succeeded',
    ],
    [
      'a failed Job that ran out of memory after the commit',
      failedJob,
      [podOf([ended('executor', 137, good, 'OOMKilled')])],
      'Succeeded',
    ],
  ])('%s', (_name, one, pods, outcome) => {
    const found = outcomeOf(one, pods);
    expect(found?.outcome).toBe(outcome);
    expect(found?.success === undefined).toBe(outcome !== 'Succeeded');
    if (outcome !== 'Succeeded') expect(found?.reason).toBe('Unknown');
  });

  test('of any pod, though a later one failed', () => {
    const first = podOf([ended('executor', 0, good)], {}, { creationTimestamp: '2025-03-27T01:00:00Z' });
    const second = podOf([ended('executor', 15, bad)], {}, { uid: 'pod-2', creationTimestamp: '2025-03-27T02:00:00Z' });
    for (const pods of [
      [first, second],
      [second, first],
    ])
      expect(outcomeOf(failedJob, pods)?.outcome).toBe('Succeeded');
  });
});

describe('a failed Job has the surest reason', () => {
  const deadline = job({ started: window, ended: 'Failed', reason: 'DeadlineExceeded' });
  const given = (text: string) =>
    job({ started: window, ended: 'Failed', annotations: { 'dbbackup.io/start-failed': text } });

  test.each<[string, Parameters<typeof outcomeOf>[0], Pod[], string]>([
    ['what the executor said', failedJob, [podOf([ended('executor', 15, bad)])], 'DumpFailed'],
    [
      'what the preparation said',
      failedJob,
      [podOf([], { initContainerStatuses: [ended('prepare', 19, bad)] })],
      'DumpFailed',
    ],
    [
      'memory, before what the executor said',
      failedJob,
      [podOf([ended('executor', 15, bad), ended('dump', 137, '', 'OOMKilled')])],
      'OutOfMemory',
    ],
    [
      'eviction, before what the executor said',
      failedJob,
      [podOf([ended('executor', 15, bad)], { reason: 'Evicted' })],
      'Evicted',
    ],
    [
      'what the executor said, before the exit code of the dump',
      failedJob,
      [podOf([ended('dump', 31), ended('executor', 15, bad)])],
      'DumpFailed',
    ],
    [
      'what the executor said, before its own exit code',
      failedJob,
      [podOf([ended('executor', 22, bad)])],
      'DumpFailed',
    ],
    [
      'the deadline of the pod, before exit codes',
      failedJob,
      [podOf([ended('dump', 15)], { reason: 'DeadlineExceeded' })],
      'DeadlineExceeded',
    ],
    [
      'the exit code of the executor, before that of the dump',
      failedJob,
      [podOf([ended('dump', 15), ended('executor', 18)])],
      'StorageUnreachable',
    ],
    [
      'the exit code of the dump',
      failedJob,
      [podOf([ended('dump', reasons.DatabaseAuthFailed.exitCode), ended('executor', 0)])],
      'DatabaseAuthFailed',
    ],
    [
      'the exit code of the preparation',
      failedJob,
      [podOf([], { initContainerStatuses: [ended('prepare', 20)] })],
      'StorageDenied',
    ],
    ['no reason in a code of a signal', failedJob, [podOf([ended('executor', 137)])], 'Unknown'],
    ['no reason in words of another program', failedJob, [podOf([ended('executor', 1, 'panic: oh')])], 'Unknown'],
    ['the deadline of the Job', deadline, [], 'DeadlineExceeded'],
    ['no reason in a Job without pods', failedJob, [], 'Unknown'],
    ['why its start was given up', given('ImagePullFailed container "dump": ErrImagePull'), [], 'ImagePullFailed'],
    [
      'why its start was given up, before the deadline that ended it',
      given('Unschedulable no node'),
      [podOf([], { reason: 'DeadlineExceeded' })],
      'Unschedulable',
    ],
    ['no reason in an annotation of somebody else', given('Succeeded with flying colours'), [], 'Unknown'],
    ['no reason in an empty annotation', given(''), [], 'Unknown'],
  ])('%s', (_name, one, pods, reason) => {
    const found = outcomeOf(one, pods);
    expect(found).toMatchObject({ outcome: 'Failed', reason });
    expect(found?.message).toContain('. Fix: ');
  });

  test('of its newest pod', () => {
    const older = podOf([ended('executor', 18)], {}, { creationTimestamp: '2025-03-27T01:00:00Z' });
    const newer = podOf([ended('executor', 21)], {}, { uid: 'pod-2', creationTimestamp: '2025-03-27T02:00:00Z' });
    for (const pods of [
      [older, newer],
      [newer, older],
    ])
      expect(outcomeOf(failedJob, pods)?.reason).toBe('StorageFull');
  });

  test.each<[string, Pod['status'], string]>([
    ['its own deadline', { reason: 'DeadlineExceeded' }, 'DeadlineExceeded'],
    [
      'a drained node',
      { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }] },
      'Evicted',
    ],
  ])('of a pod that was told to stop by %s is that', (_name, more, reason) => {
    expect(outcomeOf(failedJob, [podOf([ended('executor', 30, canceled)], more)])).toMatchObject({
      outcome: 'Failed',
      reason,
    });
  });

  test("of a pod that was told to stop by its Job's deadline is that", () => {
    const late = job({ started: window, ended: 'Failed', reason: 'DeadlineExceeded' });
    expect(outcomeOf(late, [podOf([ended('executor', 30, canceled)])])).toMatchObject({
      outcome: 'Failed',
      reason: 'DeadlineExceeded',
    });
    expect(outcomeOf(late, [podOf([ended('executor', 15, bad)])])?.reason).toBe('DumpFailed');
  });

  test('of a pod that somebody deleted is no cancellation: who cancels a run suspends its Job', () => {
    const found = outcomeOf(failedJob, [podOf([ended('executor', 30, canceled)])]);
    expect(found).toMatchObject({ outcome: 'Failed', reason: 'Evicted' });
    expect(found?.message).toContain('somebody deleted it');
  });

  test('of an executor that told why, though no other pod came after it', () => {
    const annotations = { 'dbbackup.io/start-failed': 'Unschedulable no pod was made' };
    const givenUp = job({ started: window, ended: 'Failed', reason: 'DeadlineExceeded', annotations });
    expect(outcomeOf(givenUp, [podOf([ended('executor', 15, bad)])])?.reason).toBe('DumpFailed');
    expect(outcomeOf(givenUp, [podOf([ended('executor', 30, canceled)])])?.reason).toBe('Unschedulable');
    expect(outcomeOf(givenUp, [podOf([ended('executor', 15)])])?.reason).toBe('Unschedulable');
  });

  test('names the container that was killed for memory', () => {
    const pods = [podOf([ended('dump', 137, '', 'OOMKilled')])];
    expect(outcomeOf(failedJob, pods)?.message).toContain('container "dump"');
  });
});

describe('a pod that has not come to work', () => {
  const waiting = (name: string, reason?: string): ContainerStatus =>
    container(name, { waiting: reason === undefined ? {} : { reason, message: 'why' } });
  const pending = (statuses: ContainerStatus[]): Pod => pod({ phase: 'Pending', containerStatuses: statuses });

  test.each<[string, Pod[], string]>([
    ['that was never made', [], 'Unschedulable'],
    ['that is to follow one that failed', [podOf([ended('executor', 15)])], 'Unschedulable'],
    [
      'that no node takes',
      [pod({ conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes' }] })],
      'Unschedulable',
    ],
    ['without any status', [pod()], 'Unschedulable'],
    ['whose containers are being made', [pending([waiting('dump', 'ContainerCreating')])], 'Unschedulable'],
    ['whose image is refused', [pending([waiting('dump', 'ErrImagePull')])], 'ImagePullFailed'],
    ['whose image is not asked for any more', [pending([waiting('dump', 'ImagePullBackOff')])], 'ImagePullFailed'],
    ['whose image has no good name', [pending([waiting('dump', 'InvalidImageName')])], 'ImagePullFailed'],
    ['whose image is not there', [pending([waiting('executor', 'ErrImageNeverPull')])], 'ImagePullFailed'],
    ['whose setup is refused', [pending([waiting('dump', 'CreateContainerConfigError')])], 'ConfigInvalid'],
    ['whose command is not there', [pending([waiting('dump', 'RunContainerError')])], 'ConfigInvalid'],
  ])('%s is in trouble', (_name, pods, reason) => {
    const trouble = startTrouble(pods, []);
    expect(trouble?.reason).toBe(reason);
    expect(trouble?.message).not.toBe('');
  });

  test.each<[string, Pod]>([
    ['that works', pod({ phase: 'Running', containerStatuses: [container('executor', { running: {} })] })],
    ['that has succeeded', pod({ phase: 'Succeeded', containerStatuses: [ended('executor', 0)] })],
    [
      'that prepares',
      pod({
        phase: 'Pending',
        initContainerStatuses: [container('prepare', { running: {} })],
        containerStatuses: [waiting('dump', 'PodInitializing')],
      }),
    ],
    [
      'that has prepared and pulls the next image',
      pod({
        phase: 'Pending',
        initContainerStatuses: [ended('prepare', 0)],
        containerStatuses: [waiting('dump', 'ContainerCreating')],
      }),
    ],
  ])('%s is not', (_name, one) => {
    expect(startTrouble([one], [])).toBeUndefined();
  });
});
