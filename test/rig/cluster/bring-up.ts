// The two forms of a built cluster, each brought up in order: what the next step needs is there before it begins.
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
