// Around the end-to-end suite: builds the images, starts the cluster with a node, loads the images into it and stops it at the end.
import type { TestProject } from 'vitest/node';
import { startCluster } from '../rig/cluster/cluster.ts';
import { buildImages, type Images } from '../rig/images/images.ts';
import { ownedRig, stopAbandonedRigs, stopOwnedRig } from '../rig/owned.ts';
import { withProgress } from '../rig/progress.ts';

declare module 'vitest' {
  interface ProvidedContext {
    e2eRig: string;
    images: Images;
  }
}

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await stopAbandonedRigs(log);
  const name = ownedRig('e2e');
  try {
    const cluster = await startCluster({ name, node: true, log });
    // The engine goes with the cluster: one put together from its programs stands on a machine without docker.
    const images = await buildImages(cluster.provider === 'built' ? { engine: 'buildah' } : {}, log);
    for (const image of Object.values(images)) {
      await withProgress(`loading image ${image.name}`, log, () => cluster.loadImage(image.archive));
    }
    project.provide('e2eRig', name);
    project.provide('images', images);
  } catch (error) {
    await stopOwnedRig(name, log);
    throw error;
  }
  return () => stopOwnedRig(name, log);
}
