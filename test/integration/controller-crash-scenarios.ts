// What the crash sweep plays: each is a whole story of one backup, from its creation to a state in which nothing is left to do.
import { jobEnd } from '../../controller/objects.ts';
import { labels } from '../../crds/rules/names.ts';
import type { Stage } from './controller-crash-stage.ts';

export interface Scenario {
  startTimeoutSeconds?: number;
  /** Before a controller is there. */
  before: (stage: Stage) => Promise<void>;
  /** While controllers come and go. */
  play: (stage: Stage) => Promise<void>;
  /** How many Jobs ever ran. */
  ran: number;
  /** In what is left; the rest is compared with that of the reference run. */
  end: object;
}

const oneTry = { job: { backoffLimit: 0 } };
const ours = { [labels.managedBy]: 'dbbackup' };

function status(expected: object): object {
  return { status: expected, openPods: 0, lease: { annotations: {}, spec: { holderIdentity: '' } } };
}

const succeeded = status({ run: { outcome: 'Succeeded' }, consecutiveFailures: 0, phase: 'Succeeded' });
const failed = status({ run: { outcome: 'Failed' }, consecutiveFailures: 1, phase: 'Failed' });

/** From the first token, for which nothing runs, to the second. */
async function gated(stage: Stage): Promise<void> {
  await stage.until('the first token is the baseline', () => stage.backup?.status?.gate?.satisfiedBy === 'Baseline');
  await stage.patch({ spec: { gate: { token: 'postgres:17' } } });
}

export const scenarios: Record<string, Scenario> = {
  schedule: {
    before: (stage) => stage.due(),
    play: (stage) => stage.succeed(),
    ran: 1,
    end: succeeded,
  },
  trigger: {
    before: (stage) => stage.create(),
    play: async (stage) => {
      await stage.observed();
      await stage.trigger('first');
      await stage.succeed();
    },
    ran: 1,
    end: succeeded,
  },
  'trigger twice': {
    before: (stage) => stage.create(),
    play: async (stage) => {
      await stage.trigger('first');
      await stage.succeed();
      await stage.ended();
      await stage.trigger('second');
      await stage.until('the second is claimed', () => stage.backup?.status?.run?.token === 'second');
      await stage.succeed();
      await stage.until('the Job before is gone', () => stage.outcome !== undefined && stage.jobs.length === 1);
    },
    ran: 2,
    end: succeeded,
  },
  gate: {
    before: async (stage) => {
      await stage.create({ gate: { token: 'postgres:16' } });
      await stage.dumpedBefore('postgres:15');
    },
    play: async (stage) => {
      await gated(stage);
      await stage.succeed();
      const images = stage.jobs.map(({ spec }) => spec.template?.spec?.containers?.[0]?.image);
      if (images.join() !== 'postgres:15') throw new Error(`${stage.namespace}: the gate dumped with "${images}"`);
    },
    ran: 1,
    end: status({
      run: { outcome: 'Succeeded', trigger: 'Gate', gate: 'postgres:17' },
      gate: { token: 'postgres:17', satisfiedBy: '<uid 1>', lastRun: { token: 'postgres:17', jobUID: '<uid 1>' } },
      lastSnapshot: { image: 'postgres:15' },
    }),
  },
  'gate that fails': {
    before: (stage) => stage.create({ ...oneTry, gate: { token: 'postgres:16' } }),
    play: async (stage) => {
      await gated(stage);
      await stage.fail();
    },
    ran: 1,
    end: status({ run: { outcome: 'Failed' }, consecutiveFailures: 1, gate: { failedAt: '<time>' } }),
  },
  failure: {
    before: (stage) => stage.due(oneTry),
    play: (stage) => stage.fail(),
    ran: 1,
    end: failed,
  },
  retry: {
    before: (stage) => stage.due({ job: { backoffLimit: 1 } }),
    play: async (stage) => {
      await stage.fail(60);
      await stage.succeed();
    },
    ran: 1,
    end: succeeded,
  },
  'foreign holder that lets go': {
    before: async (stage) => {
      await stage.lock(undefined, ours);
      await stage.due();
    },
    play: async (stage) => {
      await stage.waitingJob();
      await stage.unlock();
      await stage.succeed();
    },
    ran: 1,
    end: succeeded,
  },
  'foreign holder whose time runs out': {
    before: async (stage) => {
      await stage.lock(2);
      await stage.due();
    },
    play: (stage) => stage.succeed(),
    ran: 1,
    end: succeeded,
  },
  'spec changed while the Job waits': {
    before: async (stage) => {
      await stage.lock(undefined, ours);
      await stage.create();
    },
    play: async (stage) => {
      await stage.trigger('first');
      const { metadata } = await stage.waitingJob();
      await stage.patch({ spec: { retention: { keepLast: 5 } } });
      await stage.until('the Job is made anew', () => stage.jobs.some((job) => job.metadata.uid !== metadata.uid));
      await stage.until('the old Job is gone', () => stage.jobs.every((job) => job.metadata.uid !== metadata.uid));
      await stage.unlock();
      await stage.succeed();
    },
    ran: 1,
    end: succeeded,
  },
  cancel: {
    before: (stage) => stage.due(),
    play: async (stage) => {
      await stage.work();
      await stage.cancel();
      await stage.until('the Job is gone', () => stage.jobs.length === 0);
    },
    ran: 1,
    end: { ...status({ run: { outcome: 'Canceled' }, consecutiveFailures: 0 }), jobs: [] },
  },
  'start timeout': {
    startTimeoutSeconds: 1,
    before: async (stage) => {
      await stage.allowNoPods();
      await stage.due();
    },
    play: async (stage) => {
      await stage.until('the Job is given up', () => stage.jobs.some((job) => jobEnd(job) === 'Failed'));
    },
    ran: 1,
    end: status({ run: { outcome: 'Failed', reason: 'Unschedulable' }, consecutiveFailures: 1 }),
  },
};
