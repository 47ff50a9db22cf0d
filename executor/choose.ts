// Finds the snapshot that an order means, in storage.
import type { Manifest } from '../crds/rules/manifest.ts';
import { type Choice, select, type Target } from '../crds/rules/selection.ts';
import { RunError } from './errors.ts';
import type { Run } from './run.ts';
import { isOurs } from './stock.ts';
import type { Storage } from './storage/storage.ts';
import { lookAt, survey } from './survey.ts';

/** No snapshot of this backup, whole or broken, is there, and the listing did not fail. */
export class NothingStored extends RunError {}

/** @param target the database that is to be filled; absent: the snapshot is only read */
export async function chooseSnapshot(run: Run, storage: Storage, choice: Choice, target?: Target): Promise<Manifest> {
  const { clusterUid, namespace, name } = run.task.owner;
  if ('snapshot' in choice) {
    const found = await lookAt(run, storage, choice.snapshot);
    if (!('why' in found)) return found;
    throw new RunError(found.reason, `find snapshot "${choice.snapshot}" below "${run.prefix}": ${found.why}`);
  }
  const { snapshots, broken } = await survey(run, storage);
  for (const { id, why } of broken) run.log.warn({ id, why }, 'a snapshot is passed over');
  const candidates = snapshots
    .filter(({ owner }) => owner.namespace === namespace && owner.name === name)
    // Those of a cluster that was adopted are our own.
    .map((one) => (isOurs(run, one) ? { ...one, owner: { ...one.owner, clusterUid } } : one));
  if (candidates.length === 0 && broken.length === 0)
    throw new NothingStored('SnapshotNotFound', `find a snapshot below "${run.prefix}": there is none`);
  const selection = select(candidates, { choice, clusterUid, ...(target === undefined ? {} : { target }) });
  if ('reason' in selection)
    throw new RunError(selection.reason, `find a snapshot below "${run.prefix}": ${selection.detail}`);
  const chosen = candidates.find(({ id }) => id === selection.found);
  if (chosen === undefined) throw new Error(`choose "${selection.found}": it is none of the candidates`);
  run.log.info(
    { id: chosen.id, dumpStartedAt: chosen.dumpStartedAt, identity: chosen.identity },
    'the snapshot is chosen',
  );
  return chosen;
}
