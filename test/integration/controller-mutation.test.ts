// Every field of a living DatabaseBackup is changed to other valid values on a real API server: the controller follows, and comes to rest.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { annotations, specHash } from '../../crds/rules/names.ts';
import { full, lean } from '../mutation/bases.ts';
import { Eyes } from '../mutation/eyes.ts';
import { immutable, type Mutation, mutations } from '../mutation/mutations.ts';
import { differences, type WholeJob } from '../mutation/shows.ts';
import { conditionsOf, isSettled, Subject } from '../mutation/subject.ts';
import { startCluster } from '../rig/cluster/cluster.ts';
import { type ApiProxy, startApiProxy, upstreamOf } from '../rig/faults/api-proxy.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { installCrd, type World, world } from './controller-world.ts';
import { type Program, startProgram } from './program.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('mutation');
/** Objects that are changed side by side: runs are seconds each, which the Job controller takes for a pod. */
const lanes = 24;
/**
 * Writes of the controller for one change and its run: the status, the waiting Job deleted and made again (both twice where an annotation
 * comes by itself), the lock, the claim, the start, phases, the outcome, the lock given back, an old Job deleted.
 */
const mostWrites = 24;
let most = 0;
let direct: World;
let eyes: Eyes;
let proxy: ApiProxy;
let folder: string;
let controller: Program;

beforeAll(async () => {
  const cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  proxy = await startApiProxy(await upstreamOf(cluster.kubeconfig));
  proxy.counts = (_, path) => !path.includes('/events');
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-mutation-'));
  await proxy.writeKubeconfig(join(folder, 'kubeconfig'));
  eyes = new Eyes(direct.transport);
  await eyes.open();
  controller = startController();
});

afterAll(async () => {
  await controller?.kill();
  eyes?.close();
  await proxy?.stop();
  await stopOwnedRig(rig, log);
  await rm(folder, { recursive: true, force: true });
});

function startController(): Program {
  // Its limits have tests of their own; here they would only make all lanes wait.
  const calls = ['--kube-api-qps', '500', '--kube-api-burst', '1000'];
  const room = ['--max-running', '100', '--max-running-per-namespace', '100', '--workers', '16', ...calls];
  const args = ['--executor-image', 'executor:test', '--no-leader-elect', '--health-port', '0', '--metrics-port', '0'];
  return startProgram('controller/main.ts', [...args, ...room], { KUBECONFIG: join(folder, 'kubeconfig') });
}

/** What was refused because a cache was behind, or found nothing any more, has changed nothing. */
const writesIn = (namespace: string) =>
  proxy.writes.filter(
    ({ path, status = 0 }) => path.includes(`/namespaces/${namespace}/`) && ![404, 409].includes(status),
  );
const good = ['BackupHealthy=True LastRunSucceeded', 'Ready=True Accepted', 'Retained=True Pruned'];

/** An object that has run once. */
async function living(namespace: string, spec: DatabaseBackupSpec, applies = true): Promise<Subject> {
  const subject = await new Subject(direct, eyes, namespace, applies).begin();
  await subject.allowAccount('cloud');
  await (applies ? subject.apply(spec) : subject.create(spec));
  await subject.until('it is observed', isSettled);
  await subject.trigger();
  await subject.end();
  return subject;
}

/** One change of a living object, while a Job waits or before one is asked for, and the run that follows. */
async function change(subject: Subject, { path, spec }: Mutation, turn: number): Promise<void> {
  if (path === 'serviceAccountName' && spec.serviceAccountName !== undefined)
    await subject.allowAccount(spec.serviceAccountName);
  const before = writesIn(subject.namespace).length;
  // Nothing starts while another holds the lock.
  await subject.hold('upgrade');
  const early = turn % 2 === 0;
  if (early) {
    await subject.trigger();
    await subject.waiting();
  }
  const stored = await (subject.applies ? subject.apply(spec) : subject.replace(spec));
  const settled = await subject.until('the change is observed', (backup) =>
    backup.metadata.generation === stored.metadata.generation && isSettled(backup) ? backup : undefined,
  );
  const pending = settled.status?.gate?.token !== undefined && settled.status.gate.satisfiedBy === undefined;
  expect(conditionsOf(settled)).toEqual(
    pending ? [good[0], 'Ready=False GatePending', 'Reconciling=True GatePending', good[2]] : good,
  );
  if (!early) await subject.trigger();
  const image = pending ? (settled.status?.lastSnapshot?.image ?? '') : stored.spec.database.image;
  const meant = { ...stored.spec, database: { ...stored.spec.database, image } };
  await subject.waiting(({ metadata }) => metadata.annotations?.[annotations.specHash] === specHash(meant));
  await subject.hold('');
  const started = await subject.started();
  expect(differences(meant, subject.now ?? settled, started as unknown as WholeJob)).toEqual([]);
  const ended = await subject.end();
  expect(ended.status?.run).toMatchObject({ outcome: 'Succeeded', jobUID: started.metadata.uid });
  expect(conditionsOf(ended)).toEqual(good);
  expect(isSettled(ended)).toBe(true);
  const written = writesIn(subject.namespace).length - before;
  expect(written).toBeLessThanOrEqual(mostWrites);
  most = Math.max(most, written);
}

/** With what was expected, which the message of an assertion cuts off. */
function detailOf(error: unknown): string {
  const { actual } = error as { actual?: unknown };
  return actual === undefined ? String(error) : `${String(error)} ${JSON.stringify(actual)}`;
}

async function lane(number: number, base: DatabaseBackupSpec, list: readonly Mutation[]): Promise<string[]> {
  const subject = await living(`lane-${number}`, base, number % 2 === 0);
  const wrong: string[] = [];
  for (const [turn, mutation] of list.entries()) {
    try {
      await change(subject, mutation, turn);
    } catch (error) {
      wrong.push(`spec.${mutation.path} to ${mutation.to}: ${detailOf(error)}`);
      // What follows would stand on an object that nobody knows the state of.
      break;
    }
  }
  return wrong;
}

/** The controller has looked at everything again once it has looked at what came after it. */
async function lookedAtAll(name: string): Promise<void> {
  const last = await new Subject(direct, eyes, name).begin();
  await last.apply(lean);
  await last.until('it is observed', isSettled);
}

describe('a living object', () => {
  it('follows every change of every field, and comes to rest', async () => {
    const now = new Date();
    const bases = [
      { base: full, all: mutations(full, 'orders', 2, now) },
      { base: lean, all: mutations(lean, 'orders', 1, now) },
    ];
    const total = bases.reduce((sum, { all }) => sum + all.length, 0);
    const runs: Promise<string[]>[] = [];
    for (const { base, all } of bases) {
      const share = Math.round((lanes * all.length) / total);
      for (let at = 0; at < share; at++)
        runs.push(
          lane(
            runs.length,
            base,
            all.filter((_, index) => index % share === at),
          ),
        );
    }
    expect((await Promise.all(runs)).flat()).toEqual([]);
    log(
      `${total} mutations of ${new Set(bases.flatMap(({ all }) => all.map(({ path }) => path))).size} fields, at most ${most} writes for one`,
    );
  }, 900_000);

  it('is written no more, whether it is looked at again or by a controller that starts anew', async () => {
    // What was refused because a cache was behind has changed nothing here either.
    const quiet = () =>
      proxy.writes
        .filter(({ path, status }) => path.includes('/namespaces/lane-') && status !== 409)
        .map(({ method, path, status, body }) => `${method} ${path} ${status} ${body}`);
    await lookedAtAll('rested');
    proxy.writes = [];
    for (const { metadata } of eyes.backups.items.values())
      await new Subject(direct, eyes, metadata.namespace).label({ touched: 'yes' });
    await lookedAtAll('touched');
    expect(quiet()).toEqual([]);
    await controller.kill();
    controller = startController();
    await lookedAtAll('restarted');
    expect(quiet()).toEqual([]);
  });

  it('keeps the cluster that it was created with, which the API server sees to', async () => {
    const subject = await living('immutable', full);
    const moved = structuredClone(full);
    moved.database.cluster = 'elsewhere';
    for (const ask of [() => subject.apply(moved), () => subject.replace(moved)])
      await expect(ask()).rejects.toMatchObject({
        status: 422,
        message: expect.stringContaining(`spec.${immutable} is immutable`),
      });
    const { cluster: _, ...database } = full.database;
    const { metadata } = await subject.replace({ ...full, database: { ...database, host: 'new-db' } });
    const left = await subject.until('the change is observed', (backup) =>
      backup.metadata.generation === metadata.generation && isSettled(backup) ? backup : undefined,
    );
    expect(left.status?.effective?.cluster).toBe('orders');
  });
});
