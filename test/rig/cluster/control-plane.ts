// The control plane of a built cluster: etcd, kube-apiserver, kube-controller-manager and, where there is a node to choose,
// kube-scheduler. Runs as any user; with a node it runs inside the node's namespaces.
import path from 'node:path';
import { binary, type ProgramName } from '../binaries.ts';
import type { Log } from '../progress.ts';
import { type Api, apiOf } from './api.ts';
import { Authority, serviceAccountKey } from './certificates.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { startProgram } from './processes.ts';
import { waitFor } from './ready.ts';
import { type BuiltState, kubeconfigFile, rigDirectory } from './state.ts';

export interface ControlPlane {
  readonly authority: Authority;
  readonly server: string;
  readonly api: Api;
}

/** Nothing dials this: Kubernetes refuses a loopback address as the API server's endpoint, even where no pod can run. */
const UNUSED_ADDRESS = '203.0.113.1';

/** Without a node, Services still get addresses, which nothing carries. */
const UNUSED_SERVICES = { services: '10.96.0.0/16', apiService: '10.96.0.1' };

/** Starts it and waits until objects can be created. `inside` is put before each command. */
export async function startControlPlane(rig: BuiltState, inside: readonly string[], log: Log): Promise<ControlPlane> {
  const directory = rigDirectory(rig.name);
  const server = `https://${rig.apiHost}:${rig.apiPort}`;
  const authority = await Authority.create(path.join(directory, 'certificates'));
  const run = async (program: ProgramName, ...flags: readonly string[]) => {
    await startProgram(directory, program, [...inside, await binary(program, log), ...flags]);
  };
  /** A kubeconfig for one more client of this API server. */
  const access = async (file: string, commonName: string, organization?: string) => {
    const client = await authority.sign(commonName.replace('system:', ''), {
      commonName,
      ...(organization === undefined ? {} : { organization }),
    });
    await writeKubeconfig(file, `dbbackup-${rig.name}`, { server, authority: authority.cert, client });
    return file;
  };
  const [apiFlags, serviceAccounts] = await Promise.all([
    apiServerFlags(rig, authority),
    serviceAccountKey(path.join(directory, 'certificates')),
    access(kubeconfigFile(rig.name), 'dbbackup-rig-admin', 'system:masters'),
  ]);

  const etcd = path.join(directory, 'etcd.sock');
  await run('etcd', ...etcdFlags(directory, etcd));
  await run(
    'kube-apiserver',
    ...apiFlags,
    `--etcd-servers=unix://${etcd}`,
    `--service-account-key-file=${serviceAccounts.cert}`,
    `--service-account-signing-key-file=${serviceAccounts.key}`,
  );
  const api = await apiOf(kubeconfigFile(rig.name));
  await waitFor('the API server', directory, async () => (await api('GET', '/readyz')).status === 200);

  // No other is there to lead, and nobody asks these two for their metrics.
  const alone = ['--leader-elect=false', '--secure-port=0', '--profiling=false'];
  const manager = path.join(directory, 'kube-controller-manager.kubeconfig');
  await run(
    'kube-controller-manager',
    ...alone,
    `--kubeconfig=${await access(manager, 'system:kube-controller-manager')}`,
    `--root-ca-file=${authority.cert}`,
    `--service-account-private-key-file=${serviceAccounts.key}`,
    '--use-service-account-credentials=true',
    // Its default of 20 requests a second is spent for five seconds on making its own service accounts.
    '--kube-api-qps=500',
    '--kube-api-burst=500',
    // A claim and the volume for it are brought together on this beat; the default is 15 seconds.
    '--pvclaimbinder-sync-period=1s',
  );
  if (rig.hasNode) {
    const scheduler = path.join(directory, 'kube-scheduler.kubeconfig');
    await run('kube-scheduler', ...alone, `--kubeconfig=${await access(scheduler, 'system:kube-scheduler')}`);
  }
  return { authority, server, api };
}

function etcdFlags(directory: string, socket: string): string[] {
  return [
    // A rig that loses its disk is made anew; waiting for the disk would cost most of the start.
    '--unsafe-no-fsync',
    `--data-dir=${path.join(directory, 'etcd')}`,
    `--listen-client-urls=unix://${socket}`,
    `--listen-peer-urls=unix://${path.join(directory, 'etcd-peer.sock')}`,
    // A lone member dials neither of these.
    '--advertise-client-urls=http://localhost:2379',
    '--log-level=warn',
  ];
}

async function apiServerFlags(rig: BuiltState, authority: Authority): Promise<string[]> {
  const { services, apiService } = rig.network ?? UNUSED_SERVICES;
  const inCluster = ['', '.default', '.default.svc', '.default.svc.cluster.local'].map((end) => `kubernetes${end}`);
  const names = [...inCluster, 'localhost', '127.0.0.1', rig.apiHost, apiService];
  const [serving, kubeletClient] = await Promise.all([
    authority.sign('kube-apiserver', { commonName: 'kube-apiserver', names }),
    authority.sign('kubelet-client', { commonName: 'kube-apiserver-kubelet-client', organization: 'system:masters' }),
  ]);
  return [
    `--bind-address=${rig.apiHost}`,
    `--secure-port=${rig.apiPort}`,
    `--advertise-address=${rig.network?.node ?? UNUSED_ADDRESS}`,
    `--service-cluster-ip-range=${services}`,
    `--client-ca-file=${authority.cert}`,
    `--tls-cert-file=${serving.cert}`,
    `--tls-private-key-file=${serving.key}`,
    `--kubelet-client-certificate=${kubeletClient.cert}`,
    `--kubelet-client-key=${kubeletClient.key}`,
    `--kubelet-certificate-authority=${authority.cert}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    // Webhooks named by Service are dialled at their endpoints; the API server has no way to Service addresses of its own.
    '--enable-aggregator-routing=true',
    '--profiling=false',
  ];
}

/** Until this is there, admission refuses every pod of the default namespace. */
export async function waitForServiceAccount(rig: BuiltState, api: Api): Promise<void> {
  const account = '/api/v1/namespaces/default/serviceaccounts/default';
  await waitFor('the default service account', rigDirectory(rig.name), async () => {
    return (await api('GET', account)).status === 200;
  });
}
