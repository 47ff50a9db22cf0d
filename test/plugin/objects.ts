// Objects of the API for the plugin's tests: a DatabaseBackup with overrides, its Jobs and pods, and a world that answers from them.
import type { DatabaseBackup, DatabaseBackupSpec, DatabaseBackupStatus } from '../../crds/databasebackup.gen.ts';
import type { Kube } from '../../plugin/kube.ts';
import type { Job } from '../../plugin/objects.ts';
import { openTerminal } from '../../plugin/output/terminal.ts';
import type { World } from '../../plugin/world.ts';

export const recipient = `age1${'q'.repeat(58)}`;

export const spec: DatabaseBackupSpec = {
  schedule: '0 1 * * *',
  timeZone: 'Europe/Berlin',
  database: {
    ...{ engine: 'postgres', image: 'postgres:16', cluster: 'orders-db', host: 'orders-db', name: 'orders' },
    auth: { secretRef: { name: 'orders-db' } },
  },
  storage: {
    pathPrefix: 'postgres/daily',
    s3: { bucket: 'backups', region: 'eu-central-1', auth: { secretRef: { name: 's3-credentials' } } },
  },
  encryption: { age: { recipients: [recipient] } },
  retention: { keepLast: 3, keepWithin: '336h' },
};

export interface Overrides {
  name?: string;
  namespace?: string;
  annotations?: Record<string, string>;
  generation?: number;
  spec?: Partial<DatabaseBackupSpec>;
  /** null is an object that was never given one. */
  status?: DatabaseBackupStatus | null;
}

export const newest = '20250327T000000Z-1a2b3c4d';
export const older = '20250326T000000Z-1a2b5e6f';

export const lastSnapshot = {
  ...{
    id: newest,
    key: `postgres/daily/shop/orders-db/${newest}.snap`,
    size: 5_368_709_120,
    storedSize: 1_288_490_188,
  },
  ...{ sha256: 'ab'.repeat(32), dumpStartedAt: '2025-03-27T00:00:05Z', durationSeconds: 182, engineVersion: '16.4' },
  ...{ image: 'postgres:16', encrypted: true },
};

/** Observed, with two snapshots. */
export const healthy: DatabaseBackupStatus = {
  observedGeneration: 1,
  phase: 'Succeeded',
  nextScheduledBackup: '2025-03-28T00:00:00Z',
  lastSuccessfulBackup: '2025-03-27T00:00:05Z',
  lastSnapshot,
  snapshots: [
    { id: newest, size: 1_288_490_188 },
    { id: older, size: 1_200_000_000 },
  ],
  snapshotCount: 2,
};

export function backup(overrides: Overrides = {}): DatabaseBackup {
  const { name = 'orders', namespace = 'shop', annotations = {}, generation = 1, status = healthy } = overrides;
  return {
    ...{ apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup' },
    metadata: { name, namespace, uid: 'uid-1', resourceVersion: '7', generation, annotations },
    spec: { ...spec, ...overrides.spec },
    ...(status === null ? {} : { status }),
  };
}

export function job(name: string, uid: string, created: string, rest: Partial<Job> = {}): Job {
  return {
    metadata: { name, uid, creationTimestamp: created, labels: { 'dbbackup.io/trigger-kind': 'Schedule' } },
    spec: { suspend: false },
    status: { startTime: created },
    ...rest,
  };
}

export interface TestWorld extends World {
  stdout(): string;
  stderr(): string;
}

/** Every call that a test does not give fails, and time passes only by pausing. */
export function world(kube: Partial<Kube>, time = '2025-03-28T02:00:05Z', colour = false): TestWorld {
  let out = '';
  let err = '';
  let clock = Date.parse(time);
  const missing = (): never => {
    throw new Error('this test gives no answer to the call');
  };
  const calls = ['getBackup', 'listBackups', 'setTrigger', 'jobsOf', 'podsOf', 'logTail', 'getLease'];
  const now = () => new Date(clock);
  const stdout = { write: (text: string) => (out += text) };
  const stderr = { write: (text: string) => (err += text) };
  return {
    kube: { ...Object.fromEntries(calls.map((call) => [call, missing])), ...kube } as Kube,
    terminal: openTerminal({ stdout, stderr, colour, now }),
    ...{ namespace: 'shop', flags: '', zone: 'Europe/Berlin', now },
    signal: new AbortController().signal,
    pause: async (milliseconds) => {
      clock += milliseconds;
    },
    randomHex: (digits) => 'c0ffee00'.slice(0, digits),
    stdout: () => out,
    stderr: () => err,
  };
}
