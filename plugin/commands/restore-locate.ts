// `restore-locate NAME`: where a snapshot is and how it is restored without dbbackup. Changes nothing.
import { UsageError } from '../errors.ts';
import { nameOf } from '../options.ts';
import { encodeData, isDataFormat } from '../output/data.ts';
import { planOf } from '../restore/plan.ts';
import { restoreScript } from '../restore/script.ts';
import { describePlan, planData } from '../restore/text.ts';
import { type Choice, choose, fullName, snapshotsOf, totalOf } from '../snapshots.ts';
import type { World } from '../world.ts';

export interface LocateOptions extends Choice {
  name: string;
  latest: boolean;
  output: string;
}

export async function restoreLocate(world: World, options: LocateOptions): Promise<void> {
  const { terminal, zone, flags } = world;
  const ways = [options.latest, options.snapshot !== undefined, options.asOf !== undefined].filter(Boolean);
  if (ways.length > 1) throw new UsageError('--latest, --snapshot and --as-of exclude each other: give one');
  const backup = await world.kube.getBackup(world.namespace, nameOf(options.name));
  const snapshot = choose(backup, options);
  if (!snapshot.isListed) {
    const listed = snapshotsOf(backup).length;
    const total = totalOf(backup, listed);
    const why =
      total > listed
        ? `only the newest ${listed} of ${total} are listed there, and it may be one of the others`
        : 'retention may have deleted it, or another cluster has made it';
    terminal.note(
      `Warning: the status of ${fullName(backup)} does not list ${snapshot.id}: ${why}. This is where it would be.`,
    );
  }
  const plan = planOf(backup, snapshot);
  const reader = { now: world.now(), zone, flags };
  if (options.output === 'shell') terminal.printData(restoreScript(plan));
  else if (isDataFormat(options.output)) terminal.printData(await encodeData(planData(plan, reader), options.output));
  else terminal.print(describePlan(plan, reader));
}
