// Conditions as Kubernetes tools read them: one of a type, its transition time changes with its status only.
import type { Condition } from '../databasebackup.gen.ts';

export type ConditionType =
  | 'Ready'
  | 'BackupHealthy'
  | 'Locked'
  | 'Retained'
  | 'PlaceShared'
  | 'Reconciling'
  | 'Stalled';

export interface NewCondition {
  type: ConditionType;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
}

/**
 * Replaces the conditions by the wanted ones, keeping the transition time of those whose status did not change.
 * Types that are not wanted are gone; that is how Stalled and Reconciling are present only while True.
 */
export function mergeConditions(
  before: readonly Condition[],
  wanted: readonly NewCondition[],
  generation: number,
  now: string,
): Condition[] {
  return wanted.map((condition) => {
    const old = before.find((other) => other.type === condition.type);
    const lastTransitionTime = old !== undefined && old.status === condition.status ? old.lastTransitionTime : now;
    return { ...condition, observedGeneration: generation, lastTransitionTime };
  });
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: ConditionType,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}
