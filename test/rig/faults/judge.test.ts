// The judge finds each thing that must never happen, and nothing in a history in which all is well.
import { expect, test } from 'vitest';
import type { Job, Lease, Pod } from '../../../controller/objects.ts';
import { job, lease, pod, window } from '../../controller/builders.ts';
import type { Told } from './chronicle.ts';
import { Judge } from './judge.ts';

type Happening = { job: Job } | { pod: Pod } | { lease: Lease };
const gone = Symbol('gone');

/** Judges what happened, one thing after the other; `gone` deletes what the thing before it was about. */
function judged(...happenings: (Happening | typeof gone)[]): Judge {
  const jobs: Told<Job>[] = [];
  const pods: Told<Pod>[] = [];
  const leases: Told<Lease>[] = [];
  happenings.forEach((happening, index) => {
    const about = happening === gone ? happenings[index - 1] : happening;
    if (about === undefined || about === gone) throw new Error('nothing to delete');
    const type = happening === gone ? 'DELETED' : 'MODIFIED';
    const revision = index + 1;
    if ('job' in about) jobs.push({ revision, type, object: about.job });
    else if ('pod' in about) pods.push({ revision, type, object: about.pod });
    else leases.push({ revision, type, object: about.lease });
  });
  return new Judge(jobs, pods, leases);
}

const waits = job();
const runs = job({ started: window });
const ended = job({ started: window, ended: 'Complete' });
const otherName = 'orders-20250328010000';
const other = job({ uid: 'job-2', name: otherName, slot: '2025-03-28T01:00:00Z', started: window });
const ofJob = { labels: { 'batch.kubernetes.io/controller-uid': 'job-1' } };
const works = pod({ phase: 'Running' }, ofJob);
const free = { lease: lease(undefined, { holderIdentity: '' }) };
const held = { lease: lease(runs) };

test('a run that takes the lock, works, ends and gives the lock back breaks nothing', () => {
  const done = pod({ phase: 'Succeeded' }, ofJob);
  const judge = judged({ job: waits }, held, { job: runs }, { pod: works }, { pod: done }, { job: ended }, free);
  expect(judge.breaches).toEqual([]);
  expect([judge.ran.size, judge.handovers]).toEqual([1, 2]);
});

test('a Job that only waited has not run', () => {
  expect(judged({ job: waits }, gone).ran.size).toBe(0);
});

test.each<[string, (Happening | typeof gone)[], string]>([
  ['a start without the lock', [{ job: runs }], 'is held by "undefined"'],
  ['a start under the lock of another', [{ lease: lease(other) }, { job: runs }], 'is held by "job-2"'],
  ['a start beside another', [held, { job: runs }, { lease: lease(other) }, { job: other }], '1 other of'],
  ['a lock given back while the Job goes on', [held, { job: runs }, free], 'from job-1, which worked, with 0 pod(s)'],
  ['a lock given back while a pod goes on', [held, { pod: works }, free], 'with 1 pod(s), to ""'],
  [
    'two Jobs for one window',
    [
      held,
      { job: runs },
      { job: ended },
      gone,
      { lease: lease(job({ uid: 'job-3' })) },
      { job: job({ uid: 'job-3', started: window }) },
    ],
    '2 Jobs ran for shop/orders backup-1',
  ],
])('%s is found', (_name, happenings, said) => {
  expect(judged(...happenings).breaches.join()).toContain(said);
});

test('a Job that was deleted works no more', () => {
  expect(judged(held, { job: runs }, gone, free).breaches).toEqual([]);
});
