// How a DatabaseBackup comes into each state of the condition table that is not of the gate.
import { containers, encodeResult } from '../../crds/rules/contract.ts';
import { triggerJobName } from '../../crds/rules/names.ts';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { waitFor } from '../wait.ts';
import {
  holdLock,
  is,
  isFailing,
  isLocked,
  type Makers,
  name,
  observed,
  oneTry,
  type Stage,
} from './condition-table-stage.ts';
import { createDueBackup, setPodStatus, successResult } from './controller-world.ts';

export async function triggered(stage: Stage, spec: object = {}): Promise<void> {
  await stage.create({ ...oneTry, ...spec });
  await stage.trigger('first');
}

/** While the controller runs. */
export const watched: Makers = {
  'new, and nothing has run': observed(),
  idle: async (stage) => {
    await triggered(stage);
    return await stage.succeed();
  },
  'scheduled run running': async (stage) => {
    await createDueBackup(stage.world, stage.namespace, name);
    return await stage.work();
  },
  'manual run running': async (stage) => {
    await triggered(stage);
    await stage.succeed();
    await stage.trigger('second');
    return await stage.work();
  },
  'manual run running after one that failed': async (stage) => {
    await triggered(stage);
    await stage.fail();
    await stage.trigger('second');
    return await stage.work();
  },
  suspended: observed({ schedule: '0 1 * * *', suspend: true }),
  'pruning failed': async (stage) => {
    await triggered(stage);
    const result = successResult(stage.snapshot());
    const inventory = { snapshots: [], count: 1, deleted: 0, foreign: 0, pruneError: 'The store denies deletions.' };
    return await stage.end({ ...result, inventory });
  },
  'last run failed': async (stage) => {
    await triggered(stage);
    return await stage.fail();
  },
  overdue: async (stage) => {
    await createDueBackup(stage.world, stage.namespace, name, { startingDeadlineSeconds: 10 });
    return await stage.until('it fails', isFailing);
  },
  'quota for Jobs exceeded': async (stage) => {
    await allowNo('count/jobs.batch', stage);
    await triggered(stage);
    return await stage.until('it fails', isFailing);
  },
  'quota for pods exceeded': async (stage) => {
    await allowNo('count/pods', stage);
    await triggered(stage);
    return await stage.until('it fails', isFailing);
  },
  'name conflict': async (stage) => {
    const backup = await stage.create();
    const taken = triggerJobName(name, backup.metadata.uid, 'Manual', 'first', '');
    await stage.post(`/apis/batch/v1/namespaces/${stage.namespace}/jobs`, foreignJob(taken));
    await stage.trigger('first');
    return await stage.until('it fails', isFailing);
  },
  'service account not allowed': async (stage) => {
    await triggered(stage, { serviceAccountName: 'nobody' });
    return await stage.until('it fails', isFailing);
  },
  // The webhook would refuse it. Without one, what the schema cannot know is stored.
  'stored spec no longer valid': async (stage) => {
    await stage.create({ schedule: '0 1 * * *', timeZone: 'Europe/Nowhere' });
    return await stage.until('it stalls', (backup) => is(backup, 'Stalled', 'True'));
  },
  'waiting for the lock': async (stage) => {
    await holdLock(stage);
    await triggered(stage);
    return await stage.until('it says that it waits', isLocked);
  },
  // Its volumes are optional: the pod starts without it, and prepare says what is missing.
  'Secret missing': async (stage) => {
    await triggered(stage);
    const { pod } = await stage.started();
    await setPodStatus(stage.world, pod, unprepared('SecretInvalid', secretMissing));
    return await stage.until('it fails', isFailing);
  },
  'PVC missing': async (stage) => {
    await triggered(stage, { storage: { pvc: { claimName: 'orders' } } });
    const { pod } = await stage.started();
    const message = 'persistentvolumeclaim "orders" not found';
    const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
    await setPodStatus(stage.world, pod, { conditions: [condition] });
    return await stage.until('it fails', isFailing);
  },
};

/** While no controller runs, on objects that one has seen. */
export const unwatched: Makers = {
  'changed, and not observed yet': async (stage) => {
    await stage.patch(stage.path, { spec: { retention: { keepLast: 7 } } });
    return await stage.until('it is changed', ({ metadata }) => metadata.generation === 2);
  },
  'being deleted': async (stage) => {
    await stage.patch(stage.path, { metadata: { finalizers: ['test.dbbackup.io/stays'] } });
    await stage.world.transport.call({ method: 'DELETE', path: stage.path });
    return await stage.until('it goes', ({ metadata }) => metadata.deletionTimestamp !== undefined);
  },
};

const secretMissing = 'read Secret "s3-credentials": key "AWS_ACCESS_KEY_ID" is missing or empty';

/** A pod's status as the kubelet leaves it when prepare has ended with a failure: no other container was started. */
function unprepared(reason: Reason, message: string): object {
  const container = { image: 'x', imageID: '', ready: false, restartCount: 0 };
  const at = new Date().toISOString();
  const terminated = {
    exitCode: reasons[reason].exitCode,
    reason: 'Error',
    message: encodeResult({ run: { outcome: 'Failed', reason, message } }),
    startedAt: at,
    finishedAt: at,
  };
  const waiting = { reason: 'PodInitializing' };
  return {
    phase: 'Failed',
    initContainerStatuses: [{ ...container, name: containers.prepare, state: { terminated } }],
    containerStatuses: [containers.dump, containers.executor].map((one) => ({
      ...container,
      name: one,
      state: { waiting },
    })),
  };
}

async function allowNo(what: 'count/jobs.batch' | 'count/pods', stage: Stage): Promise<void> {
  const core = `/api/v1/namespaces/${stage.namespace}`;
  await stage.post(`${core}/resourcequotas`, { metadata: { name: 'none' }, spec: { hard: { [what]: '0' } } });
  const job = foreignJob('probe');
  const [path, probe] =
    what === 'count/pods'
      ? [`${core}/pods`, { metadata: job.metadata, spec: job.spec.template.spec }]
      : [`/apis/batch/v1/namespaces/${stage.namespace}/jobs`, job];
  await waitFor('the quota is in force', async () => {
    try {
      await stage.post(path, probe, { dryRun: 'All' });
      return undefined;
    } catch (error) {
      return String(error).includes('exceeded quota');
    }
  });
}

function foreignJob(jobName: string) {
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'other', image: 'x' }] } };
  return { metadata: { name: jobName }, spec: { suspend: true, template } };
}
