// What the end-to-end files share: the operator in the suite's cluster, with a start timeout that a test can wait for.

import type { Cluster } from '../rig/cluster/cluster.ts';
import type { Images } from '../rig/images/images.ts';
import { type Kubectl, kubectlOf } from '../stage/kubectl.ts';
import { deployOperator } from '../stage/operator.ts';
import { cluster, images } from './cluster.ts';

export interface World {
  cluster: Cluster;
  kubectl: Kubectl;
  images: Images;
}

export const startTimeoutSeconds = 45;

export const log = (line: string): void => void process.stderr.write(`[e2e] ${line}\n`);

export async function e2eWorld(): Promise<World> {
  const shared = await cluster();
  const kubectl = await kubectlOf(shared.kubeconfig, log);
  await deployOperator(kubectl, { startTimeoutSeconds });
  return { cluster: shared, kubectl, images: images() };
}
