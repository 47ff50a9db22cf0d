// Two controllers at work at once, without election, each over a line that delays, loses and refuses, one of them killed every fifty
// windows: a window has one Job that ever ran, a lock one holder, and each window is claimed or counted as missed once.
// DBBACKUP_PAIR_WINDOWS says how many windows are claimed, TEST_SEED what befalls them.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { jobEnd } from '../../controller/objects.ts';
import { group, plural, version } from '../../crds/rules/names.ts';
import { randomOf } from '../crds/seeded.ts';
import { startCluster } from '../rig/cluster/cluster.ts';
import { Accounts } from '../rig/faults/accounts.ts';
import { upstreamOf } from '../rig/faults/api-proxy.ts';
import { Judge } from '../rig/faults/judge.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { History } from './controller-history.ts';
import { Kubelet, Racer, SharedClock } from './controller-pair-stage.ts';
import { backupObject, createNamespace, installCrd, type World, world } from './controller-world.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
const rig = ownedRig('pair');
const seed = Number(process.env['TEST_SEED'] ?? '20250327');
const namespace = 'pair';
/** Windows of a backup that come one after the other; and one between them that is passed over, and counted as missed. */
const perBackup = 5;
const skipped = 2;
const count = Math.ceil(Number(process.env['DBBACKUP_PAIR_WINDOWS'] ?? '120') / perBackup);
const locks = Math.max(1, Math.round(count / 3));
const killEvery = 50;
const minute = 60_000;
/** When nothing at all has happened for so long, nothing will: runs of the slowest machine have something happen every few seconds. */
const stallMilliseconds = 300_000;

let direct: World;
let history: History;
let clock: SharedClock;
let kubelet: Kubelet;
let racers: Racer[] = [];
const accounts = new Accounts();

beforeAll(async () => {
  // Pods must stay where the test leaves them: never on a cluster with a node of somebody's own.
  const cluster = await startCluster({ name: rig, node: false, log, env: { ...process.env, DBBACKUP_KUBECONFIG: '' } });
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  await createNamespace(direct, namespace);
  history = new History(direct);
  await history.start();
  clock = await SharedClock.open();
  kubelet = new Kubelet(direct, randomOf(seed));
  const upstream = await upstreamOf(cluster.kubeconfig);
  racers = await Promise.all([1, 2].map((number) => Racer.open(upstream, clock.folder, number, seed)));
});

afterAll(async () => {
  await Promise.all(racers.map((racer) => racer.close()));
  await kubelet?.done();
  history?.stop();
  await clock?.close();
  await stopOwnedRig(rig, log);
});

const path = `/apis/${group}/${version}/namespaces/${namespace}/${plural}`;
const names = Array.from({ length: count }, (_, index) => `backup-${index}`);

/** Minutes of one hour that is yet to come, and never again before the next year. */
function plan(now: number): { schedule: string; windows: number[] } {
  const soon = new Date(Math.ceil((now + 10 * minute) / minute) * minute);
  if (soon.getUTCMinutes() + perBackup >= 60) soon.setUTCHours(soon.getUTCHours() + 1, 0, 0, 0);
  const windows = Array.from({ length: perBackup + 1 }, (_, index) => soon.getTime() + index * minute);
  const first = soon.getUTCMinutes();
  const day = `${soon.getUTCHours()} ${soon.getUTCDate()} ${soon.getUTCMonth() + 1} *`;
  return { schedule: `${first}-${first + perBackup} ${day}`, windows };
}

async function create(schedule: string): Promise<void> {
  for (const [index, name] of names.entries()) {
    const database = { engine: 'postgres', image: 'postgres:16', host: `db-${index % locks}`, name: 'orders' };
    const storage = { s3: { bucket: 'backups', region: 'eu', auth: { secretRef: { name: 's3' } } }, pathPrefix: name };
    const auth = { secretRef: { name: 'db' } };
    const spec = { schedule, database: { ...database, auth }, storage, job: { backoffLimit: 0 } };
    await direct.transport.call({ method: 'POST', path, body: backupObject(namespace, name, spec) });
  }
}

/** Everybody looks at everything at once: controllers notice a clock that was set only within half a minute. */
async function wake(round: string): Promise<void> {
  const body = { metadata: { annotations: { round } } };
  for (const name of names) await direct.transport.call({ method: 'PATCH', path: `${path}/${name}`, body });
}

/** Backups that have not come to rest after the window. */
function open(window: number): string[] {
  const jobs = [...history.jobs.items.values()];
  return names.filter((name) => {
    const { status = {}, metadata } = history.backups.items.get(`${namespace}/${name}`) ?? {};
    const until = [status.lastAttemptScheduledTime, status.missedUntil].map((time) => Date.parse(time ?? '') || 0);
    const unfinished = jobs.some((job) => job.metadata.ownerReferences?.[0]?.uid === metadata?.uid && !jobEnd(job));
    return Math.max(...until) < window || (status.run !== undefined && status.run.outcome === undefined) || unfinished;
  });
}

const held = (): string[] =>
  [...history.leases.items.values()]
    .filter(({ metadata, spec }) => metadata.namespace === namespace && (spec?.holderIdentity ?? '') !== '')
    .map(({ metadata }) => metadata.name);

let killAt = killEvery;
/** Turns about, whichever comes to write next dies of it. */
function killInTurn(claimed: number): void {
  if (claimed < killAt) return;
  racers[(killAt / killEvery) % racers.length]?.doom();
  killAt += killEvery;
}

/** Plays the kubelet and the killer until nothing is left to do; there is no time limit as long as something happens. */
async function until(what: string, left: () => string[]): Promise<void> {
  let seen = -1;
  let since = performance.now();
  for (let rest = left(); rest.length > 0; rest = left()) {
    const pods = [...history.pods.items.values()].filter(({ metadata }) => metadata.namespace === namespace);
    kubelet.look(pods);
    killInTurn(accounts.follow(history.backups.told).claimed);
    await clock.hold();
    const events = history.events(namespace);
    if (events !== seen) since = performance.now();
    seen = events;
    if (performance.now() - since > stallMilliseconds)
      throw new Error(`nothing happens any more; ${what} waits for ${rest}\n${racers.map(({ output }) => output)}`);
    await sleep(100);
  }
}

it('two controllers at once keep one run a window and one holder a lock', { timeout: 6 * 3_600_000 }, async () => {
  const began = performance.now();
  const { schedule, windows } = plan(Date.now());
  await create(schedule);
  const rounds = windows.filter((_, index) => index !== skipped);
  for (const [index, window] of rounds.entries()) {
    await clock.set(window + 1000);
    await wake(String(index));
    await until(`window ${index + 1} of ${rounds.length}`, () => open(window));
    for (const racer of racers) await racer.fulfil();
    log(`${(index + 1) * count} windows, ${Math.round((performance.now() - began) / 1000)} s`);
  }
  await until('the end', held);
  await history.complete(namespace);
  accounts.follow(history.backups.told);
  const judge = new Judge(history.jobs.told, history.pods.told, history.leases.told);
  const kills = racers.reduce((sum, racer) => sum + racer.kills, 0);
  const mishaps = racers.map((racer) => [...racer.mishaps].map(([kind, times]) => `${times} ${kind}`).join(' '));
  log(
    `${accounts.claimed} windows claimed, ${accounts.missed} missed, ${judge.ran.size} ran, ${judge.handovers} handovers`,
  );
  log(`${kills} kills; writes that met something: ${mishaps.join('; ')}; ${history.events(namespace)} events`);
  expect(judge.breaches).toEqual([]);
  expect(accounts.wrong(windows)).toEqual([]);
  expect(accounts.claimed).toBe(count * perBackup);
  expect(judge.ran.size).toBe(accounts.claimed);
  expect(kills).toBe(Math.floor(accounts.claimed / killEvery));
});
