// What the controller measures of itself and of runs, for Prometheus.
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Caches } from './caches.ts';

export interface Metrics {
  registry: Registry;
  leader: Gauge;
  reconciles: Counter<'result'>;
}

/** Gauges of backups are read from the cache when they are asked for, so that series end with their objects. */
export function metricsOf(caches: Caches): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const leader = new Gauge({ name: 'dbbackup_leader', help: '1 while this process leads', registers });
  const reconciles = new Counter({
    name: 'dbbackup_reconcile_total',
    help: 'Looks at backups by result',
    labelNames: ['result'] as const,
    registers,
  });
  perBackup(
    registry,
    caches,
    'dbbackup_last_success_timestamp_seconds',
    'Dump start of the newest committed snapshot',
    (status) =>
      status.lastSuccessfulBackup === undefined ? undefined : Date.parse(status.lastSuccessfulBackup) / 1000,
  );
  perBackup(
    registry,
    caches,
    'dbbackup_consecutive_failures',
    'Failed runs since the last success',
    (status) => status.consecutiveFailures,
  );
  perBackup(
    registry,
    caches,
    'dbbackup_last_size_bytes',
    'Stored size of the newest snapshot',
    (status) => status.lastSnapshot?.storedSize,
  );
  return { registry, leader, reconciles };
}

type Status = NonNullable<
  Caches['backups'] extends ReadonlyMap<string, infer B> ? (B extends { status?: infer S } ? S : never) : never
>;

function perBackup(
  registry: Registry,
  caches: Caches,
  name: string,
  help: string,
  value: (status: Status) => number | undefined,
): void {
  const gauge = new Gauge({
    name,
    help,
    labelNames: ['namespace', 'name'] as const,
    registers: [registry],
    collect: () => {
      gauge.reset();
      for (const { metadata, status } of caches.backups.values()) {
        const now = status === undefined ? undefined : value(status);
        if (now !== undefined) gauge.set({ namespace: metadata.namespace, name: metadata.name }, now);
      }
    },
  });
}
