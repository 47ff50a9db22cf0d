// The control plane that all files of the integration suite share: a real API server without a node.
import { inject } from 'vitest';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';

/** Starts it for the first file that asks; use a namespace of your own in it. */
export function cluster(): Promise<Cluster> {
  // Past the console, which vitest holds back until a test ends.
  const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
  return startCluster({ name: inject('integrationRig'), node: false, log });
}
