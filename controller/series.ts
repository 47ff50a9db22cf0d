// What is told of each backup from its object: names, meanings and values of its series, and the labels they all have.
import { longestInterval } from './intervals.ts';
import type { Backup } from './objects.ts';
import { keyOf } from './watch.ts';

/** A gauge: what is read from an object may fall. */
export interface Family {
  name: string;
  help: string;
  /** Undefined where the object has no such series. */
  value: (backup: Backup) => number | undefined;
}

const seconds = (time: string | undefined): number | undefined =>
  time === undefined ? undefined : Date.parse(time) / 1000;

/** The series of a backup that are read from its object. */
export const families: readonly Family[] = [
  {
    name: 'dbbackup_last_success_timestamp_seconds',
    help: 'Dump start of the newest committed snapshot',
    value: ({ status }) => seconds(status?.lastSuccessfulBackup),
  },
  {
    name: 'dbbackup_last_attempt_timestamp_seconds',
    help: 'When the newest run was claimed',
    value: ({ status }) => seconds(status?.run?.claimedAt),
  },
  {
    name: 'dbbackup_next_schedule_timestamp_seconds',
    help: 'The next window',
    value: ({ status }) => seconds(status?.nextScheduledBackup),
  },
  {
    name: 'dbbackup_last_size_bytes',
    help: 'Stored size of the newest snapshot',
    value: ({ status }) => status?.lastSnapshot?.storedSize,
  },
  {
    name: 'dbbackup_consecutive_failures',
    help: 'Failed runs since the last success',
    value: ({ status }) => status?.consecutiveFailures,
  },
  {
    // A window that was counted is taken back where its Job was made all the same: a counter that falls is read as one that began anew.
    name: 'dbbackup_missed_windows',
    help: 'Windows that did not run, since the object was created',
    value: ({ status }) => status?.missedWindows,
  },
  {
    name: 'dbbackup_suspended',
    help: '1 while the schedule is suspended',
    value: ({ spec }) => (spec.suspend === true ? 1 : 0),
  },
  {
    name: 'dbbackup_schedule_interval_seconds',
    help: 'The longest distance between two consecutive windows; absent without a schedule',
    value: (backup) =>
      backup.spec.schedule === undefined ? undefined : longestInterval(backup.spec.schedule, keyOf(backup)),
  },
  {
    name: 'dbbackup_schedule_baseline_timestamp_seconds',
    help: 'Windows before it are not waited for: creation, the last change of the schedule or the end of a suspension',
    value: ({ metadata, status }) => seconds(status?.scheduleBaseline ?? metadata.creationTimestamp),
  },
  {
    name: 'dbbackup_created_timestamp_seconds',
    help: 'When the object was created',
    value: ({ metadata }) => seconds(metadata.creationTimestamp),
  },
];

const providers = ['s3', 'gcs', 'azure', 'pvc'];

/** The labels of every series of a backup. A stored object may lack what today's schema requires. */
export function labelsOf({ metadata, spec }: Backup): string {
  const { engine = '' } = (spec.database as Partial<Backup['spec']['database']> | undefined) ?? {};
  const storage = providers.find((provider) => Object.hasOwn(spec.storage ?? {}, provider)) ?? '';
  const { namespace, name } = metadata;
  return `namespace="${escaped(namespace)}",name="${escaped(name)}",engine="${escaped(engine)}",storage="${storage}"`;
}

const escapes: Record<string, string> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };
/** A label's value as the format wants it. */
export const escaped = (text: string): string => text.replace(/[\\"\n]/g, (found) => escapes[found] ?? found);
