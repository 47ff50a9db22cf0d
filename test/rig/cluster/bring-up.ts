// The two forms of a built cluster, each brought up in order: what the next step needs is there before it begins.
import { randomInt } from 'node:crypto';
import net from 'node:net';
import { withLock } from '../lock.ts';
import type { Log } from '../progress.ts';
import { makeCgroup } from './cgroups.ts';
import { startContainerd } from './containerd.ts';
import { startControlPlane, waitForServiceAccount } from './control-plane.ts';
import { startDns, waitForDns } from './dns.ts';
import { makeNamespaces } from './namespaces.ts';
import { connect, freeNetwork, hostRoutes } from './network.ts';
import { startNode, waitForNode } from './node.ts';
import { type BuiltState, rigId, writeState } from './state.ts';

/** One for the machine, whatever directory the rigs are kept in: they share its addresses. */
const ADDRESSES_LOCK = '/run/dbbackup-addresses.lock';

/** The control plane by itself, on the loopback address: seconds, and no rights of root. */
export async function startAlone(name: string, log: Log): Promise<BuiltState> {
  const state: BuiltState = {
    ...{ provider: 'built', name, phase: 'starting', hasNode: false },
    ...{ apiHost: '127.0.0.1', apiPort: await freePort(), network: null },
  };
  await writeState(state);
  const { api } = await startControlPlane(state, [], log);
  await waitForServiceAccount(state, api);
  return state;
}

/** Control plane and node together inside namespaces of their own, where every port is free. */
export async function startWhole(name: string, log: Log): Promise<BuiltState> {
  // The addresses are taken once the host has routes to them, so two rigs must not look for some at the same time.
  const { state, network, inside } = await withLock(ADDRESSES_LOCK, 'taking addresses', log, async () => {
    const network = freeNetwork(rigId(name), await hostRoutes());
    const state: BuiltState = {
      ...{ provider: 'built', name, phase: 'starting', hasNode: true },
      ...{ apiHost: network.node, apiPort: 6443, network },
    };
    await writeState(state);
    const inside = await makeNamespaces(state);
    await connect(network, inside.pid);
    return { state, network, inside };
  });
  await makeCgroup(name);
  const controlPlane = await bothOrNeither(
    startControlPlane(state, inside.enter, log),
    startContainerd(state, network, inside),
  );
  await startNode(state, network, inside, controlPlane, log);
  await startDns(state, network, inside, controlPlane, log);
  await waitForServiceAccount(state, controlPlane.api);
  await waitForNode(state, controlPlane);
  await waitForDns(state, network);
  return state;
}

/** When one fails, the other is waited for all the same: whoever cleans up must not meet it still starting programs. */
async function bothOrNeither<T>(first: Promise<T>, second: Promise<void>): Promise<T> {
  await Promise.allSettled([first, second]);
  await second;
  return first;
}

/** Below those that the system gives to connections: none of them takes it while the API server is down for a moment. */
async function freePort(): Promise<number> {
  for (let left = 100; left > 0; left--) {
    const port = randomInt(20_000, 30_000);
    if (await isFree(port)) return port;
  }
  throw new Error('find a free port: a hundred between 20000 and 29999 are taken');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
