// Clusters that belong to one test run: the name says which process owns it, so that what a killed run left can be told and removed.
import { rm } from 'node:fs/promises';
import { alive } from './alive.ts';
import { stopCluster } from './cluster/cluster.ts';
import { lockFile, rigNames } from './cluster/state.ts';
import type { Log } from './progress.ts';

const owned = /^test-[a-z0-9]+-(\d+)$/;

/** The name, purpose in it (a-z, 0-9), of a cluster that ends with this process. DBBACKUP_RIG names one to use that is already up, and stays. */
export function ownedRig(purpose: string, env: NodeJS.ProcessEnv = process.env): string {
  return env['DBBACKUP_RIG'] || `test-${purpose}-${process.pid}`;
}

/** Removes the clusters of processes that are gone. */
export async function stopAbandonedRigs(log: Log): Promise<void> {
  for (const name of await rigNames()) {
    const pid = Number(owned.exec(name)?.[1] ?? process.pid);
    if (!alive(pid)) {
      log(`removing the cluster "${name}" that a test run left`);
      await remove(name, log);
    }
  }
}

/** The name will not come back, so its lock file goes too, after the last who could hold it. */
async function remove(name: string, log: Log): Promise<void> {
  await stopCluster(name, log);
  await rm(lockFile(name), { force: true });
}

/** Removes this process's own cluster; does nothing where it never started one, or uses one that stays. */
export async function stopOwnedRig(name: string, log: Log): Promise<void> {
  if (owned.test(name)) await remove(name, log);
}
