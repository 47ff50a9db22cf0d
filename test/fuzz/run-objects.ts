// Runs the object fuzzer and hands back how the objects fared; a failure comes with its seed and the smallest object that still fails.
import { type Case, caseOf } from './cases.ts';
import { checkObject, type Outcome } from './object-checks.ts';
import { shrink } from './shrink.ts';

export async function fuzzObjects(count: number, seed: number, check = checkObject): Promise<Record<Outcome, number>> {
  const outcomes: Record<Outcome, number> = { accepted: 0, refused: 0, unchanged: 0, malformed: 0 };
  for (let round = 0; round < count; round++) {
    const one = caseOf(seed, round);
    const why = failure(one, check);
    if (typeof why !== 'string') outcomes[why.outcome]++;
    else throw new Error(await report(one, why, seed, round, check));
  }
  return outcomes;
}

function failure(one: Case, check: typeof checkObject): string | { outcome: Outcome } {
  try {
    return { outcome: check(one) };
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

async function report(one: Case, why: string, seed: number, round: number, check: typeof checkObject): Promise<string> {
  const kind = why.replace(/\d+/g, 'n').slice(0, 40);
  // The same failure, not just any: a smaller object may fail for a reason of its own.
  const same = (next: unknown): boolean => {
    const now = failure({ ...one, next }, check);
    return typeof now === 'string' && now.replace(/\d+/g, 'n').slice(0, 40) === kind;
  };
  const smallest = await shrink(one.next, same);
  const old = one.old === undefined ? '' : `\nstored before: ${JSON.stringify(one.old)}`;
  return `fuzz --seed ${seed}, object ${round}: ${why}\n${JSON.stringify(smallest, null, 1).slice(0, 4000)}${old}`;
}
