// The decision: what is observed in, the next status and the effects out. Pure. The steps run in the order of the list.
import { type ConditionType, mergeConditions } from '../crds/rules/conditions.ts';
import { effective } from '../crds/rules/effective.ts';
import { type Decision, type Draft, type Observed, rfc3339, type Settings } from './observed.ts';
import { derived } from './spec.ts';
import { copyOfJson } from './status.ts';
import { conditions } from './steps/conditions.ts';
import { gate, gateTimeout } from './steps/gate.ts';
import { launch, release } from './steps/launch.ts';
import { history, run } from './steps/run.ts';
import { baseline, windows } from './steps/time.ts';
import { outdated, trigger } from './steps/waiting.ts';

export type Step = (draft: Draft) => void;

export const steps: readonly Step[] = [
  baseline,
  gate,
  run,
  gateTimeout,
  outdated,
  windows,
  trigger,
  release,
  launch,
  history,
  conditions,
];

/** Conditions that stay as they were until a step says otherwise. */
const lasting: readonly ConditionType[] = ['Retained'];

export function decide(observed: Observed, settings: Settings, now: Date): Decision {
  const { backup } = observed;
  const before = backup.status ?? {};
  const values = effective(backup);
  const { findings, schedule } = derived(backup);
  const draft: Draft = {
    observed,
    settings,
    now,
    effective: values,
    findings,
    schedule,
    status: copyOfJson(before),
    conditions: (before.conditions ?? []).flatMap(({ type, status, reason, message }) =>
      lasting.some((name) => name === type) ? [{ type: type as ConditionType, status, reason, message }] : [],
    ),
    effects: [],
    wake: [],
    claims: false,
    full: false,
    trouble: undefined,
    finished: undefined,
  };
  const generation = backup.metadata.generation ?? 1;
  draft.status.observedGeneration = generation;
  draft.status.effective = { cluster: values.cluster, port: values.port };
  draft.status.consecutiveFailures ??= 0;
  draft.status.missedWindows ??= 0;
  draft.status.snapshotCount ??= 0;
  for (const step of steps) step(draft);
  draft.status.conditions = mergeConditions(before.conditions ?? [], draft.conditions, generation, rfc3339(now));
  return {
    status: draft.status,
    effects: draft.effects,
    wakeAt: draft.wake.length === 0 ? undefined : Math.min(...draft.wake),
    claims: draft.claims,
    full: draft.full,
    finished: draft.finished,
  };
}
