// The cluster with a node that all end-to-end files share, and the images that are loaded in it.
import { inject } from 'vitest';
import { type Cluster, startCluster } from '../rig/cluster/cluster.ts';
import type { Images } from '../rig/images/images.ts';

/** It is up by the time a test runs; use a namespace of your own in it. */
export function cluster(): Promise<Cluster> {
  return startCluster({ name: inject('e2eRig'), node: true, log: (line) => process.stderr.write(`[rig] ${line}\n`) });
}

/** By name in a pod, with imagePullPolicy IfNotPresent: they are never pulled. */
export function images(): Images {
  return inject('images');
}
