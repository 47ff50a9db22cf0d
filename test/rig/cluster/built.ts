// The cluster put together from its programs: brought up, found again, and removed without a trace.
import { mkdir, rm } from 'node:fs/promises';
import net from 'node:net';
import { withLock } from '../lock.ts';
import { type Log, withProgress } from '../progress.ts';
import { apiOf } from './api.ts';
import { makeCgroup, removeCgroup } from './cgroups.ts';
import { startContainerd } from './containerd.ts';
import { startControlPlane, waitForServiceAccount } from './control-plane.ts';
import { startDns, waitForDns } from './dns.ts';
import { makeNamespaces } from './namespaces.ts';
import { connect, disconnect, freeNetwork, hostRoutes } from './network.ts';
import { startNode, waitForNode } from './node.ts';
import { childrenOf, isAlive, killAll, recordedPrograms } from './processes.ts';
import { kubeconfigFile, lockFile, type RigState, readState, rigDirectory, writeState } from './state.ts';

/** Another process may take a free port between our looking and the API server's listening; it rarely does so twice. */
const PORT_ATTEMPTS = 3;

/** Starts the rig `name`, or finds it up already: `started` says which. What a crash left of it is removed first. */
export async function startBuilt(
  name: string,
  node: boolean,
  log: Log,
): Promise<{ state: RigState; started: boolean }> {
  return withLock(lockFile(name), `starting or stopping the rig "${name}"`, log, async () => {
    const found = await readState(name);
    if (found !== null && (await isUp(found))) {
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

async function start(name: string, node: boolean, log: Log): Promise<RigState> {
  await mkdir(rigDirectory(name), { recursive: true, mode: 0o755 });
  const state = await withProgress(`starting rig "${name}"`, log, () => (node ? startWhole : startAlone)(name, log));
  const ready: RigState = { ...state, phase: 'ready' };
  await writeState(ready);
  return ready;
}

/** The control plane by itself, on the loopback address: seconds, and no rights of root. */
async function startAlone(name: string, log: Log): Promise<RigState> {
  const state: RigState = {
    ...{ provider: 'built', name, phase: 'starting', hasNode: false },
    ...{ apiHost: '127.0.0.1', apiPort: await freePort(), network: null },
  };
  await writeState(state);
  const { api } = await startControlPlane(state, [], log);
  await waitForServiceAccount(state, api);
  return state;
}

/** Control plane and node together inside namespaces of their own, where every port is free. */
async function startWhole(name: string, log: Log): Promise<RigState> {
  // The addresses are taken once the host has routes to them, so two rigs must not look for some at the same time.
  const { state, network, inside } = await withLock(lockFile('+addresses'), 'taking addresses', log, async () => {
    const network = freeNetwork(name, await hostRoutes());
    const state: RigState = {
      ...{ provider: 'built', name, phase: 'starting', hasNode: true },
      ...{ apiHost: network.node, apiPort: 6443, network },
    };
    await writeState(state);
    const inside = await makeNamespaces(state);
    await connect(network, inside.pid);
    return { state, network, inside };
  });
  await makeCgroup(name);
  const [controlPlane] = await Promise.all([
    startControlPlane(state, inside.enter, log),
    startContainerd(state, network, inside),
  ]);
  await startNode(state, network, inside, controlPlane, log);
  await startDns(state, network, inside, controlPlane, log);
  await waitForServiceAccount(state, controlPlane.api);
  await waitForNode(state, controlPlane);
  await waitForDns(state, network);
  return state;
}

/** Up means whole: every program alive and the API server answering. */
export async function isUp(state: RigState): Promise<boolean> {
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
  // The child of the namespaces' holder first: with it ends everything inside, pods included.
  const holder = programs.find((program) => program.program === 'namespaces');
  const first = holder !== undefined && (await isAlive(holder)) ? await childrenOf(holder) : [];
  await killAll([...first, ...programs]);
  const network = (await readState(name))?.network ?? null;
  if (network !== null) await disconnect(network);
  await removeCgroup(name);
  await rm(rigDirectory(name), { recursive: true, force: true });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject).listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('find a free port: the system named none'));
      });
    });
  });
}
