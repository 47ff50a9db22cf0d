// The controller within this process, for one namespace: put together as its main.ts does, but cheap to start and cut off in an instant.
import { KubeConfig } from '@kubernetes/client-node';
import { pino } from 'pino';
import { Caches } from '../../controller/caches.ts';
import { Clock } from '../../controller/clock.ts';
import { Events } from '../../controller/events.ts';
import { keepAll, keepJob, keepPod } from '../../controller/keep.ts';
import { type Kube, kubeOf, type WatchedKind, watched } from '../../controller/kube.ts';
import { Limiter } from '../../controller/limit.ts';
import type { Backup, Job, Lease, Meta, Pod } from '../../controller/objects.ts';
import type { Settings } from '../../controller/observed.ts';
import { Queue } from '../../controller/queue.ts';
import { reconcile } from '../../controller/reconcile.ts';
import { Seats } from '../../controller/seats.ts';
import { Staleness } from '../../controller/staleness.ts';
import { Transport } from '../../controller/transport.ts';
import { keyOf, Reflector } from '../../controller/watch.ts';
import { Wiring } from '../../controller/wiring.ts';

export interface Inside {
  /** Nothing of it writes any more, whatever it was at. */
  kill(): void;
  /** It has worked off all it knows of, and knows these. */
  settled(objects: readonly { metadata: Meta }[]): boolean;
}

const allowedSkewMilliseconds = 300_000;
const silent = pino({ level: 'silent' });

/** Resolves when it is at work. */
export async function startInside(kubeconfig: string, namespace: string, settings: Settings): Promise<Inside> {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  const dead = new AbortController();
  const clock = new Clock(allowedSkewMilliseconds);
  const transport = new Transport(config, new Limiter(50, 100)).for({
    heard: (date, askedAt) => clock.heard(date, askedAt),
  });
  const kube: Kube = kubeOf(transport.for({ signal: () => dead.signal }));
  const follow = <T extends { metadata: Meta }>(
    kind: WatchedKind,
    told: (object: T) => void,
    keep: (object: T) => T = keepAll,
  ): Reflector<T> => {
    const path = kind.path.replace(/([^/]+)$/, `namespaces/${namespace}/$1`);
    return new Reflector<T>(transport, { ...kind, path }, silent, told, { keep, patience: { spread: 0 } });
  };
  const backups = follow<Backup>(watched.backups, (backup) => wiring.backupTold(backup));
  const jobs = follow<Job>(watched.jobs, (job) => wiring.jobTold(job), keepJob);
  const pods = follow<Pod>(watched.pods, (pod) => wiring.podTold(pod), keepPod);
  const leases = follow<Lease>(watched.leases, (lease) => wiring.leaseTold(lease));
  const reflectors = [backups, jobs, pods, leases];
  const caches = new Caches({ backups: backups.items, jobs: jobs.items, pods: pods.items, leases: leases.items });
  const seats = new Seats(caches, settings, () => clock.now());
  const wiring: Wiring = new Wiring(caches, seats, (key) => queue.add(key));
  const now = (): Date => new Date(clock.now());
  const events = new Events(kube, { instance: 'inside', now, dropped: () => undefined });
  const staleness = new Staleness();
  let busy = 0;
  const work = async (key: string): Promise<number | undefined> => {
    busy += 1;
    try {
      const tell = (backup: Backup, happening: Parameters<Events['record']>[1]): void =>
        void events.record(backup, happening);
      const none = (): void => undefined;
      return await reconcile(
        {
          ...{ caches, seats, kube, settings, staleness, now, launchesWait: () => false },
          finished: none,
          tell,
          forget: none,
        },
        key,
      );
    } finally {
      busy -= 1;
    }
  };
  const queue = new Queue(
    work,
    () => undefined,
    {},
    () => clock.now(),
  );
  for (const reflector of reflectors) void reflector.run();
  await Promise.all(reflectors.map((reflector) => reflector.synced));
  queue.start(4);
  for (const backup of backups.items.values()) queue.add(keyOf(backup));
  return {
    kill: () => {
      dead.abort(new Error('killed'));
      for (const reflector of reflectors) reflector.stop();
      void queue.stop();
    },
    settled: (objects) => {
      const knows = (object: { metadata: Meta }): boolean =>
        [backups, jobs, leases].some(({ items }) => {
          const found = items.get(keyOf(object))?.metadata;
          return found?.uid === object.metadata.uid && found.resourceVersion === object.metadata.resourceVersion;
        });
      return busy === 0 && queue.depth === 0 && objects.every(knows);
    },
  };
}
