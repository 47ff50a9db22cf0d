// The commands beside the backup's two, each as main calls it: with its order, and with a way to tell how it ended.
import type { Inventory } from '../crds/rules/contract.ts';
import { decodeOrder, type Order, type Report, type Told } from '../crds/rules/contract-commands.ts';
import { RunError } from './errors.ts';
import { startHeartbeat } from './heartbeat.ts';
import { list } from './list.ts';
import { pruneAlone } from './prune.ts';
import { type Ear, restore } from './restore.ts';
import type { Run } from './run.ts';
import { openStorage } from './storage/open.ts';
import { verify } from './verify.ts';

export interface Voice {
  /** The termination message; rewritten by each call. */
  tell(report: Report): void;
  /** What a failure from now on means. */
  worsen: Ear['begin'];
}

function orderFor<C extends Order['command']>(environment: NodeJS.ProcessEnv, command: C) {
  try {
    return decodeOrder(environment, command);
  } catch (error) {
    throw new RunError('ConfigInvalid', error instanceof Error ? error.message : String(error));
  }
}

async function pruneNow(run: Run, newest: string): Promise<Inventory> {
  const storage = await openStorage(run);
  try {
    return await pruneAlone(run, storage, newest);
  } finally {
    storage.close();
  }
}

/** Killed from now on, this is what stands there: the outcome is not to be guessed from an absence. */
function foreword(worsen: (failure: RunError) => RunError): Report {
  const detail = 'the executor ended without a word while it restored: look whether the database is as it was';
  const { reason, message } = worsen(new RunError('RestoreFailed', detail));
  return { run: { outcome: 'Failed', reason, message } };
}

export function commandsFor(environment: NodeJS.ProcessEnv, { tell, worsen }: Voice) {
  const told = (run: Told): void => tell({ run });
  return {
    list: async (run: Run) => {
      orderFor(environment, 'list');
      await list(run, (listed, inventory) => tell({ run: listed, inventory }));
    },
    prune: async (run: Run) => {
      const { newest } = orderFor(environment, 'prune');
      tell({ run: { outcome: 'Succeeded', command: 'prune' }, inventory: await pruneNow(run, newest) });
    },
    verify: (run: Run) => verify(run, orderFor(environment, 'verify'), told),
    restore: async (run: Run) => {
      const order = orderFor(environment, 'restore');
      startHeartbeat(run.folders.run);
      const begin: Ear['begin'] = (means) => {
        worsen(means);
        tell(foreword(means));
      };
      await restore(run, order, { tell: told, begin });
    },
  };
}
