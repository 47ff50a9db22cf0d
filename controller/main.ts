// The controller's process: wiring of caches, queue, leader election, health and metrics, and a clean end on SIGTERM.
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { KubeConfig } from '@kubernetes/client-node';
import { pino } from 'pino';
import { Caches } from './caches.ts';
import { Clock } from './clock.ts';
import { Events } from './events.ts';
import { keepAll, keepJob, keepPod } from './keep.ts';
import { kubeOf, type WatchedKind, watched } from './kube.ts';
import { endTerm, lead, type Term } from './leader.ts';
import { Limiter } from './limit.ts';
import { metricsOf } from './metrics.ts';
import type { Backup, Job, Lease, Meta, Pod } from './objects.ts';
import { readOptions } from './options.ts';
import { Queue } from './queue.ts';
import { reconcile, type World } from './reconcile.ts';
import { Seats } from './seats.ts';
import { Staleness } from './staleness.ts';
import { Transport } from './transport.ts';
import { Reflector } from './watch.ts';
import { Wiring } from './wiring.ts';

const { env } = process;
/** Put in by the build. */
const release = process.env.DBBACKUP_VERSION ?? 'development';
const options = readOptions(
  process.argv.slice(2),
  {
    executorImage: env['EXECUTOR_IMAGE'],
    namespace: env['POD_NAMESPACE'],
    identity: env['POD_NAME'] ?? `${hostname()}-${process.pid}`,
  },
  release,
);
const log = pino({ level: options.logLevel, base: { program: 'controller', version: release } });
const config = new KubeConfig();
config.loadFromDefault();
const clock = new Clock(options.maxClockSkewSeconds * 1000);
const limiter = new Limiter(options.kubeApiQps, options.kubeApiBurst);
const transport = new Transport(config, limiter).for({
  heard: (date, askedAt) => clock.heard(date, askedAt),
});
/** Gives up the calls of work that has to end. */
let calls = new AbortController();
const kube = kubeOf(transport.for({ signal: () => calls.signal }));
const stopping = new AbortController();

const follow = <T extends { metadata: Meta }>(
  kind: WatchedKind,
  told: (object: T) => void,
  keep: (object: T) => T = keepAll,
): Reflector<T> => new Reflector<T>(transport, kind, log, told, { keep });
const backups = follow<Backup>(watched.backups, (backup) => wiring.backupTold(backup));
const jobs = follow<Job>(watched.jobs, (job) => wiring.jobTold(job), keepJob);
const pods = follow<Pod>(watched.pods, (pod) => wiring.podTold(pod), keepPod);
const leases = follow<Lease>(watched.leases, (lease) => wiring.leaseTold(lease));
const reflectors = [backups, jobs, pods, leases];
const caches = new Caches({ backups: backups.items, jobs: jobs.items, pods: pods.items, leases: leases.items });
const seats = new Seats(caches, options, () => clock.now());
let working = false;
const wiring: Wiring = new Wiring(caches, seats, (key) => {
  if (working) queue.add(key);
});
const metrics = metricsOf(caches, {
  queueDepth: () => queue.depth,
  lastHeard: () =>
    reflectors.flatMap(({ name, lastEventAt }) => (lastEventAt === undefined ? [] : [[name, lastEventAt] as const])),
});
const events = new Events(kube, {
  instance: options.identity,
  now: () => new Date(clock.now()),
  dropped: metrics.eventDropped,
});

const world: Omit<World, 'settings'> = {
  caches,
  seats,
  kube,
  staleness: new Staleness(),
  // For our own limits, or for an API server that answers slowly.
  launchesWait: () => limiter.writes.launchesWait || queue.depth >= options.workers,
  now: () => new Date(clock.now()),
  finished: (backup, run) => metrics.runFinished(backup, run),
  tell: (backup, happening) => void events.record(backup, happening),
  forget: (key) => {
    const [namespace = '', name = ''] = key.split('/');
    metrics.forget(namespace, name);
  },
};
let clusterUid = '';
const queue = new Queue(
  async (key) => {
    const { executorImage, startTimeoutSeconds, maxRunning, maxRunningPerNamespace } = options;
    const settings = { executorImage, clusterUid, startTimeoutSeconds, maxRunning, maxRunningPerNamespace };
    const at = await reconcile({ ...world, settings }, key);
    metrics.reconciles.inc({ result: 'ok' });
    return at;
  },
  (key, error, waitMilliseconds) => {
    metrics.reconciles.inc({ result: 'error' });
    log.error({ key, error: String(error), waitMilliseconds }, 'reconcile failed');
  },
  { ...metrics.queue, waited: (milliseconds) => metrics.queue.waited(milliseconds / 1000) },
  () => clock.now(),
);

let ready = false;
function listen(port: number, answer: (path: string, response: ServerResponse) => void): Server | undefined {
  if (port === 0) return undefined;
  return createServer((request, response) => answer(request.url ?? '', response)).listen(port);
}
const say = (response: ServerResponse, code: number, text: string): void => void response.writeHead(code).end(text);
const servers = [
  listen(options.healthPort, (path, response) => {
    if (path === '/healthz') say(response, 200, 'ok\n');
    else if (path !== '/readyz') say(response, 404, 'not found\n');
    else say(response, ready ? 200 : 503, ready ? 'ok\n' : 'caches are not filled\n');
  }),
  listen(options.metricsPort, (path, response) => {
    if (path === '/metrics') void metrics.send(response);
    else say(response, 404, 'not found\n');
  }),
];

const term: Term = {
  begin: () => {
    calls = new AbortController();
    working = true;
    metrics.leader.set(1);
    queue.start(options.workers);
    wiring.everything();
  },
  end: () => {
    working = false;
    metrics.leader.set(0);
    return queue.stop();
  },
  interrupt: () => calls.abort(new Error('the work has to end')),
  stuck: () => {
    log.error({}, 'the work does not end: exiting');
    process.exit(1);
  },
};
/** Milliseconds in which the work ends in peace where no lease says how long. */
const endMilliseconds = 5_000;

function stop(signal: string): void {
  if (stopping.signal.aborted) return;
  log.info({ signal }, 'stopping');
  stopping.abort();
  // No work has begun.
  if (!ready) process.exit(0);
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);

for (const reflector of reflectors) void reflector.run();
await Promise.all(reflectors.map((reflector) => reflector.synced));
clusterUid = await wiring.untilAnswered(() => kube.kubeSystemUid(), stopping.signal, log);
ready = true;
log.info({ backups: backups.items.size, jobs: jobs.items.size }, 'caches are filled');
const { namespace, identity, leaderElect } = options;
if (leaderElect) {
  const leaderKube = kubeOf(transport.for({ lane: 'leader' }));
  const leaseName = 'dbbackup-controller';
  await lead({ kube: leaderKube, namespace, leaseName, identity, log, signal: stopping.signal, term });
} else {
  term.begin();
  await once(stopping.signal, 'abort');
  if (!(await endTerm(term, endMilliseconds))) term.stuck();
}
for (const reflector of reflectors) reflector.stop();
for (const server of servers) server?.close();
process.exit(0);
