// Step: the Jobs that wait, suspended. A trigger or a gate asks for one, what is spent or outdated goes.
import { isToken } from '../../crds/rules/admission/object-rules.ts';
import { annotations, triggerJobName, windowJobName } from '../../crds/rules/names.ts';
import { isStarted, type Job, jobEnd } from '../objects.ts';
import { type Draft, rfc3339 } from '../observed.ts';
import { purposeOf, slotOf } from '../purpose.ts';
import { specDigest } from '../spec.ts';
import { pendingGate, runImage } from './gate.ts';
import { made } from './made.ts';
import { passOver } from './time.ts';

/** Unstarted, unfinished Jobs of this backup that no claim names. */
export function waiting(draft: Draft): Job[] {
  const claimed = draft.status.run;
  return draft.observed.jobs.filter(
    (job) =>
      jobEnd(job) === undefined &&
      !isStarted(job) &&
      job.metadata.deletionTimestamp === undefined &&
      !(claimed?.jobUID === job.metadata.uid && claimed.outcome === undefined),
  );
}

/** The trigger annotation's value when it asks for a backup that has not been claimed. */
export function pendingToken(draft: Draft): string | undefined {
  const token = draft.observed.backup.metadata.annotations?.[annotations.trigger];
  if (token === undefined || token === '' || !isToken(token)) return undefined;
  return token === draft.status.lastHandledTrigger?.token ? undefined : token;
}

/** Whether the trigger annotation asks for nothing, for what it says: the webhook is not asked when annotations alone change. */
export function hasBadToken({ observed: { backup } }: Draft): boolean {
  return !isToken(backup.metadata.annotations?.[annotations.trigger] ?? '');
}

/** Waiting Jobs that must not run any more are deleted; those of another spec are made again under the same name. */
export function outdated(draft: Draft): void {
  const hash = specDigest(draft.observed.backup, runImage(draft));
  for (const job of waiting(draft)) {
    const { name, uid } = job.metadata;
    const why = reasonToGo(draft, job);
    if (why !== undefined) draft.effects.push({ kind: 'deleteJob', name, uid, why, waits: true });
    else if (job.metadata.annotations?.[annotations.specHash] !== hash) {
      draft.effects.push({ kind: 'deleteJob', name, uid, why: 'the spec has changed', waits: true });
      const again = rebuilt(draft, job);
      if (again === undefined) continue;
      if (draft.observed.lost?.includes(again.name) === true) passOver(draft, slotOf(job));
      else if (draft.observed.conflict?.jobName !== again.name) draft.effects.push({ kind: 'createJob', ...again });
    }
  }
}

/** Why a waiting Job must not run any more; undefined when it may. */
function reasonToGo(draft: Draft, job: Job): string | undefined {
  const { observed, effective } = draft;
  if (isSpent(draft, job)) return 'what it is for has been handled';
  const slot = slotOf(job);
  const stopped = effective.suspend || observed.backup.spec.schedule === undefined;
  if (stopped && slot !== undefined) return 'the schedule is stopped';
  if (slot !== undefined && Date.parse(slot) <= Date.parse(draft.status.scheduleBaseline ?? ''))
    return 'its window is of an earlier schedule';
  return draft.findings.length > 0 ? 'the spec is not valid' : undefined;
}

function isSpent(draft: Draft, job: Job): boolean {
  const { status } = draft;
  const purpose = purposeOf(job);
  switch (purpose.kind) {
    case 'Schedule': {
      const handled = status.lastAttemptScheduledTime;
      return handled !== undefined && Date.parse(purpose.slot) <= Date.parse(handled);
    }
    case 'Manual':
      return purpose.token !== pendingToken(draft);
    case 'Gate':
      return purpose.token !== pendingGate(draft);
    case 'Unreadable':
      return true;
  }
}

function rebuilt(draft: Draft, job: Job): { name: string; job: object } | undefined {
  const { backup } = draft.observed;
  const purpose = purposeOf(job);
  if (purpose.kind === 'Unreadable') return undefined;
  const name =
    purpose.kind === 'Schedule' ? windowJobName(backup.metadata.name, new Date(purpose.slot)) : job.metadata.name;
  return made(draft, name, purpose.kind === 'Schedule' ? purpose : { ...purpose, time: rfc3339(draft.now) });
}

/** A pending trigger or gate is served by a Job that waits already; without one it gets its own. */
export function trigger(draft: Draft): void {
  if (draft.findings.length > 0) return;
  if (waiting(draft).length > 0 || draft.effects.some(({ kind }) => kind === 'createJob')) return;
  const wanted = wantedRun(draft);
  if (wanted === undefined) return;
  const { name: backupName, uid } = draft.observed.backup.metadata;
  const { kind, token, before } = wanted;
  const name = triggerJobName(backupName, uid, kind, token, before ?? '');
  const { observed, effects } = draft;
  if (observed.conflict?.jobName === name) return;
  // Somebody let it go by hand and it ended without a claim: nothing that it did counts, and it has the name.
  const ended = observed.jobs.find((job) => job.metadata.name === name && jobEnd(job) !== undefined);
  if (ended !== undefined)
    effects.push({ kind: 'deleteJob', name, uid: ended.metadata.uid, why: 'it ended without a claim', waits: true });
  effects.push({ kind: 'createJob', ...made(draft, name, { kind, token, time: rfc3339(draft.now) }) });
}

/** What asks for a run of its own, with the uid of the Job that served the same kind before. */
function wantedRun(draft: Draft): { kind: 'Manual' | 'Gate'; token: string; before: string | undefined } | undefined {
  const { status } = draft;
  const token = pendingToken(draft);
  if (token !== undefined) return { kind: 'Manual', token, before: status.lastHandledTrigger?.jobUID };
  const gate = pendingGate(draft);
  // The claimed run that names the gate is the one it waits for.
  if (gate === undefined || (status.run?.outcome === undefined && status.run?.gate === gate)) return undefined;
  return { kind: 'Gate', token: gate, before: status.gate?.lastRun?.jobUID };
}
