// How a DatabaseBackup comes into each state of the condition table that is of its gate.
import {
  holdLock,
  isFailing,
  isLocked,
  lost,
  type Makers,
  observed,
  oneTry,
  type Stage,
} from './condition-table-stage.ts';
import { endedStatus, setPodStatus } from './controller-world.ts';

/** Git changes the token of a gate that the controller knows. */
async function changed(stage: Stage, gate: object = {}, spec: object = {}): Promise<void> {
  await observed({ ...oneTry, ...spec, gate: { token: 'postgres:16.3', ...gate } })(stage);
  await stage.patch(stage.path, { spec: { gate: { token: 'postgres:16.4' } } });
}

export const gated: Makers = {
  'first install with a gate': observed({ gate: { token: 'postgres:16.3' } }),
  'gate pending': async (stage) => {
    await changed(stage);
    await stage.started();
    return await stage.until('the run is claimed', ({ status }) => status?.run?.trigger === 'Gate');
  },
  'gate running': async (stage) => {
    await changed(stage);
    return await stage.work();
  },
  'gate retrying': async (stage) => {
    await changed(stage, {}, { job: { backoffLimit: 1 } });
    const { pod } = await stage.started();
    await setPodStatus(stage.world, pod, endedStatus(lost, 30));
    const { pod: next } = await stage.started();
    await setPodStatus(stage.world, next, { phase: 'Running' });
    return await stage.until('it runs again', ({ status }) => status?.phase === 'Running');
  },
  'gate waiting for the lock': async (stage) => {
    await holdLock(stage);
    await changed(stage);
    return await stage.until('it says that it waits', isLocked);
  },
  'gate satisfied': async (stage) => {
    await changed(stage);
    return await stage.succeed();
  },
  'gate failed for good, Block': async (stage) => {
    await changed(stage);
    return await stage.fail();
  },
  'gate timed out, Block': async (stage) => {
    await holdLock(stage);
    await changed(stage, { timeoutSeconds: 60 });
    return await stage.until('it fails', isFailing);
  },
  'gate timed out, Allow': async (stage) => {
    await holdLock(stage);
    await changed(stage, { timeoutSeconds: 60, onFailure: 'Allow' });
    return await stage.until('it fails', isFailing);
  },
  'gate failed, Allow': async (stage) => {
    await changed(stage, { onFailure: 'Allow' });
    return await stage.fail();
  },
};
