// What the controller measures of itself and of runs, for Prometheus. docs/metrics.md explains each to its readers.
import type { ServerResponse } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import { Fleet } from './fleet.ts';
import type { Backup } from './objects.ts';
import type { FinishedRun } from './tally.ts';

/** What is read when it is asked for. */
export interface Sources {
  /** Keys in line. */
  queueDepth?: () => number;
  /** When each watch last heard anything of the API server, bookmarks included, in ms. */
  lastHeard?: () => Iterable<readonly [kind: string, at: number]>;
  now?: () => number;
  /** Steady time in ms. */
  steady?: () => number;
}

/** What the queue tells; the names are those of client-go, so that its dashboards show it. */
export interface QueueMetrics {
  added(): void;
  retried(): void;
  /** How long a key was in line. */
  waited(seconds: number): void;
}

export interface Metrics {
  registry: Registry;
  /** Answers a scrape. Never rejects. */
  send(response: ServerResponse): Promise<void>;
  leader: Gauge;
  reconciles: Counter<'result'>;
  queue: QueueMetrics;
  eventDropped(): void;
  /** Counts a run of a backup. Call it once for each, after its outcome stands in status. */
  runFinished(backup: Backup, run: FinishedRun): void;
  /** Ends the counts of an object that is gone. */
  forget(namespace: string, name: string): void;
}

/** Seconds; a queue that keeps up is far below the first. */
const queueLimits = [0.001, 0.01, 0.1, 1, 10, 60, 300, 1800];

export function metricsOf(caches: { backups: ReadonlyMap<string, Backup> }, sources: Sources = {}): Metrics {
  const fleet = new Fleet(caches.backups, sources.steady ?? (() => performance.now()));
  const registers = [fleet];
  collectDefaultMetrics({ register: fleet });
  const leader = new Gauge({ name: 'dbbackup_leader', help: '1 while this process leads', registers });
  const reconciles = new Counter({
    name: 'dbbackup_reconcile_total',
    help: 'Looks at backups by result',
    labelNames: ['result'] as const,
    registers,
  });
  // A rate needs its zero.
  for (const result of ['ok', 'error']) reconciles.inc({ result }, 0);
  const dropped = new Counter({
    name: 'dbbackup_events_dropped_total',
    help: 'Events and repeats of them that were not written: beyond the allowance, or refused',
    registers,
  });
  if (sources.lastHeard !== undefined) watchAge(fleet, sources.lastHeard, sources.now ?? Date.now);
  return {
    registry: fleet,
    send: (response) => fleet.send(response),
    leader,
    reconciles,
    queue: queueMetrics(fleet, sources.queueDepth),
    eventDropped: () => dropped.inc(),
    runFinished: (backup, run) => fleet.runFinished(backup, run),
    forget: (namespace, name) => fleet.forget(namespace, name),
  };
}

function queueMetrics(registry: Registry, depth: Sources['queueDepth']): QueueMetrics {
  const name = 'databasebackup';
  const common = { labelNames: ['name'] as const, registers: [registry] };
  if (depth !== undefined) {
    const gauge: Gauge<'name'> = new Gauge({
      ...common,
      name: 'workqueue_depth',
      help: 'Keys in line',
      collect: () => gauge.set({ name }, depth()),
    });
  }
  const adds = new Counter({ ...common, name: 'workqueue_adds_total', help: 'Keys that came into line' });
  const retries = new Counter({
    ...common,
    name: 'workqueue_retries_total',
    help: 'Keys that came back after a failure',
  });
  const waits = new Histogram({
    ...common,
    name: 'workqueue_queue_duration_seconds',
    help: 'How long keys were in line',
    buckets: queueLimits,
  });
  // A rate needs its zero.
  adds.inc({ name }, 0);
  retries.inc({ name }, 0);
  return {
    added: () => adds.inc({ name }),
    retried: () => retries.inc({ name }),
    waited: (seconds) => waits.observe({ name }, seconds),
  };
}

function watchAge(registry: Registry, lastHeard: NonNullable<Sources['lastHeard']>, now: () => number): void {
  const gauge: Gauge<'kind'> = new Gauge({
    name: 'dbbackup_watch_last_event_age_seconds',
    help: 'Time since a watch last heard of the API server; it sends a bookmark about every minute',
    labelNames: ['kind'] as const,
    registers: [registry],
    collect: () => {
      for (const [kind, at] of lastHeard()) gauge.set({ kind }, Math.max(0, now() - at) / 1000);
    },
  });
}
