// What a spec means once everything that it leaves out is computed. Pure; the webhook, the controller and the plugin all ask here.
import type { DatabaseBackup } from '../databasebackup.gen.ts';
import type { DatabaseTask } from './engines/engine.ts';
import { engines } from './engines/table.ts';

const defaultLevels = { zstd: 3, gzip: 6, none: 0 } as const;

export interface Effective {
  cluster: string;
  port: number;
  timeZone: string;
  suspend: boolean;
  startingDeadlineSeconds: number;
  gateTimeoutSeconds: number;
  compression: { algorithm: 'zstd' | 'gzip' | 'none'; level: number };
  activeDeadlineSeconds: number;
  backoffLimit: number;
  runAsUser: number;
  fsGroup: number;
  maxDeletesPerRun: number;
  successfulJobsHistoryLimit: number;
  failedJobsHistoryLimit: number;
}

/** The lock's name for a host: its first label in lower case where it is a DNS name, else the object's own name, dots as hyphens. */
export function defaultCluster(host: string, name: string): string {
  const label = host.split('.')[0]?.toLowerCase() ?? '';
  const isAddress = /^[\d.]+$/.test(host) || host.includes(':');
  return !isAddress && /^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$/.test(label)
    ? label
    : (name?.replaceAll('.', '-') ?? name);
}

/**
 * Computes every default, also for a stored object that lacks what today's schema requires: a condition says what is wrong with it.
 * The pinned cluster of status wins over a computed one, so that it never moves.
 */
export function effective(backup: DatabaseBackup): Effective {
  const { spec } = backup;
  const algorithm = spec.compression?.algorithm ?? 'zstd';
  return {
    cluster:
      spec.database?.cluster ??
      backup.status?.effective?.cluster ??
      defaultCluster(spec.database?.host ?? '', backup.metadata.name),
    port: spec.database?.port ?? engines[spec.database?.engine]?.defaultPort ?? 0,
    timeZone: spec.timeZone ?? 'Etc/UTC',
    suspend: spec.suspend ?? false,
    startingDeadlineSeconds: spec.startingDeadlineSeconds ?? 3600,
    gateTimeoutSeconds: spec.gate?.timeoutSeconds ?? 3600,
    compression: { algorithm, level: spec.compression?.level ?? defaultLevels[algorithm] },
    activeDeadlineSeconds: spec.job?.activeDeadlineSeconds ?? 21600,
    backoffLimit: spec.job?.backoffLimit ?? 1,
    runAsUser: spec.job?.runAsUser ?? 65532,
    fsGroup: spec.job?.fsGroup ?? 65532,
    maxDeletesPerRun: spec.retention?.maxDeletesPerRun ?? 10,
    successfulJobsHistoryLimit: spec.successfulJobsHistoryLimit ?? 1,
    failedJobsHistoryLimit: spec.failedJobsHistoryLimit ?? 3,
  };
}

/** The database of a run. */
export function databaseTask(backup: DatabaseBackup): DatabaseTask {
  const { host, name, allDatabases, restoreCommand } = backup.spec.database;
  return {
    host,
    port: effective(backup).port,
    ...(name === undefined ? {} : { name }),
    ...(allDatabases === undefined ? {} : { allDatabases: true }),
    ...(restoreCommand === undefined ? {} : { restoreCommand }),
  };
}
