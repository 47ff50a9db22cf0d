// Every state of error of a DatabaseBackup on a real API server, mended as a person would mend it: the backup recovers without further help.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { annotations, triggerJobName } from '../../crds/rules/names.ts';
import { lean } from '../mutation/bases.ts';
import { Eyes } from '../mutation/eyes.ts';
import { conditionsOf, isSettled, Subject } from '../mutation/subject.ts';
import { startCluster } from '../rig/cluster/cluster.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { installCrd, type World, world } from './controller-world.ts';
import { type Program, startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('mending');
let direct: World;
let eyes: Eyes;
let controller: Program;

beforeAll(async () => {
  const cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  eyes = new Eyes(direct.transport);
  await eyes.open();
  const args = ['--executor-image', 'executor:test', '--no-leader-elect', '--health-port', '0', '--metrics-port', '0'];
  controller = startProgram('controller/main.ts', [...args, '--max-running', '100'], {
    KUBECONFIG: cluster.kubeconfig,
  });
});

afterAll(async () => {
  await controller?.kill();
  eyes?.close();
  await stopOwnedRig(rig, log);
});

const good = ['BackupHealthy=True LastRunSucceeded', 'Ready=True Accepted', 'Retained=True Pruned'];
const failed = { run: { outcome: 'Failed', reason: 'DumpFailed', message: 'connection lost' } } as const;
/** One pod a Job: the first failure is the last. */
const base: DatabaseBackupSpec = { ...lean, job: { backoffLimit: 0 } };
const gated = (token: string, more: Partial<NonNullable<DatabaseBackupSpec['gate']>> = {}): DatabaseBackupSpec => ({
  ...base,
  gate: { token, ...more },
});

/** An object that has run once, and is well. */
async function living(namespace: string, spec = base): Promise<Subject> {
  const subject = await new Subject(direct, eyes, namespace).begin();
  await subject.apply(spec);
  await subject.until('it is observed', isSettled);
  await subject.trigger();
  const first = await subject.end();
  expect(conditionsOf(first)).toEqual(good);
  return subject;
}

const says = (subject: Subject, ...wanted: string[]) =>
  subject.until(`it says ${wanted.join(', ')}`, (backup) =>
    isSettled(backup) && wanted.every((one) => conditionsOf(backup).includes(one)) ? backup : undefined,
  );

/** It is well again, and the next run succeeds. */
async function isWell(subject: Subject): Promise<void> {
  await subject.until('it is well', (backup) => isSettled(backup) && conditionsOf(backup).join() === good.join());
  await subject.trigger();
  const ended = await subject.end();
  expect(conditionsOf(ended)).toEqual(good);
  expect(ended.status).toMatchObject({ consecutiveFailures: 0, run: { outcome: 'Succeeded' } });
  expect(ended.status?.failureReason).toBeUndefined();
}

const core = ({ namespace }: Subject) => `/api/v1/namespaces/${namespace}`;
const remove = (path: string) => direct.transport.call({ method: 'DELETE', path });

/** Allows none of a kind, and waits until that is in force. */
async function allowNone(subject: Subject, kind: 'count/jobs.batch' | 'pods'): Promise<() => Promise<unknown>> {
  const quotas = `${core(subject)}/resourcequotas`;
  await subject.post(quotas, { metadata: { name: 'none' }, spec: { hard: { [kind]: '0' } } });
  await waitFor('the quota is in force', async () => {
    const quota = await direct.transport.call<{ status?: { hard?: object } }>({
      method: 'GET',
      path: `${quotas}/none`,
    });
    return quota.status?.hard !== undefined;
  });
  return () => remove(`${quotas}/none`);
}

describe.concurrent('a backup recovers', () => {
  it('when a time zone that nobody knows is made right, and runs what was asked for meanwhile', async () => {
    const subject = await living('zone');
    await subject.apply({ ...base, schedule: '0 0 29 2 *', timeZone: 'Europe/Nowhere' });
    await says(subject, 'Ready=False InvalidSpec', 'Stalled=True InvalidSpec', good[0] ?? '');
    await subject.trigger();
    await subject.apply({ ...base, schedule: '0 0 29 2 *', timeZone: 'Europe/Berlin' });
    expect(conditionsOf(await subject.end())).toEqual(good);
    await isWell(subject);
  });

  it('though an annotation or a label of it is none that the webhook lets in, of which it is not asked', async () => {
    const subject = await living('annotation');
    await subject.annotate({ 'dbbackup.io/oops': 'x', [annotations.trigger]: 'vor dem Übergang' });
    await subject.until('the token is told of', ({ status }) =>
      status?.conditions?.some(({ type, message }) => type === 'Ready' && message.includes('asks for nothing')),
    );
    await isWell(subject);
  });

  it('when its service account comes, and gets the label', async () => {
    const subject = await living('account');
    await subject.apply({ ...base, serviceAccountName: 'cloud' });
    await subject.trigger();
    await says(subject, 'BackupHealthy=False ServiceAccountNotAllowed', 'Ready=True Accepted');
    const accounts = `${core(subject)}/serviceaccounts`;
    await subject.post(accounts, { metadata: { name: 'cloud' } });
    await subject.patch(`${accounts}/cloud`, { metadata: { labels: { 'dbbackup.io/backup': 'allowed' } } });
    await subject.end();
    await isWell(subject);
  });

  it('when a Job of somebody else that has the name is gone', async () => {
    const subject = await living('conflict');
    const { uid = '' } = subject.now?.metadata ?? {};
    const before = subject.now?.status?.lastHandledTrigger?.jobUID ?? '';
    const name = triggerJobName('orders', uid, 'Manual', 'taken', before);
    const jobs = `/apis/batch/v1/namespaces/${subject.namespace}/jobs`;
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'a' }] } };
    await subject.post(jobs, { metadata: { name }, spec: { suspend: true, template } });
    await subject.annotate({ [annotations.trigger]: 'taken' });
    await says(subject, 'BackupHealthy=False NameConflict', 'Ready=True Accepted');
    await remove(`${jobs}/${name}`);
    await subject.end();
    await isWell(subject);
  });

  it('when a run succeeds after one that failed', async () => {
    const subject = await living('failed');
    await subject.trigger();
    const ended = await subject.end(failed);
    expect(conditionsOf(ended)).toEqual([
      'BackupHealthy=False DumpFailed',
      'Ready=True Accepted',
      'Retained=True Pruned',
    ]);
    expect(ended.status?.consecutiveFailures).toBe(1);
    await subject.trigger();
    await subject.end();
    await isWell(subject);
  });

  it.each<[string, string, (subject: Subject) => Promise<unknown>]>([
    ['when a later run succeeds', 'later', async (subject) => [await subject.trigger(), await subject.end()]],
    ['when the change is taken back', 'back', (subject) => subject.apply(base)],
    [
      'when another change is asked for and its backup succeeds',
      'another',
      async (subject) => [await subject.apply(gated('C')), await subject.end()],
    ],
  ])('from a gate that failed %s', async (_name, namespace, mend) => {
    const subject = await living(`gate-${namespace}`, gated('A'));
    await subject.apply(gated('B'));
    await subject.end(failed);
    await says(subject, 'Ready=False GateFailed', 'Stalled=True GateFailed');
    await mend(subject);
    // What was taken back is no success: the run that failed is still the last one.
    if (namespace === 'back') {
      await says(subject, 'Ready=True Accepted', 'BackupHealthy=False DumpFailed');
      await subject.trigger();
      await subject.end();
    }
    await isWell(subject);
  });

  it('from a gate that timed out behind a lock, when the lock is free and a run succeeds', async () => {
    const subject = await living('gate-late', gated('A'));
    await subject.hold('migration');
    await subject.apply(gated('B', { timeoutSeconds: 60 }));
    await says(subject, 'Ready=False GatePending', 'Reconciling=True GatePending');
    await says(subject, 'Ready=False GateFailed', 'Stalled=True GateFailed', 'BackupHealthy=False GateFailed');
    await subject.apply(gated('B', { timeoutSeconds: 60, onFailure: 'Allow' }));
    await says(subject, 'Ready=True GateOverridden', 'BackupHealthy=False GateFailed');
    await subject.hold('');
    await subject.trigger();
    await subject.end();
    await isWell(subject);
  });

  it('when somebody else who holds the lock gives it back, and says Locked no more', async () => {
    const subject = await living('locked');
    await subject.hold('migration');
    await subject.trigger();
    await says(subject, 'Locked=True LockHeld', ...good);
    await subject.hold('');
    await subject.end();
    await isWell(subject);
  });

  it('when a quota that allows no Jobs goes', async () => {
    const subject = await living('quota-jobs');
    const lift = await allowNone(subject, 'count/jobs.batch');
    await subject.trigger();
    await says(subject, 'BackupHealthy=False JobRefused', 'Ready=True Accepted');
    await lift();
    await subject.end();
    await isWell(subject);
  });

  it('when a quota that allows no pods goes', async () => {
    const subject = await living('quota-pods');
    const lift = await allowNone(subject, 'pods');
    await subject.trigger();
    const blocked = await says(subject, 'BackupHealthy=False Unschedulable', 'Ready=True Accepted');
    expect(blocked.status?.conditions?.find(({ type }) => type === 'BackupHealthy')?.message).toContain(
      'exceeded quota',
    );
    await lift();
    await subject.end();
    await isWell(subject);
  });

  it('when a run was canceled, which is no failure', async () => {
    const subject = await living('canceled');
    await subject.trigger();
    const { metadata } = await subject.started();
    const path = `/apis/batch/v1/namespaces/${subject.namespace}/jobs/${metadata.name}`;
    await subject.patch(path, { spec: { suspend: true } });
    const canceled = await subject.until(
      'it is canceled',
      (backup) => backup.status?.run?.outcome === 'Canceled' && backup,
    );
    expect(conditionsOf(canceled)).toEqual(good);
    await subject.until('its Job is gone', () => !subject.jobs.some(({ metadata: { uid } }) => uid === metadata.uid));
    await subject.trigger();
    await subject.end();
    await isWell(subject);
  });

  it('when its Job was deleted while it ran', async () => {
    const subject = await living('deleted');
    await subject.trigger();
    const { metadata } = await subject.started();
    const path = `/apis/batch/v1/namespaces/${subject.namespace}/jobs/${metadata.name}`;
    await direct.transport.call({ method: 'DELETE', path, body: { propagationPolicy: 'Background' } });
    await says(subject, 'BackupHealthy=False Unknown', 'Ready=True Accepted');
    await subject.trigger();
    await subject.end();
    await isWell(subject);
  });
}, 300_000);
