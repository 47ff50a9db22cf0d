// The walls around a rig with a node: network, mount and pid namespaces held by one process. When that process ends, in
// any way, the kernel ends everything inside and takes mounts, devices and packet filter rules with it; no list is kept.
import { access } from 'node:fs/promises';
import path from 'node:path';
import { childrenOf, isAlive, type Recorded, recordedPrograms, startProgram } from './processes.ts';
import { waitFor } from './ready.ts';
import { type BuiltState, rigDirectory } from './state.ts';

/** Where the rig's directory is found inside; short, because socket names have 107 characters at most. */
export const INSIDE = '/run/rig';

/** kubelet sets these for the whole machine unless they have the value it wants; inside, they seem to. */
const KERNEL_SETTINGS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

/** The first process inside: makes the mounts private to the rig, then waits, which also reaps what is orphaned. */
const FIRST_PROCESS = [
  'set -e',
  'mount --make-rshared /',
  'mount -t tmpfs -o mode=755 tmpfs /run',
  `mkdir -p ${INSIDE} /run/var-lib/upper /run/var-lib/work /run/settings`,
  `mount --bind "$1" ${INSIDE}`,
  // Fixed paths of kubelet, containerd and the network plugins are here; what they write stays inside.
  'mount -t overlay -o lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work overlay /var/lib',
  `mkdir -p ${INSIDE}/var-log && mount --bind ${INSIDE}/var-log /var/log`,
  ...Object.entries(KERNEL_SETTINGS).map(([name, value]) => {
    const file = `/run/settings/${name.replaceAll('/', '.')}`;
    return `if [ -e /proc/sys/${name} ]; then echo ${value} > ${file}; mount --bind ${file} /proc/sys/${name}; fi`;
  }),
  'echo 1 > /proc/sys/net/ipv4/ip_forward',
  `: > ${INSIDE}/namespaces-made`,
  'while :; do sleep 86400; done',
].join('\n');

export interface Namespaces {
  /** The first process inside, as the host numbers it. */
  readonly pid: number;
  /** Put before a command to run it inside. */
  readonly enter: readonly string[];
}

export async function makeNamespaces(rig: BuiltState): Promise<Namespaces> {
  const directory = rigDirectory(rig.name);
  const walls = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--propagation', 'slave', '--kill-child'];
  const shell = ['sh', '-c', FIRST_PROCESS, 'rig', directory];
  await startProgram(directory, 'namespaces', ['unshare', ...walls, '--', ...shell]);
  await waitFor('the namespaces', directory, async () => {
    await access(path.join(directory, 'namespaces-made'));
    return true;
  });
  return namespacesOf(rig.name);
}

/** The namespaces of a rig that is up. */
export async function namespacesOf(name: string): Promise<Namespaces> {
  const [first] = await firstProcess(name);
  if (first === undefined) throw new Error(`enter the namespaces of rig "${name}": it is not up`);
  return { pid: first.pid, enter: ['nsenter', '--target', `${first.pid}`, '--mount', '--net', '--pid', '--'] };
}

/** The first process inside, in a list; an empty list where there is none. */
export async function firstProcess(name: string): Promise<Recorded[]> {
  const programs = await recordedPrograms(rigDirectory(name));
  const holder = programs.find((program) => program.program === 'namespaces');
  return holder !== undefined && (await isAlive(holder)) ? childrenOf(holder) : [];
}
