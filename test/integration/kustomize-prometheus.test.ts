// The alert rules, held to Prometheus' own checker: each fires when it should, not a minute sooner, and only then.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricsOf } from '../../controller/metrics.ts';
import type { Backup } from '../../controller/objects.ts';
import { backup, created, window } from '../controller/builders.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { promtool } from '../rig/promtool.ts';
import { type KubernetesObject, objectsOf } from '../webhook/processes.ts';
import { ask, firing, input, type Series, type Timeline, type Times } from './alert-timeline.ts';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}
type PrometheusRule = KubernetesObject & { spec: { groups: { rules: Rule[] }[] } };

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
let directory: string;
let checker: string;
let kustomize: string;
let objects: KubernetesObject[];
let rules: Rule[];

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-prometheus-'));
  [checker, kustomize] = [await promtool(log), await binary('kustomize', log)];
  objects = await rendered();
  const { spec } = objects.find(({ kind }) => kind === 'PrometheusRule') as PrometheusRule;
  await writeFile(path.join(directory, 'rules.yaml'), JSON.stringify(spec));
  rules = spec.groups.flatMap((group) => group.rules);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** The base with the component, and more lines of an overlay. */
async function rendered(more = ''): Promise<KubernetesObject[]> {
  const overlay = await mkdtemp(path.join(directory, 'overlay-'));
  const root = path.relative(overlay, process.cwd());
  const text = `resources: [${root}/kustomize/base]\ncomponents: [${root}/kustomize/components/prometheus]\n${more}`;
  await writeFile(path.join(overlay, 'kustomization.yaml'), text);
  return objectsOf(await run([kustomize, 'build', overlay]));
}

async function holdsTo(name: string, step: number, series: Series, times: Times): Promise<void> {
  const severity = rules.find(({ alert }) => alert === name)?.labels.severity ?? '';
  await ask(checker, directory, step, firing({ name, severity, step }, series, times));
}

const hour = 3600;
const always = (value: number): Timeline => [[0, value]];
/** A backup that was created when the clock began. */
const born: Series = {
  created_timestamp_seconds: always(0),
  schedule_baseline_timestamp_seconds: always(0),
  suspended: always(0),
  consecutive_failures: always(0),
};
const every = (hours: number): Series => ({ ...born, schedule_interval_seconds: always(hours * hour) });
const [hourly, daily, weekly] = [every(1), every(24), every(168)];
const suspended: Series = { suspended: always(1) };
const succeeded: Series = { last_success_timestamp_seconds: always(0) };
const attempted: Series = { last_attempt_timestamp_seconds: always(0) };
/** The schedule changed, or its suspension ended, after 40 hours. */
const changed: Series = {
  schedule_baseline_timestamp_seconds: [
    [0, 0],
    [40, 40 * hour],
  ],
};
/** From one value to another after some hours. */
const then = (before: number | undefined, hours: number, after: number | undefined): Timeline => [
  [0, before],
  [hours, after],
];

test('promtool accepts the rules, which are these four', async () => {
  expect(await run([checker, 'check', 'rules', path.join(directory, 'rules.yaml')])).toContain(
    'SUCCESS: 4 rules found',
  );
  expect(rules.map(({ alert, labels }) => [alert, labels.severity])).toEqual([
    ['DatabaseBackupNeverSucceeded', 'critical'],
    ['DatabaseBackupTooOld', 'critical'],
    ['DatabaseBackupFailing', 'warning'],
    ['DatabaseBackupRetentionFailing', 'warning'],
  ]);
});

test('promtool refuses a wrong expectation, so the tests below can fail', async () => {
  const series = { ...daily, ...succeeded };
  await expect(holdsTo('DatabaseBackupTooOld', 15, series, { '72h': false })).rejects.toThrow('FAILED');
});

// Seen every 15 minutes, which is how long it has to lie above the limit: at the limit itself it would fire 15 minutes after it.
describe('DatabaseBackupNeverSucceeded', () => {
  test.each<[string, Series, Times]>([
    ['fires one and a half intervals after creation', daily, { '36h15m': false, '36h30m': true, '60h': true }],
    ['leaves an hourly one a day', hourly, { '24h15m': false, '24h30m': true }],
    ['leaves a weekly one a week and a half', weekly, { '252h15m': false, '252h30m': true }],
    ['waits from a change of the schedule on', { ...daily, ...changed }, { '76h15m': false, '76h30m': true }],
    ['is silent after a success', { ...daily, ...succeeded }, { '40h': false }],
    [
      'ends with a success',
      { ...daily, last_success_timestamp_seconds: then(undefined, 40, 40 * hour) },
      { '39h': true, '40h': false },
    ],
    ['is silent while suspended', { ...daily, ...suspended }, { '40h': false }],
    ['is silent for what nobody asked for', born, { '40h': false }],
    [
      'fires a day after creation for what was asked for',
      { ...born, ...attempted },
      { '24h15m': false, '24h30m': true },
    ],
    ['fires for what was asked for though it is suspended', { ...daily, ...suspended, ...attempted }, { '37h': true }],
    [
      'is silent for what is gone',
      { ...daily, schedule_baseline_timestamp_seconds: then(0, 40, undefined) },
      { '39h': true, '40h': false },
    ],
  ])('%s', (_what, series, times) => holdsTo('DatabaseBackupNeverSucceeded', 15, series, times));
});

describe('DatabaseBackupTooOld', () => {
  const newer = (hours: number, dumped: number): Series => ({
    last_success_timestamp_seconds: then(0, hours, dumped * hour),
  });
  test.each<[string, Series, Times]>([
    ['fires one and a half intervals after the dump', { ...daily, ...succeeded }, { '36h15m': false, '36h30m': true }],
    ['goes by the interval of each', { ...hourly, ...succeeded }, { '1h45m': false, '2h': true }],
    ['is silent while suspended', { ...daily, ...succeeded, ...suspended }, { '40h': false }],
    [
      'waits from the end of a suspension on',
      { ...daily, ...succeeded, ...changed, suspended: then(1, 40, 0) },
      { '76h15m': false, '76h30m': true },
    ],
    ['is silent without a schedule', { ...born, ...succeeded }, { '40h': false }],
    ['leaves what never succeeded to the other alert', daily, { '40h': false }],
    ['ends with a success', { ...daily, ...newer(40, 39.5) }, { '39h': true, '40h': false }],
    ['is silent when a success comes in its last minutes', { ...daily, ...newer(36.5, 36) }, { '36h30m': false }],
    ['leaves a run of half an interval its time', { ...hourly, ...newer(1.75, 1) }, { '1h45m': false, '2h30m': false }],
  ])('%s', (_what, series, times) => holdsTo('DatabaseBackupTooOld', 15, series, times));
});

const condition = (type: string, status: string) => `condition{type="${type}",status="${status}"}`;

describe('DatabaseBackupFailing', () => {
  const [yes, no] = [condition('BackupHealthy', 'True'), condition('BackupHealthy', 'False')];
  test.each<[string, Series, Times]>([
    ['fires after a failed run', { ...daily, consecutive_failures: then(0, 1, 1) }, { '1h4m': false, '1h5m': true }],
    ['is silent when none failed', { ...daily, [yes]: always(1) }, { '3h': false }],
    ['ends with a success', { ...daily, consecutive_failures: then(3, 1, 0) }, { '59m': true, '1h': false }],
    ['fires when no run can start', { ...daily, [no]: always(1) }, { '4m': false, '5m': true }],
    [
      'ends when one can',
      { ...daily, [no]: then(1, 1, undefined), [yes]: then(undefined, 1, 1) },
      { '59m': true, '1h': false },
    ],
    ['fires when a person has to act', { ...daily, [condition('Stalled', 'True')]: always(1) }, { '5m': true }],
    [
      'is silent before the first run',
      { ...daily, [condition('BackupHealthy', 'Unknown')]: always(1) },
      { '3h': false },
    ],
    ['is silent while a gate is pending', { ...daily, [condition('Ready', 'False')]: always(1) }, { '3h': false }],
    [
      'speaks once, whatever the reasons',
      { ...daily, consecutive_failures: always(2), [no]: always(1) },
      { '5m': true },
    ],
    [
      'is silent when old snapshots are not deleted',
      { ...daily, [condition('Retained', 'False')]: always(1) },
      { '3h': false },
    ],
  ])('%s', (_what, series, times) => holdsTo('DatabaseBackupFailing', 1, series, times));
});

// Seen every hour: it lasts three days, and a run changes it at most.
describe('DatabaseBackupRetentionFailing', () => {
  const [yes, no] = [condition('Retained', 'True'), condition('Retained', 'False')];
  test.each<[string, Series, Times]>([
    [
      'fires when nothing could be deleted for three days',
      { ...daily, [no]: always(1) },
      { '71h': false, '72h': true },
    ],
    [
      'ends with a run that may delete',
      { ...daily, [no]: then(1, 80, undefined), [yes]: then(undefined, 80, 1) },
      { '79h': true, '80h': false },
    ],
    [
      'leaves a store its bad day',
      {
        ...daily,
        [no]: [
          [0, 1],
          [48, undefined],
          [72, 1],
        ],
        [yes]: [
          [0, undefined],
          [48, 1],
          [72, undefined],
        ],
      },
      { '72h': false, '143h': false, '144h': true },
    ],
    ['is silent when retention works', { ...daily, [yes]: always(1) }, { '80h': false }],
    ['is silent before the first run', daily, { '80h': false }],
    ['leaves failed runs to the other alert', { ...daily, consecutive_failures: always(3) }, { '80h': false }],
  ])('%s', (_what, series, times) => holdsTo('DatabaseBackupRetentionFailing', 60, series, times));
});

test('alerts name the backup, its age and the commands that help', async () => {
  const rule = rules.find(({ alert }) => alert === 'DatabaseBackupTooOld');
  const filled = (text: string) =>
    text
      .replaceAll('{{ $labels.namespace }}', 'shop')
      .replaceAll('{{ $labels.name }}', 'orders')
      .replaceAll('{{ $value | humanizeDuration }}', '2d 0h 0m 0s');
  const summary = 'The newest backup of shop/orders is 2d 0h 0m 0s old';
  const description = filled(rule?.annotations.description ?? '');
  expect(description).toContain('"kubectl dbbackup describe orders -n shop"');
  const labels = { namespace: 'shop', name: 'orders', severity: 'critical' };
  const annotations = { summary, description, runbook_url: rule?.annotations.runbook_url };
  await ask(checker, directory, 15, {
    interval: '15m',
    input_series: input({ ...daily, ...succeeded }, ['a'], 15, 48 * 60),
    alert_rule_test: [
      {
        alertname: 'DatabaseBackupTooOld',
        eval_time: '48h',
        exp_alerts: [{ exp_labels: labels, exp_annotations: annotations }],
      },
    ],
  });
});

test('each alert says in the documentation what to do', async () => {
  const headings = (await readFile('docs/metrics.md', 'utf8')).match(/^#+ .*$/gm) ?? [];
  const anchors = headings.map((line) => line.replace(/^#+ /, '').toLowerCase().replaceAll(' ', '-'));
  const page = 'https://github.com/dbbackup/dbbackup/blob/main/docs/metrics.md#';
  for (const { alert, annotations } of rules) {
    expect(annotations.runbook_url).toBe(`${page}${alert.toLowerCase()}`);
    expect(anchors).toContain(alert.toLowerCase());
  }
});

describe('what the controller exports', () => {
  /** Everything that can be said of a backup. */
  async function exported(): Promise<string> {
    const condition = { lastTransitionTime: window, reason: 'a', message: 'b' };
    const object = backup({
      status: {
        lastSuccessfulBackup: window,
        run: { trigger: 'Schedule', jobName: 'a', jobUID: 'b', claimedAt: window },
        nextScheduledBackup: window,
        lastSnapshot: { storedSize: 1 },
        consecutiveFailures: 1,
        missedWindows: 1,
        scheduleBaseline: created,
        conditions: [{ ...condition, type: 'Ready', status: 'True' }],
      },
    });
    const backups = new Map<string, Backup>([['shop/orders', object]]);
    const sources = { queueDepth: () => 1, lastHeard: () => [['backups', 0]] as const };
    const metrics = metricsOf({ backups }, sources);
    metrics.runFinished(object, { result: 'Failed', reason: 'StorageFull', durationSeconds: 3 });
    metrics.queue.waited(1);
    metrics.reconciles.inc({ result: 'ok' });
    return metrics.registry.metrics();
  }
  const families = async () => [...(await exported()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);

  test('is what promtool takes for well made', async () => {
    // Those of the process are as the client library names them.
    const ours = (await exported()).split('\n').filter((line) => /^(# \w+ )?(dbbackup|workqueue)_/.test(line));
    expect(await run([checker, 'check', 'metrics'], { input: `${ours.join('\n')}\n` })).toBe('');
  });

  test('has every series that the rules ask for', async () => {
    const asked = rules.flatMap(({ expr }) => expr.match(/dbbackup_\w+/g) ?? []);
    expect(new Set(asked).size).toBe(8);
    expect(await families()).toEqual(expect.arrayContaining(asked));
  });

  test('is in the documentation, series by series', async () => {
    const text = await readFile('docs/metrics.md', 'utf8');
    const ours = (await families()).filter((name) => /^(dbbackup|workqueue)_/.test(name ?? ''));
    expect(ours.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
    const told = text.match(/(?<=^\| `)(dbbackup|workqueue)_\w+/gm) ?? [];
    expect(told.filter((name) => !ours.includes(name))).toEqual([]);
  });
});

describe('the component', () => {
  test('finds the port of the controller’s pods, and takes their label namespace as it is', () => {
    const monitor = objects.find(({ kind }) => kind === 'PodMonitor')?.['spec'] as {
      selector: { matchLabels: Record<string, string> };
      podMetricsEndpoints: { port: string; honorLabels: boolean }[];
    };
    const matching = objects
      .filter(({ kind }) => kind === 'Deployment')
      .map(
        ({ spec }) => (spec as { template: { metadata: { labels: object }; spec: { containers: object[] } } }).template,
      )
      .filter(({ metadata }) => expect.objectContaining(monitor.selector.matchLabels).asymmetricMatch(metadata.labels));
    expect(matching).toHaveLength(1);
    const [endpoint] = monitor.podMetricsEndpoints;
    expect(matching[0]?.spec.containers).toMatchObject([{ ports: [{ name: endpoint?.port }, { name: 'health' }] }]);
    expect(endpoint?.honorLabels).toBe(true);
  });

  test('follows the operator to another namespace, and takes the label that a Prometheus asks for', async () => {
    const kinds = ['PodMonitor', 'PrometheusRule'];
    const fields = kinds.map((kind) => `{path: metadata/labels, kind: ${kind}, create: true}`);
    const pairs = 'pairs: {release: stack}';
    const moved = await rendered(`namespace: backups\nlabels: [{${pairs}, fields: [${fields.join(', ')}]}]\n`);
    const found = moved.filter(({ kind }) => kinds.includes(kind)) as (KubernetesObject & {
      metadata: { labels: Record<string, string> };
    })[];
    expect(found.map(({ metadata }) => [metadata.namespace, metadata.labels['release']])).toEqual([
      ['backups', 'stack'],
      ['backups', 'stack'],
    ]);
  });

  test('says nothing that Flux would take for a variable of its own', async () => {
    expect(JSON.stringify(objects)).not.toContain('${');
  });
});
