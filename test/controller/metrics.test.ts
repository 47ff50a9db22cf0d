// What Prometheus is told, as text: of backups from the cache, of runs and of the controller itself.
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Metrics, metricsOf, type Sources } from '../../controller/metrics.ts';
import type { Backup } from '../../controller/objects.ts';
import { newFor } from '../../controller/tally.ts';
import { backup, created, window } from './builders.ts';

const labels = 'namespace="shop",name="orders",engine="postgres",storage="s3"';
const unix = (time: string) => Date.parse(time) / 1000;

let backups: Map<string, Backup>;
let metrics: Metrics;
/** Steady time in ms. */
let steady = 0;

beforeEach(() => {
  backups = new Map();
  metrics = metricsOf({ backups }, { steady: () => steady });
});

/** Until new counts are told as they are. */
function wait(): void {
  steady += newFor;
}

function holds(object: Backup): void {
  backups.set(`${object.metadata.namespace}/${object.metadata.name}`, object);
}

async function lines(prefix: string, of = metrics): Promise<string[]> {
  return (await of.registry.metrics()).split('\n').filter((line) => line.startsWith(prefix));
}

/** The value of the one series of a name that the backup has. */
async function valueIn(name: string): Promise<string | undefined> {
  const start = `${name}{${labels}} `;
  const found = await lines(start);
  expect(found.length).toBeLessThanOrEqual(1);
  return found[0]?.slice(start.length);
}

describe('a backup', () => {
  it('is told of from its status', async () => {
    const condition = { observedGeneration: 1, lastTransitionTime: window, reason: 'A', message: 'b' };
    holds(
      backup({
        status: {
          lastSuccessfulBackup: '2025-03-27T01:00:03Z',
          run: { trigger: 'Schedule', jobName: 'a', jobUID: 'b', claimedAt: window },
          nextScheduledBackup: '2025-03-28T01:00:00Z',
          lastSnapshot: { size: 5000, storedSize: 1234 },
          consecutiveFailures: 2,
          missedWindows: 7,
          scheduleBaseline: '2025-03-26T13:00:00Z',
          conditions: [
            { ...condition, type: 'Ready', status: 'True' },
            { ...condition, type: 'BackupHealthy', status: 'False' },
          ],
        },
      }),
    );
    expect(await lines('dbbackup_')).toEqual(
      expect.arrayContaining([
        `dbbackup_last_success_timestamp_seconds{${labels}} ${unix('2025-03-27T01:00:03Z')}`,
        `dbbackup_last_attempt_timestamp_seconds{${labels}} ${unix(window)}`,
        `dbbackup_next_schedule_timestamp_seconds{${labels}} ${unix('2025-03-28T01:00:00Z')}`,
        `dbbackup_last_size_bytes{${labels}} 1234`,
        `dbbackup_consecutive_failures{${labels}} 2`,
        `dbbackup_missed_windows{${labels}} 7`,
        `dbbackup_suspended{${labels}} 0`,
        `dbbackup_schedule_interval_seconds{${labels}} 86400`,
        `dbbackup_schedule_baseline_timestamp_seconds{${labels}} ${unix('2025-03-26T13:00:00Z')}`,
        `dbbackup_created_timestamp_seconds{${labels}} ${unix(created)}`,
        `dbbackup_condition{${labels},type="Ready",status="True"} 1`,
        `dbbackup_condition{${labels},type="BackupHealthy",status="False"} 1`,
      ]),
    );
  });

  it('has no series for what did not happen', async () => {
    const { status: _, ...unseen } = backup({ spec: { suspend: true } });
    holds(unseen);
    expect(await lines('dbbackup_')).toContain(`dbbackup_suspended{${labels}} 1`);
    for (const name of ['last_success_timestamp_seconds', 'last_attempt_timestamp_seconds', 'last_size_bytes'])
      expect(await valueIn(`dbbackup_${name}`)).toBeUndefined();
    expect(await lines('dbbackup_condition')).toEqual([]);
    expect(await valueIn('dbbackup_schedule_baseline_timestamp_seconds')).toBe(String(unix(created)));
  });

  it('has no interval without a schedule, or with one that is none', async () => {
    for (const schedule of [undefined, 'whenever']) {
      const object = backup();
      holds({ ...object, spec: { ...object.spec, schedule: schedule as string } });
      expect(await valueIn('dbbackup_schedule_interval_seconds')).toBeUndefined();
    }
  });

  it('leaves out a time that is none', async () => {
    holds(backup({ status: { lastSuccessfulBackup: 'yesterday' } }));
    expect(await lines('dbbackup_last_success')).toEqual([]);
  });

  it('is told of though it lacks what today’s schema requires', async () => {
    const object = backup();
    holds({ ...object, spec: {} as Backup['spec'] });
    expect(await lines('dbbackup_suspended')).toEqual([
      'dbbackup_suspended{namespace="shop",name="orders",engine="",storage=""} 0',
    ]);
  });

  it('cannot break the format by what its conditions are called', async () => {
    const odd = { type: 'a"b\\c\nd', status: 'True', lastTransitionTime: window, reason: '', message: '' } as const;
    holds(backup({ status: { conditions: [odd] } }));
    expect(await lines('dbbackup_condition')).toEqual([
      `dbbackup_condition{${labels},type="a\\"b\\\\c\\nd",status="True"} 1`,
    ]);
  });

  it('takes its series with it when it goes', async () => {
    const object = backup({ status: { lastSuccessfulBackup: window } });
    holds(object);
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 3 });
    expect(await lines('dbbackup_')).toContainEqual(expect.stringContaining('name="orders"'));
    backups.clear();
    expect((await metrics.registry.metrics()).includes('orders')).toBe(false);
  });
});

describe('runs', () => {
  it('are counted by result and reason', async () => {
    const object = backup();
    holds(object);
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 42 });
    metrics.runFinished(object, { result: 'Failed', reason: 'StorageFull', durationSeconds: 400 });
    metrics.runFinished(object, { result: 'Failed', reason: 'StorageFull', durationSeconds: 20_000 });
    metrics.runFinished(object, { result: 'Canceled', reason: 'Canceled' });
    wait();
    expect(await lines('dbbackup_runs_total')).toEqual([
      `dbbackup_runs_total{${labels},result="Succeeded",reason=""} 1`,
      `dbbackup_runs_total{${labels},result="Failed",reason="StorageFull"} 2`,
      `dbbackup_runs_total{${labels},result="Canceled",reason="Canceled"} 1`,
    ]);
    expect(await lines('dbbackup_duration_seconds')).toEqual([
      ...[10, 60, 300, 900, 3600, 7200, 14_400, 28_800].map(
        (limit, at) => `dbbackup_duration_seconds_bucket{${labels},le="${limit}"} ${[0, 1, 1, 2, 2, 2, 2, 3][at]}`,
      ),
      `dbbackup_duration_seconds_bucket{${labels},le="+Inf"} 3`,
      `dbbackup_duration_seconds_sum{${labels}} 20442`,
      `dbbackup_duration_seconds_count{${labels}} 3`,
    ]);
  });

  it('at a limit belong below it, beyond all limits to none of them', async () => {
    const object = backup();
    holds(object);
    for (const durationSeconds of [0, 10, 28_801])
      metrics.runFinished(object, { result: 'Succeeded', durationSeconds });
    wait();
    const found = (await lines('dbbackup_duration_seconds_bucket')).map((line) => line.split(' ').at(-1));
    expect(found).toEqual(['2', '2', '2', '2', '2', '2', '2', '2', '3']);
  });

  it('without a known duration are counted, and take no part in the durations', async () => {
    const object = backup();
    holds(object);
    metrics.runFinished(object, { result: 'Failed', reason: 'Unknown' });
    metrics.runFinished(object, { result: 'Failed', reason: 'Unknown', durationSeconds: Number.NaN });
    metrics.runFinished(object, { result: 'Failed', reason: 'Unknown', durationSeconds: -5 });
    wait();
    expect(await lines('dbbackup_runs_total')).toEqual([
      `dbbackup_runs_total{${labels},result="Failed",reason="Unknown"} 3`,
    ]);
    expect(await lines('dbbackup_duration_seconds')).toEqual([]);
  });

  it('have no reason beyond the table, whatever somebody wrote', async () => {
    const object = backup();
    holds(object);
    for (const reason of ['pg_dump: error: password=1', 'constructor', undefined])
      metrics.runFinished(object, { result: 'Failed', ...(reason === undefined ? {} : { reason }) });
    wait();
    expect(await lines('dbbackup_runs_total')).toEqual([
      `dbbackup_runs_total{${labels},result="Failed",reason="Unknown"} 3`,
    ]);
  });

  it('of a kind that is new are none for a while, so that a scrape sees the count rise', async () => {
    const object = backup();
    holds(object);
    const runs = (result: string, reason: string, count: number) =>
      `dbbackup_runs_total{${labels},result="${result}",reason="${reason}"} ${count}`;
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 42, deleted: 2 });
    steady += newFor - 1;
    expect(await lines('dbbackup_runs_total')).toEqual([runs('Succeeded', '', 0)]);
    expect(await valueIn('dbbackup_retention_deleted_total')).toBe('0');
    const durations = (await lines('dbbackup_duration_seconds')).map((line) => line.split(' ').at(-1));
    expect(durations).toEqual(Array.from({ length: 11 }, () => '0'));
    steady += 1;
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 42, deleted: 1 });
    metrics.runFinished(object, { result: 'Failed', reason: 'StorageFull' });
    expect(await lines('dbbackup_runs_total')).toEqual([runs('Succeeded', '', 2), runs('Failed', 'StorageFull', 0)]);
    expect(await valueIn('dbbackup_retention_deleted_total')).toBe('3');
    expect(await valueIn('dbbackup_duration_seconds_count')).toBe('2');
  });

  it('tell what retention deleted, whether they succeeded or not', async () => {
    const object = backup();
    holds(object);
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 1 });
    expect(await valueIn('dbbackup_retention_deleted_total')).toBeUndefined();
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 1, deleted: 0 });
    wait();
    expect(await valueIn('dbbackup_retention_deleted_total')).toBe('0');
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 1, deleted: 3 });
    metrics.runFinished(object, { result: 'Failed', reason: 'DumpFailed', deleted: 1 });
    expect(await valueIn('dbbackup_retention_deleted_total')).toBe('4');
  });

  it('of an object that is forgotten begin anew', async () => {
    const object = backup();
    holds(object);
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 1 });
    metrics.forget('shop', 'orders');
    expect(await lines('dbbackup_runs_total')).toEqual([]);
    metrics.runFinished(object, { result: 'Succeeded', durationSeconds: 1 });
    wait();
    expect(await lines('dbbackup_runs_total')).toEqual([
      `dbbackup_runs_total{${labels},result="Succeeded",reason=""} 1`,
    ]);
  });

  it('never show one object under two storages', async () => {
    const before = backup();
    const { s3: _, ...rest } = before.spec.storage as Record<string, unknown>;
    const after = { ...before, spec: { ...before.spec, storage: { ...rest, pvc: {} } as Backup['spec']['storage'] } };
    metrics.runFinished(before, { result: 'Succeeded', durationSeconds: 1 });
    metrics.runFinished(after, { result: 'Succeeded', durationSeconds: 1 });
    holds(after);
    wait();
    expect(await lines('dbbackup_runs_total')).toEqual([
      'dbbackup_runs_total{namespace="shop",name="orders",engine="postgres",storage="pvc",result="Succeeded",reason=""} 1',
    ]);
  });
});

describe('the controller', () => {
  it('tells of its queue under the names of client-go', async () => {
    let depth = 3;
    const sources: Sources = { queueDepth: () => depth };
    const own = metricsOf({ backups }, sources);
    expect(await lines('workqueue_retries_total', own)).toEqual(['workqueue_retries_total{name="databasebackup"} 0']);
    own.queue.added();
    own.queue.added();
    own.queue.retried();
    own.queue.waited(0.05);
    depth = 1;
    expect(await lines('workqueue_', own)).toEqual(
      expect.arrayContaining([
        'workqueue_depth{name="databasebackup"} 1',
        'workqueue_adds_total{name="databasebackup"} 2',
        'workqueue_retries_total{name="databasebackup"} 1',
        'workqueue_queue_duration_seconds_bucket{le="0.01",name="databasebackup"} 0',
        'workqueue_queue_duration_seconds_bucket{le="0.1",name="databasebackup"} 1',
        'workqueue_queue_duration_seconds_count{name="databasebackup"} 1',
      ]),
    );
  });

  it('tells how long each watch has been silent', async () => {
    const heard: [string, number][] = [
      ['backups', 1_000],
      ['jobs', 61_000],
      ['pods', 62_000],
    ];
    const own = metricsOf({ backups }, { lastHeard: () => heard, now: () => 61_000 });
    expect(await lines('dbbackup_watch', own)).toEqual([
      'dbbackup_watch_last_event_age_seconds{kind="backups"} 60',
      'dbbackup_watch_last_event_age_seconds{kind="jobs"} 0',
      'dbbackup_watch_last_event_age_seconds{kind="pods"} 0',
    ]);
  });

  it('tells whether it leads, how its looks end and what events it dropped', async () => {
    expect(await lines('dbbackup_leader')).toEqual(['dbbackup_leader 0']);
    expect(await lines('dbbackup_reconcile_total')).toEqual([
      'dbbackup_reconcile_total{result="ok"} 0',
      'dbbackup_reconcile_total{result="error"} 0',
    ]);
    metrics.leader.set(1);
    metrics.reconciles.inc({ result: 'error' });
    metrics.eventDropped();
    expect(await lines('dbbackup_')).toEqual(
      expect.arrayContaining([
        'dbbackup_leader 1',
        'dbbackup_reconcile_total{result="error"} 1',
        'dbbackup_events_dropped_total 1',
      ]),
    );
  });
});

describe('over HTTP', () => {
  const server = createServer((_, response) => void metrics.send(response));
  const ask = () =>
    new Promise<{ type: string | undefined; text: string }>((resolve, reject) => {
      get({ port: (server.address() as AddressInfo).port }, async (response) => {
        let text = '';
        for await (const part of response.setEncoding('utf8')) text += part;
        resolve({ type: response.headers['content-type'], text });
      }).on('error', reject);
    });

  beforeEach(async () => {
    for (let at = 0; at < 2000; at++) holds(backup({ metadata: { name: `orders-${at}` } }));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it('comes whole, with the type that Prometheus asks for', async () => {
    const { type, text } = await ask();
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text.match(/^dbbackup_created_timestamp_seconds\{/gm)).toHaveLength(2000);
    expect(text.endsWith('\n')).toBe(true);
  });

  it('goes on for others when one who asked goes away', async () => {
    await new Promise<void>((resolve, reject) => {
      const request = get({ port: (server.address() as AddressInfo).port }, (response) => {
        response.once('data', () => {
          request.destroy();
          resolve();
        });
        response.on('error', () => undefined);
      }).on('error', reject);
    });
    expect((await ask()).text).toContain('name="orders-1999"');
  });
});
