// Around the integration suite: names the control plane its files share. The first file that asks starts it, here it is stopped.
import type { TestProject } from 'vitest/node';
import { ownedRig, stopAbandonedRigs, stopOwnedRig } from '../rig/owned.ts';

declare module 'vitest' {
  interface ProvidedContext {
    integrationRig: string;
  }
}

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await stopAbandonedRigs(log);
  const name = ownedRig('integration');
  project.provide('integrationRig', name);
  return () => stopOwnedRig(name, log);
}
