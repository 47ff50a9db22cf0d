// What Argo CD shows for each state that conditions can spell, also those that no controller of ours writes: Argo CD's own evaluation.
// What it shows for those that the controller makes is in the condition table.
import { beforeAll, expect, test } from 'vitest';
import { type Answer, argocd } from './condition-table-judges.ts';

type Condition = { type: string; status: string; reason: string; message: string };

const condition = (type: string, status: string, message: string): Condition => ({
  type,
  status,
  reason: 'Why',
  message,
});
const accepted = condition('Ready', 'True', 'The spec is accepted.');
const works = condition('BackupHealthy', 'True', 'The last run committed 20250327T010000Z-1a2b3c4d.');
const fails = condition('BackupHealthy', 'False', 'The dump failed.');
const last = '2025-03-27T01:00:05Z';

const object = (status: object | undefined, rest: { metadata?: object; spec?: object } = {}) => ({
  apiVersion: 'dbbackup.io/v1alpha1',
  kind: 'DatabaseBackup',
  metadata: { name: 'orders', generation: 2, ...rest.metadata },
  spec: { ...rest.spec },
  status,
});

const observed = (conditions: Condition[], rest: object = {}) => ({ observedGeneration: 2, conditions, ...rest });

const cases: [state: string, backup: object, wanted: string][] = [
  ['no status at all', object(undefined), 'Progressing: Waiting for the controller'],
  ['nobody has looked yet', object({ observedGeneration: -1 }), 'Progressing: Waiting for the controller'],
  [
    'an older spec was looked at',
    object({ observedGeneration: 1, conditions: [accepted, works] }),
    'Progressing: Waiting for the controller',
  ],
  ['no conditions yet', object({ observedGeneration: 2 }), 'Progressing: Waiting for the controller'],
  ['new, no run yet', object(observed([accepted])), 'Healthy: No backup has succeeded yet'],
  ['idle', object(observed([accepted, works], { lastSuccessfulBackup: last })), `Healthy: Last backup ${last}`],
  [
    'a run goes on',
    object(observed([accepted, works], { phase: 'Running', lastSuccessfulBackup: last })),
    `Healthy: Last backup ${last}`,
  ],
  ['suspended', object(observed([accepted, works]), { spec: { suspend: true } }), 'Healthy: The schedule is suspended'],
  [
    'waiting for the lock',
    object(observed([accepted, works, condition('Locked', 'True', 'Waiting for the lock.')])),
    'Healthy: Waiting for the lock.',
  ],
  ['the last run failed', object(observed([accepted, fails])), 'Healthy: LAST BACKUP FAILED: The dump failed.'],
  [
    'it failed, and the schedule is suspended',
    object(observed([accepted, fails]), { spec: { suspend: true } }),
    'Healthy: LAST BACKUP FAILED: The dump failed.',
  ],
  [
    'pruning failed',
    object(observed([accepted, works, condition('Retained', 'False', 'Denied.')], { lastSuccessfulBackup: last })),
    `Healthy: Last backup ${last}`,
  ],
  [
    'the gate is pending',
    object(
      observed([
        condition('Ready', 'False', 'A backup is asked for.'),
        condition('Reconciling', 'True', 'A backup runs.'),
      ]),
    ),
    'Progressing: A backup runs.',
  ],
  [
    'the gate failed for good',
    object(observed([condition('Ready', 'False', 'Failed.'), condition('Stalled', 'True', 'The gate failed.'), fails])),
    'Degraded: The gate failed.',
  ],
  [
    'the gate failed and is overridden',
    object(observed([condition('Ready', 'True', 'The gate is overridden.'), fails])),
    'Healthy: LAST BACKUP FAILED: The dump failed.',
  ],
  [
    'the stored spec is no longer valid',
    object(observed([condition('Ready', 'False', 'x'), condition('Stalled', 'True', 'spec.schedule: wrong')])),
    'Degraded: spec.schedule: wrong',
  ],
  ['not ready for another reason', object(observed([condition('Ready', 'False', 'Why not.')])), 'Degraded: Why not.'],
  ['unknown', object(observed([condition('Ready', 'Unknown', 'Not known.')])), 'Progressing: Not known.'],
  [
    'being deleted',
    object(observed([accepted, works]), { metadata: { deletionTimestamp: last } }),
    'Progressing: Pending deletion',
  ],
];

let answers: Answer[];

beforeAll(async () => {
  answers = await argocd(cases.map(([, backup]) => backup));
});

test.each(cases.map(([state, , wanted], index) => ({ state, wanted, index })))('$state', ({ wanted, index }) => {
  const { status, message } = answers[index] ?? { status: 'no answer' };
  expect(`${status}: ${message}`).toBe(wanted);
});
