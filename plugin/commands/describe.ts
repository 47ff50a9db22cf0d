// `describe NAME`: the first screen in trouble. The state in one sentence, the fix, the next command; then the evidence.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { effective } from '../../crds/rules/effective.ts';
import { holdingJob } from '../../crds/rules/holder.ts';
import { labels, leaseName } from '../../crds/rules/names.ts';
import { contentName, serverName } from '../content.ts';
import { type Evidence, gather, type Look } from '../evidence.ts';
import { type Job, jobFinished, jobState, type Lease } from '../objects.ts';
import { nameOf } from '../options.ts';
import { oneLine } from '../output/printable.ts';
import { age, isUtc, local, size, span, timeOf, utcAndLocal } from '../output/quantities.ts';
import { fields, indent, table } from '../output/table.ts';
import { addressOf, placeOf } from '../restore/place.ts';
import { type Situation, situation } from '../situation.ts';
import { fullName, prefixOf, snapshotsOf, totalOf } from '../snapshots.ts';
import type { World } from '../world.ts';

const shownRuns = 5;
const shownSnapshots = 5;

export interface Clock {
  now: Date;
  zone: string;
}

export async function describeBackup(world: World, name: string): Promise<void> {
  const backup = await world.kube.getBackup(world.namespace, nameOf(name));
  const evidence = await gather(world.kube, backup);
  const clock = { now: world.now(), zone: world.zone };
  const state = situation(backup, clock.now, world.flags);
  world.terminal.print(oneLine(state.sentence), state.tone);
  world.terminal.print(describeText(backup, evidence, state, clock));
}

/** All but the first sentence. */
export function describeText(backup: DatabaseBackup, evidence: Evidence, state: Situation, clock: Clock): string {
  const parts = [
    advice(state),
    setup(backup, evidence.lease, clock),
    runs(backup, evidence.jobs, clock),
    snapshots(backup, clock),
    log(evidence),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function advice({ message, fix, next, notes }: Situation): string {
  return fields([
    ...(message === undefined ? [] : [['Message', message] as const]),
    ...(fix === undefined ? [] : [['Fix', fix] as const]),
    ['Next', next],
    ...notes.map((note) => ['Note', note] as const),
  ]);
}

function setup(backup: DatabaseBackup, lease: Look<Lease | undefined>, clock: Clock): string {
  const { spec, status } = backup;
  const { database, encryption, retention } = spec;
  const { port, cluster, timeZone } = effective(backup);
  const next = timeOf(status?.nextScheduledBackup);
  const upcoming = next === undefined ? '' : `, next ${utcAndLocal(next, clock.zone)}`;
  const { keepLast, keepWithin } = retention;
  return fields([
    ['Backup', fullName(backup)],
    ['Schedule', spec.schedule === undefined ? 'none' : `${spec.schedule} in ${timeZone}${upcoming}`],
    [
      'Database',
      `${contentName(database)} on ${serverName({ ...database, port })} (${database.engine}, ${database.image})`,
    ],
    ['Storage', storage(backup)],
    ['Encryption', encryption.age === undefined ? 'none' : recipients(encryption.age.recipients.length)],
    [
      'Retention',
      [
        ...(keepLast === undefined ? [] : [`the newest ${keepLast}`]),
        ...(keepWithin === undefined ? [] : [`all of the last ${keepWithin}`]),
      ].join(' and '),
    ],
    ['Lock', lock(leaseName(cluster), lease, clock)],
  ]);
}

function recipients(count: number): string {
  return `age, ${count} recipient${count === 1 ? '' : 's'}`;
}

function storage(backup: DatabaseBackup): string {
  const place = placeOf(backup);
  const prefix = prefixOf(backup);
  if (place.kind === 'pvc')
    return `claim ${place.claimName}, folder ${place.subPath === undefined ? '' : `${place.subPath}/`}${prefix}`;
  const address = addressOf(place, prefix);
  // Azure's address begins with it.
  return place.endpoint === undefined || place.kind === 'azure' ? address : `${address} at ${place.endpoint}`;
}

function lock(name: string, lease: Look<Lease | undefined>, { now }: Clock): string {
  if ('refused' in lease) return `${name}: cannot be read: ${lease.refused}`;
  const { spec } = lease.value ?? {};
  const holder = spec?.holderIdentity ?? '';
  if (holder === '') return `${name}: free`;
  const job = lease.value && holdingJob(lease.value);
  const since = timeOf(spec?.acquireTime ?? spec?.renewTime);
  const length = since === undefined ? '' : ` for ${span(now.getTime() - since.getTime())}`;
  return `${name}: held by ${job === undefined ? `${holder}, which is none of our Jobs,` : `job ${job.name}`}${length}`;
}

function runs(backup: DatabaseBackup, jobs: Look<Job[]>, { now, zone }: Clock): string {
  if ('refused' in jobs) return `Runs: cannot be read: ${oneLine(jobs.refused)}`;
  if (jobs.value.length === 0) return 'Runs: none';
  const run = backup.status?.run;
  const rows = jobs.value.slice(0, shownRuns).map((job) => {
    const started = timeOf(job.status?.startTime);
    const ended = timeOf(jobFinished(job));
    const isLast = run !== undefined && run.jobUID === job.metadata.uid;
    return [
      job.metadata.name,
      job.metadata.labels?.[labels.trigger] ?? '',
      ...times(started, zone),
      started === undefined ? '' : age((ended ?? now).getTime() - started.getTime()),
      (isLast ? run.outcome : undefined) ?? jobState(job),
      (isLast ? run.reason : undefined) ?? '',
    ];
  });
  const headers = ['JOB', 'TRIGGER', ...timeHeaders('STARTED', zone), 'TOOK', 'RESULT', 'REASON'];
  return `Runs:\n${indent(table(headers, rows), '  ')}`;
}

function snapshots(backup: DatabaseBackup, { now, zone }: Clock): string {
  const all = snapshotsOf(backup);
  if (all.length === 0) return 'Snapshots: none';
  const shown = all.slice(0, shownSnapshots);
  const rows = shown.map(({ id, time, storedSize }) => [
    id,
    ...times(time, zone),
    size(storedSize),
    age(now.getTime() - time.getTime()),
  ]);
  const headers = ['SNAPSHOT', ...timeHeaders('TAKEN', zone), 'SIZE', 'AGE'];
  return `Snapshots (${shown.length} of ${totalOf(backup, all.length)}):\n${indent(table(headers, rows), '  ')}`;
}

function timeHeaders(name: string, zone: string): string[] {
  return isUtc(zone) ? [`${name} (UTC)`] : [`${name} (UTC)`, `${name} (${zone})`];
}

function times(time: Date | undefined, zone: string): string[] {
  const zones = isUtc(zone) ? ['UTC'] : ['UTC', zone];
  return zones.map((one) => (time === undefined ? '' : local(time, one)));
}

function log({ log: failed }: Evidence): string {
  if (failed === undefined) return '';
  const title = `Log of container ${oneLine(failed.container)} in pod ${oneLine(failed.pod)}`;
  if ('refused' in failed.text) return `${title}: cannot be read: ${oneLine(failed.text.refused)}`;
  const text = failed.text.value.trimEnd();
  return text === '' ? `${title}: empty` : `${title}, its end:\n${indent(text, '  | ')}`;
}
