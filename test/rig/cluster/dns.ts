// The cluster's name service: CoreDNS as a process on the node's address. It knows Services and pods; any other name does
// not exist, because nothing outside the rig is reachable from its pods.
import { Resolver } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { binary } from '../binaries.ts';
import type { Log } from '../progress.ts';
import type { ControlPlane } from './control-plane.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import type { Namespaces } from './namespaces.ts';
import { startProgram } from './processes.ts';
import { waitFor } from './ready.ts';
import { type BuiltState, type Network, rigDirectory } from './state.ts';

const USER = 'system:coredns';
const RBAC = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: USER } };
const RBAC_PATH = '/apis/rbac.authorization.k8s.io/v1';

export async function startDns(
  rig: BuiltState,
  network: Network,
  inside: Namespaces,
  { authority, server, api }: ControlPlane,
  log: Log,
): Promise<void> {
  const directory = rigDirectory(rig.name);
  const kubeconfig = path.join(directory, 'coredns.kubeconfig');
  const client = await authority.sign('coredns', { commonName: USER });
  await writeKubeconfig(kubeconfig, 'coredns', { server, authority: authority.cert, client });
  await create(api, 'clusterroles', {
    ...RBAC,
    kind: 'ClusterRole',
    rules: [
      { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  });
  const apiGroup = 'rbac.authorization.k8s.io';
  await create(api, 'clusterrolebindings', {
    ...RBAC,
    kind: 'ClusterRoleBinding',
    roleRef: { apiGroup, kind: 'ClusterRole', name: USER },
    subjects: [{ apiGroup, kind: 'User', name: USER }],
  });
  const corefile = path.join(directory, 'Corefile');
  await writeFile(corefile, configuration(network.node, kubeconfig));
  await startProgram(directory, 'coredns', [...inside.enter, await binary('coredns', log), '-conf', corefile]);
}

async function create(api: ControlPlane['api'], kind: string, object: object): Promise<void> {
  const answer = await api('POST', `${RBAC_PATH}/${kind}`, object);
  if (answer.status !== 201) throw new Error(`create ${kind} "${USER}": HTTP ${answer.status}: ${answer.body}`);
}

/** Asked from the host, as a test would: this also proves the way to the node. */
export async function waitForDns(rig: BuiltState, network: Network): Promise<void> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([network.node]);
  await waitFor('cluster DNS', rigDirectory(rig.name), async () => {
    const addresses = await resolver.resolve4('kubernetes.default.svc.cluster.local');
    return addresses.includes(network.apiService);
  });
}

function configuration(address: string, kubeconfig: string): string {
  return `cluster.local:53 in-addr.arpa:53 {
  bind ${address}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    ttl 1
  }
}
.:53 {
  bind ${address}
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;
}
