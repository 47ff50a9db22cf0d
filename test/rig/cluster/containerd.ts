// containerd for one rig: its own root, state and socket, and the bridge its pods are plugged into.
import { mkdir, open, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../command.ts';
import { BUSYBOX_IMAGE, makeBusyboxImage } from './busybox-image.ts';
import { INSIDE, type Namespaces } from './namespaces.ts';
import { startProgram } from './processes.ts';
import { waitFor } from './ready.ts';
import { pluginDirectory } from './requirements.ts';
import { type BuiltState, type Network, rigDirectory } from './state.ts';

export const CONTAINERD_SOCKET = `${INSIDE}/containerd.sock`;

/** overlayfs says so in statfs; it cannot be laid over itself, which is what a rig inside a container would ask. */
const OVERLAYFS_MAGIC = 0x794c7630;

export async function startContainerd(rig: BuiltState, network: Network, inside: Namespaces): Promise<void> {
  const directory = rigDirectory(rig.name);
  const plugins = await pluginDirectory();
  if (plugins === null) throw new Error('start containerd: no network plugins; install containernetworking-plugins');
  const onOverlay = (await statfs(directory)).type === OVERLAYFS_MAGIC;
  await mkdir(path.join(directory, 'cni'), { recursive: true });
  await writeFile(path.join(directory, 'cni/10-bridge.conflist'), JSON.stringify(bridge(network), null, 2));
  await writeFile(path.join(directory, 'containerd.toml'), configuration(onOverlay ? 'native' : 'overlayfs', plugins));
  await startProgram(directory, 'containerd', [...inside.enter, 'containerd', '--config', `${INSIDE}/containerd.toml`]);
  await waitFor('containerd', directory, async () => {
    await ctr(inside, ['version']);
    return true;
  });
  await importImage(inside, directory, await makeBusyboxImage(await scratch(directory)));
}

async function scratch(directory: string): Promise<string> {
  const folder = path.join(directory, 'busybox');
  await mkdir(folder);
  return folder;
}

function ctr(inside: Namespaces, args: readonly string[], stdin?: number): Promise<string> {
  const command = [...inside.enter, 'ctr', '--address', CONTAINERD_SOCKET, '--namespace', 'k8s.io', ...args];
  const [program = '', ...rest] = command;
  return run([program, ...rest], stdin === undefined ? {} : { stdin });
}

/** Loads a docker or OCI archive, and waits until kubelet's side of containerd lists what was in it. */
export async function importImage(inside: Namespaces, directory: string, archive: string): Promise<void> {
  // Through standard input, because the namespaces hide some paths of the host.
  const file = await open(archive);
  try {
    await ctr(inside, ['images', 'import', '-'], file.fd);
  } finally {
    await file.close();
  }
  await waitFor('loaded images to be listed', directory, async () => {
    const [, ...images] = (await ctr(inside, ['images', 'list'])).trimEnd().split('\n');
    return images.every((line) => line.includes('io.cri-containerd.image=managed'));
  });
}

function bridge(network: Network): object {
  const range = [{ subnet: network.pods }];
  return {
    cniVersion: '1.0.0',
    name: 'rig',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: [range],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: `${INSIDE}/cni-addresses`,
        },
      },
    ],
  };
}

function configuration(snapshotter: string, plugins: string): string {
  return `version = 2
root = "${INSIDE}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "${CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${INSIDE}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${BUSYBOX_IMAGE}"
  # Without CAP_SYS_RESOURCE no process may be made less likely to be killed than its parent, and runc ends over it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${plugins}"
    conf_dir = "${INSIDE}/cni"
`;
}
