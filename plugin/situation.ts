// What a DatabaseBackup's state means for the person who reads it: one sentence with its impact, the fix, the next command. Pure.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { isToken } from '../crds/rules/admission/object-rules.ts';
import { findCondition } from '../crds/rules/conditions.ts';
import { containers } from '../crds/rules/contract.ts';
import { annotations } from '../crds/rules/names.ts';
import { isReason, reasons } from '../crds/rules/reasons.ts';
import { span, timeOf } from './output/quantities.ts';
import type { Tone } from './output/terminal.ts';
import { fullName, snapshotsOf } from './snapshots.ts';

export interface Situation {
  tone: Tone;
  sentence: string;
  /** What the controller said, where that tells more. */
  message?: string;
  fix?: string;
  /** The exact next command. */
  next: string;
  /** Further facts that are not the main one. */
  notes: string[];
}

/** The token of a manual trigger that nobody has taken up yet. One that the controller passes over asks for nothing. */
export function pendingToken(backup: DatabaseBackup): string | undefined {
  const token = backup.metadata.annotations?.[annotations.trigger] ?? '';
  return token === '' || !isToken(token) || token === backup.status?.lastHandledTrigger?.token ? undefined : token;
}

/** A message of the controller without its own "Fix:", and that fix. */
export function splitFix(message: string): { message: string; fix: string | undefined } {
  const at = message.lastIndexOf(' Fix: ');
  if (at < 0) return { message, fix: undefined };
  return { message: message.slice(0, at), fix: message.slice(at + ' Fix: '.length).replace(/\.$/, '') };
}

/** What the controller said of a failure, and the fix it names or, for a reason of the table, the table's. */
function explained(reason: string, text: string): Pick<Situation, 'message' | 'fix'> {
  const said = splitFix(text);
  const fix = said.fix ?? (isReason(reason) ? reasons[reason].fix : undefined);
  const message = said.message === '' && isReason(reason) ? `${reasons[reason].sentence}.` : said.message;
  return { ...(message === '' ? {} : { message }), ...(fix === undefined ? {} : { fix }) };
}

/** The newest restorable snapshot's age in words, the impact of everything else. */
function impact(backup: DatabaseBackup, now: Date): string {
  const [newest] = snapshotsOf(backup);
  if (newest === undefined) return 'nothing is restorable yet';
  return `the newest restorable snapshot is ${span(now.getTime() - newest.time.getTime())} old`;
}

type Finder = (backup: DatabaseBackup, now: Date, commands: Commands) => Omit<Situation, 'notes'> | undefined;

interface Commands {
  /** ` -n x --context y` */
  flags: string;
  plugin(verb: string): string;
}

const refused: Finder = (backup, now, { flags }) => {
  const ready = findCondition(backup.status?.conditions, 'Ready');
  if (ready?.status !== 'False' || ready.reason.startsWith('Gate')) return undefined;
  return {
    tone: 'bad',
    sentence: `No backup is taken (${ready.reason}): ${impact(backup, now)}.`,
    ...explained(ready.reason, ready.message),
    next: `kubectl get databasebackup ${backup.metadata.name}${flags} -o yaml`,
  };
};

const unobserved: Finder = (backup, now, { flags }) => {
  if ((backup.status?.observedGeneration ?? -1) >= 0) return undefined;
  return {
    tone: 'waiting',
    sentence: `The controller has not looked at this backup yet: ${impact(backup, now)}.`,
    fix: 'wait a few seconds; if this stays, check that the dbbackup controller is running',
    next: `kubectl get databasebackup ${backup.metadata.name}${flags} --watch`,
  };
};

/** A change in Git that wants a backup before it. While its run goes on, that is what is said. */
const gated: Finder = (backup, now, { flags, plugin }) => {
  const ready = findCondition(backup.status?.conditions, 'Ready');
  if (ready?.status !== 'False' || !ready.reason.startsWith('Gate')) return undefined;
  const isPending = ready.reason === 'GatePending';
  return {
    tone: isPending ? 'waiting' : 'bad',
    sentence: `A change ${isPending ? 'waits for the backup before it' : 'is held back: the backup before it failed'} (${ready.reason}): ${impact(backup, now)}.`,
    ...explained(ready.reason, ready.message),
    next: isPending ? `kubectl get databasebackup ${backup.metadata.name}${flags} --watch` : plugin('trigger --wait'),
  };
};

const hows = { Schedule: 'scheduled', Manual: 'manual', Gate: 'gate' } as const;

const running: Finder = (backup, now, { flags }) => {
  const run = backup.status?.run;
  if (run === undefined || run.outcome !== undefined) return undefined;
  const since = timeOf(run.claimedAt);
  const length = since === undefined ? '' : ` for ${span(now.getTime() - since.getTime())}`;
  return {
    tone: 'waiting',
    sentence: `A ${hows[run.trigger]} backup has been running${length}: ${impact(backup, now)}.`,
    next: `kubectl logs job/${run.jobName} --container ${containers.executor} --follow${flags}`,
  };
};

const failing: Finder = (backup, now, { plugin }) => {
  const { status } = backup;
  const healthy = findCondition(status?.conditions, 'BackupHealthy');
  const failures = status?.consecutiveFailures ?? 0;
  if (failures === 0 && healthy?.status !== 'False') return undefined;
  const reason = (failures > 0 ? status?.failureReason : healthy?.reason) ?? healthy?.reason ?? 'Unknown';
  const text = (failures > 0 ? status?.failureMessage : healthy?.message) ?? healthy?.message ?? '';
  const what =
    failures === 0
      ? 'Backups do not work'
      : failures === 1
        ? 'The last backup failed'
        : `The last ${failures} backups failed`;
  return {
    tone: 'bad',
    sentence: `${what} (${reason}): ${impact(backup, now)}.`,
    ...explained(reason, text),
    next: plugin('trigger --wait'),
  };
};

const empty: Finder = (backup, now, { plugin }) => {
  if (snapshotsOf(backup).length > 0) return undefined;
  return { tone: 'waiting', sentence: `No backup has run: ${impact(backup, now)}.`, next: plugin('trigger --wait') };
};

const working: Finder = (backup, now, { plugin }) => ({
  tone: 'good',
  sentence: `Backups work: ${impact(backup, now)}.`,
  next: plugin('restore-locate'),
});

/** In order of what a person must know first; the last one always finds. */
const finders: readonly Finder[] = [refused, unobserved, running, gated, failing, empty, working];

function notesOf(backup: DatabaseBackup): string[] {
  const { metadata, spec, status } = backup;
  const locked = findCondition(status?.conditions, 'Locked');
  const retained = findCondition(status?.conditions, 'Retained');
  const shared = findCondition(status?.conditions, 'PlaceShared');
  const ready = findCondition(status?.conditions, 'Ready');
  const observed = status?.observedGeneration ?? -1;
  return [
    ...(locked?.status === 'True' ? [`a run waits: ${locked.message}`] : []),
    ...(pendingToken(backup) === undefined ? [] : ['a manual backup was asked for and has not started']),
    ...(spec.suspend === true ? ['the schedule is suspended: only manual backups and those of the gate run'] : []),
    ...(spec.schedule === undefined ? ['there is no schedule: only manual backups run'] : []),
    ...(retained?.status === 'False' ? [`old snapshots were not deleted: ${retained.message}`] : []),
    ...(shared?.status === 'True' ? [`the place in storage is shared: ${shared.message}`] : []),
    ...(ready?.reason === 'GateOverridden' ? [`a change was let pass without its backup: ${ready.message}`] : []),
    ...((status?.missedWindows ?? 0) > 0 ? [`${status?.missedWindows} windows did not run`] : []),
    ...(observed >= 0 && (metadata.generation ?? 0) > observed
      ? ['the newest change of the spec is not in effect yet']
      : []),
  ];
}

/** @param flags further flags for commands, with a leading space: namespace excluded */
export function situation(backup: DatabaseBackup, now: Date, flags: string): Situation {
  const { namespace = '', name } = backup.metadata;
  const all = ` -n ${namespace}${flags}`;
  const plugin = (verb: string): string => {
    const [command = '', ...rest] = verb.split(' ');
    return ['kubectl dbbackup', command, name, ...rest].join(' ') + all;
  };
  for (const find of finders) {
    const found = find(backup, now, { flags: all, plugin });
    if (found !== undefined) return { ...found, notes: notesOf(backup) };
  }
  throw new Error(`describe ${fullName(backup)}: no state fits`);
}
