// The node of a built rig: kubelet and kube-proxy beside containerd, inside the rig's namespaces.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { binary } from '../binaries.ts';
import type { Log } from '../progress.ts';
import { cgroupName } from './cgroups.ts';
import { CONTAINERD_SOCKET } from './containerd.ts';
import type { ControlPlane } from './control-plane.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { INSIDE, type Namespaces } from './namespaces.ts';
import { startProgram } from './processes.ts';
import { waitFor } from './ready.ts';
import { type BuiltState, type Network, rigDirectory } from './state.ts';

export const nodeName = (rig: BuiltState): string => `dbbackup-${rig.name}`;

export async function startNode(
  rig: BuiltState,
  network: Network,
  inside: Namespaces,
  { authority, server }: ControlPlane,
  log: Log,
): Promise<void> {
  const directory = rigDirectory(rig.name);
  const node = nodeName(rig);
  const [serving, kubelet, proxy] = await Promise.all([
    authority.sign('kubelet-serving', { commonName: node, names: [network.node, node] }),
    authority.sign('kubelet', { commonName: `system:node:${node}`, organization: 'system:nodes' }),
    authority.sign('kube-proxy', { commonName: 'system:kube-proxy' }),
  ]);
  const file = (name: string) => path.join(directory, name);
  await writeKubeconfig(file('kubelet.kubeconfig'), node, { server, authority: authority.cert, client: kubelet });
  await writeKubeconfig(file('kube-proxy.kubeconfig'), node, { server, authority: authority.cert, client: proxy });
  const nodeFiles = { authority: authority.cert, ...serving };
  await writeFile(file('kubelet.json'), JSON.stringify(kubeletConfiguration(rig, network, nodeFiles), null, 2));
  await writeFile(file('resolv.conf'), `nameserver ${network.node}\n`);
  await startProgram(directory, 'kubelet', [
    ...inside.enter,
    await binary('kubelet', log),
    `--config=${file('kubelet.json')}`,
    `--kubeconfig=${file('kubelet.kubeconfig')}`,
    `--root-dir=${INSIDE}/kubelet`,
    `--hostname-override=${node}`,
    `--node-ip=${network.node}`,
  ]);
  await writeFile(file('kube-proxy.json'), JSON.stringify(proxyConfiguration(rig, network, file), null, 2));
  const proxyCommand = [await binary('kube-proxy', log), `--config=${file('kube-proxy.json')}`];
  await startProgram(directory, 'kube-proxy', [...inside.enter, ...proxyCommand]);
}

interface NodeObject {
  readonly status: { readonly conditions?: ReadonlyArray<{ type: string; status: string }> };
  readonly spec: { readonly taints?: readonly unknown[] };
}

/** Ready, and with the last taint of a young node gone, so that the next pod is scheduled at once. */
export async function waitForNode(rig: BuiltState, { api }: ControlPlane): Promise<void> {
  await waitFor('the node', rigDirectory(rig.name), async () => {
    const answer = await api('GET', `/api/v1/nodes/${nodeName(rig)}`);
    if (answer.status !== 200) return false;
    const { status, spec } = JSON.parse(answer.body) as NodeObject;
    const ready = status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
    return ready === true && (spec.taints ?? []).length === 0;
  });
}

function kubeletConfiguration(
  rig: BuiltState,
  network: Network,
  files: { authority: string; cert: string; key: string },
) {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: network.node,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: files.authority },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: files.cert,
    tlsPrivateKeyFile: files.key,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupName(rig.name)}`,
    // kubelet refuses the old cgroup layout unless told otherwise; it still runs on it.
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    clusterDomain: 'cluster.local',
    clusterDNS: [network.node],
    resolvConf: path.join(rigDirectory(rig.name), 'resolv.conf'),
    podLogsDir: '/var/log/pods',
    volumePluginDir: `${INSIDE}/volume-plugins`,
    makeIPTablesUtilChains: false,
    // A developer's disk is often nearly full; evicting tests for it helps nobody.
    evictionHard: {
      'memory.available': '50Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'nodefs.inodesFree': '1%',
    },
    imageGCHighThresholdPercent: 100,
    serializeImagePulls: false,
  };
}

function proxyConfiguration(rig: BuiltState, network: Network, file: (name: string) => string) {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig: file('kube-proxy.kubeconfig') },
    clusterCIDR: network.pods,
    hostnameOverride: nodeName(rig),
    bindAddress: network.node,
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    oomScoreAdj: 0,
    // These are limits of the whole machine, not of the rig's namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    nftables: { minSyncPeriod: '100ms' },
  };
}
