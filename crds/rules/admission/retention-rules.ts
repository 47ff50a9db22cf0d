// Rules on what is kept, and a warning before a change takes snapshots away.
import type { DatabaseBackup } from '../../databasebackup.gen.ts';
import { parseSnapshotId } from '../names.ts';
import { durationMilliseconds, keepRules, retain } from '../retention.ts';
import { parseSchedule } from '../schedule.ts';
import { error, type Rule, repeats, warning } from './finding.ts';

const something: Rule = ({ spec }) =>
  keepRules.some((rule) => spec.retention[rule] !== undefined)
    ? []
    : [
        error(
          'spec.retention',
          undefined,
          'keeps nothing',
          `set at least one of ${keepRules.join(', ')}, for example keepLast: 3`,
        ),
      ];

/** Ids of the listed snapshots that a retention would not keep. */
function lost(
  { retention, timeZone = 'Etc/UTC' }: DatabaseBackup['spec'],
  ids: readonly string[],
  now: Date,
): string[] {
  const snapshots = ids.flatMap((id) => {
    const time = parseSnapshotId(id)?.time;
    return time === undefined ? [] : [{ id, time }];
  });
  return retain({ ...retention, timeZone }, snapshots, now)
    .filter(({ keep }) => keep.length === 0)
    .map(({ id }) => id);
}

/** Status lists the newest snapshots only, so this counts at least as many as will go. */
const deletes: Rule = ({ spec }, { old, now }) => {
  const ids = (old?.status?.snapshots ?? []).map(({ id }) => id);
  if (old === undefined || now === undefined || ids.length === 0) return [];
  const before = new Set(lost(old.spec, ids, now));
  const more = lost(spec, ids, now).filter((id) => !before.has(id));
  if (more.length === 0) return [];
  const message = `would delete ${more.length} of the ${ids.length} newest snapshots, the first of them ${more[0]}`;
  return [warning('spec.retention', undefined, message, 'raise it if they are wanted')];
};

const dayMilliseconds = 86_400_000;

/** Milliseconds between the next two windows; undefined where none are to come. */
function interval({ metadata, spec }: DatabaseBackup, now: Date): number | undefined {
  if (spec.schedule === undefined) return undefined;
  const name = `${metadata.namespace ?? ''}/${metadata.name}`;
  const schedule = parseSchedule(spec.schedule, spec.timeZone ?? 'Etc/UTC', name);
  const first = schedule.next(now.getTime());
  const second = first === undefined ? undefined : schedule.next(first);
  return first === undefined || second === undefined ? undefined : second - first;
}

const hasOther = ({ spec }: DatabaseBackup, rules: readonly string[]): boolean =>
  keepRules.some((rule) => !rules.includes(rule) && spec.retention[rule] !== undefined);

/** The bucket then holds, and bills, more than retention says. */
const lockedLonger: Rule = (next, { now }) => {
  const { objectLock } = next.spec.storage.s3 ?? {};
  const { keepWithin, keepLast } = next.spec.retention;
  // How long the rules of periods keep one cannot be said in days.
  if (objectLock === undefined || now === undefined || hasOther(next, ['keepWithin', 'keepLast'])) return [];
  const between = keepLast === undefined ? 0 : interval(next, now);
  if (between === undefined) return [];
  const wanted = Math.max(between * (keepLast ?? 0), keepWithin === undefined ? 0 : durationMilliseconds(keepWithin));
  if (objectLock.days * dayMilliseconds <= wanted) return [];
  const message = `locks snapshots for longer than spec.retention keeps them, about ${Math.floor(wanted / dayMilliseconds)} days`;
  const fix = 'lower days, or reckon with what the bucket holds until then';
  return [warning('spec.storage.s3.objectLock.days', objectLock.days, message, fix)];
};

/** With a keepWithin that is shorter than the schedule's interval only the newest is ever kept. */
const tooShort: Rule = (next, { now }) => {
  const { keepWithin } = next.spec.retention;
  if (keepWithin === undefined || now === undefined || hasOther(next, ['keepWithin'])) return [];
  const between = interval(next, now);
  if (between === undefined || between <= durationMilliseconds(keepWithin)) return [];
  return [
    warning(
      'spec.retention.keepWithin',
      keepWithin,
      'is shorter than the time between two backups: one snapshot is kept',
      'add keepLast, for example 3',
    ),
  ];
};

/** The schema sees an id's form only; a date that no calendar has would be a pin that never holds. */
const pins: Rule = ({ spec }) =>
  (spec.retention.pin ?? []).flatMap((id, index) => {
    const fix = 'copy one that kubectl dbbackup list-snapshots prints';
    return parseSnapshotId(id) === undefined
      ? [error(`spec.retention.pin[${index}]`, id, 'is not the id of a snapshot', fix)]
      : [];
  });

const twice: Rule = ({ spec }) =>
  (['pin', 'adopt'] as const).flatMap((list) => {
    const all = spec.retention[list] ?? [];
    const repeated = repeats(all);
    return all.flatMap((item, index) =>
      repeated.has(index)
        ? [error(`spec.retention.${list}[${index}]`, item, 'is there twice', 'remove one of the two')]
        : [],
    );
  });

export const retentionRules: readonly Rule[] = [something, pins, twice, deletes, tooShort, lockedLonger];
