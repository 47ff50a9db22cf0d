// One case of the object fuzzer: an object, and for an update what was stored before.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { validate } from '../../crds/rules/validate.ts';
import { type Random, roundOf } from './chance.ts';
import { mutate } from './mutate.ts';
import { generated } from './objects.ts';

export interface Case {
  next: unknown;
  old?: DatabaseBackup;
}

/** Every fourth object is as generated; the others are changed up to three times. */
export function caseOf(seed: number, round: number): Case {
  const random = roundOf(seed, round);
  const next = mutated(generated(random), random);
  if (random.chance(0.7)) return { next };
  const old = stored(random);
  if (random.chance(0.3)) return { next, old };
  // As an update is: the stored object with something else in it.
  const { status: _, ...rest } = structuredClone(old);
  return { next: mutated(rest as Record<string, unknown>, random), old };
}

function mutated(object: Record<string, unknown>, random: Random): Record<string, unknown> {
  for (let times = random.below(4); times > 0; times--) mutate(object, random);
  // Only what JSON can say ever arrives: no number beyond its range, no minus zero.
  return JSON.parse(JSON.stringify(object));
}

const ids = ['20250327T010000Z-1a2b3c4d', '20250326T010000Z-1a2b0001', '20250101T010000Z-1a2b0002', 'no-id'];

/** Only what passes is ever stored. */
export function stored(random: Random): DatabaseBackup {
  for (let trial = 0; trial < 200; trial++) {
    const object = generated(random) as unknown as DatabaseBackup;
    if (validate(object).some(({ severity }) => severity === 'error')) continue;
    const effective = random.chance(0.5) ? { effective: { cluster: 'pinned' } } : {};
    const snapshots = random.chance(0.5) ? { snapshots: ids.map((id) => ({ id, size: 1 })) } : {};
    return random.chance(0.6) ? { ...object, status: { observedGeneration: 1, ...effective, ...snapshots } } : object;
  }
  throw new Error('make an object to store: none of 200 passed');
}
