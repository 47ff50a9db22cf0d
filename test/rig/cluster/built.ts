// The cluster put together from its programs: brought up, found again, and removed without a trace.
import { mkdir, rm } from 'node:fs/promises';
import { binary } from '../binaries.ts';
import { withLock } from '../lock.ts';
import { type Log, withProgress } from '../progress.ts';
import { apiOf } from './api.ts';
import { startAlone, startWhole } from './bring-up.ts';
import { removeCgroup } from './cgroups.ts';
import type { Cluster } from './cluster.ts';
import { importImage } from './containerd.ts';
import { firstProcess, namespacesOf } from './namespaces.ts';
import { disconnect } from './network.ts';
import { isAlive, killAll, recordedPrograms } from './processes.ts';
import { requireForControlPlane, requireForNode } from './requirements.ts';
import { type BuiltState, kubeconfigFile, lockFile, readState, rigDirectory, writeState } from './state.ts';

/** Another process may take a free port between our looking and the API server's listening; it rarely does so twice. */
const PORT_ATTEMPTS = 3;

const CONTROL_PLANE_PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const;
const NODE_PROGRAMS = [...CONTROL_PLANE_PROGRAMS, 'kube-scheduler', 'kubelet', 'kube-proxy', 'coredns'] as const;

/** Starts the rig `name`, or finds it up already: `started` says which. What a crash left of it is removed first. */
export async function startBuilt(
  name: string,
  node: boolean,
  log: Log,
): Promise<{ state: BuiltState; started: boolean }> {
  await requireForControlPlane(log);
  if (node) await requireForNode(log);
  // Before anything is started: the first time this takes minutes, and then a start is seconds for everyone.
  await Promise.all((node ? NODE_PROGRAMS : CONTROL_PLANE_PROGRAMS).map((program) => binary(program, log)));
  return withLock(lockFile(name), `starting or stopping the rig "${name}"`, log, async () => {
    const found = await readState(name);
    if (found?.provider === 'built' && (await isUp(found))) {
      if (found.hasNode || !node) return { state: found, started: false };
      throw new Error(
        `start rig "${name}" with a node: it is up without one; stop it (npm run rig -- down --name ${name}) or choose another name`,
      );
    }
    if (found !== null) log(`rig "${name}" was left half up; removing what is there`);
    await removeBuilt(name);
    for (let attempt = 1; ; attempt++) {
      try {
        return { state: await start(name, node, log), started: true };
      } catch (error) {
        await removeBuilt(name);
        if (attempt === PORT_ATTEMPTS || !String(error).includes('address already in use')) throw error;
      }
    }
  });
}

async function start(name: string, node: boolean, log: Log): Promise<BuiltState> {
  await mkdir(rigDirectory(name), { recursive: true, mode: 0o755 });
  const state = await withProgress(`starting rig "${name}"`, log, () => (node ? startWhole : startAlone)(name, log));
  const ready: BuiltState = { ...state, phase: 'ready' };
  await writeState(ready);
  return ready;
}

export function builtCluster(state: BuiltState, started: boolean, log: Log): Cluster {
  const { name, hasNode } = state;
  return {
    provider: 'built',
    name,
    kubeconfig: kubeconfigFile(name),
    hasNode,
    exec: [],
    hostAddress: state.network?.host ?? null,
    async loadImage(archive) {
      if (!hasNode) throw new Error(`load image "${archive}" into rig "${name}": it has no node; start it with one`);
      await importImage(await namespacesOf(name), rigDirectory(name), archive);
    },
    async stop() {
      if (started) await stopBuilt(name, log);
    },
  };
}

/** Up means whole: every program alive and the API server answering. */
export async function isUp(state: BuiltState): Promise<boolean> {
  if (state.phase !== 'ready') return false;
  const programs = await recordedPrograms(rigDirectory(state.name));
  const alive = await Promise.all(programs.map(isAlive));
  if (programs.length === 0 || alive.includes(false)) return false;
  try {
    const api = await apiOf(kubeconfigFile(state.name));
    return (await api('GET', '/readyz')).status === 200;
  } catch {
    return false;
  }
}

export async function stopBuilt(name: string, log: Log): Promise<void> {
  await withLock(lockFile(name), `starting or stopping the rig "${name}"`, log, () => removeBuilt(name));
}

/** Removes everything a rig of this name may have left, whatever state it is in. Does nothing when there is nothing. */
async function removeBuilt(name: string): Promise<void> {
  const programs = await recordedPrograms(rigDirectory(name));
  // First the one that everything inside ends with, pods included.
  await killAll([...(await firstProcess(name)), ...programs]);
  const state = await readState(name);
  if (state?.provider === 'built' && state.network !== null) await disconnect(state.network);
  await removeCgroup(name);
  await rm(rigDirectory(name), { recursive: true, force: true });
}
