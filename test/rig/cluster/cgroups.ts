// The cgroup a rig's pods live under, one for each rig: two kubelets under one root would take each other's pods for
// orphans and kill them. Written for the old layout (a tree for each controller),
// on which it was run, and the new one (a single tree), on which it was not yet.
import { access, mkdir, readdir, readFile, realpath, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { rigId } from './state.ts';

const MOUNT = '/sys/fs/cgroup';

export const cgroupName = (rig: string): string => `dbbackup-${rigId(rig)}`;

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

/** The roots of all trees. Some names are links to one tree of two controllers. */
async function trees(): Promise<string[]> {
  if (await isUnified()) return [MOUNT];
  const names = await readdir(MOUNT).catch((): string[] => []);
  const roots = new Set<string>();
  for (const name of names) {
    const root = await realpath(path.join(MOUNT, name));
    if (await exists(path.join(root, 'cgroup.procs'))) roots.add(root);
  }
  return [...roots];
}

export const isUnified = (): Promise<boolean> => exists(path.join(MOUNT, 'cgroup.controllers'));

export async function makeCgroup(rig: string): Promise<void> {
  for (const tree of await trees()) {
    if (await isUnified()) await delegate(tree);
    const cgroup = path.join(tree, cgroupName(rig));
    await mkdir(cgroup, { recursive: true });
    // No process can join a cpuset that names no processor and no memory, and a new one names none.
    for (const file of ['cpuset.mems', 'cpuset.cpus']) {
      if ((await isUnified()) || !(await exists(path.join(cgroup, file)))) continue;
      await writeFile(path.join(cgroup, file), await readFile(path.join(tree, file)));
    }
  }
}

/** A controller works below the root only once the root passes it on. */
async function delegate(tree: string): Promise<void> {
  const controllers = (await readFile(path.join(tree, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  const wanted = controllers.filter((name) => ['cpu', 'cpuset', 'memory', 'pids', 'io', 'hugetlb'].includes(name));
  try {
    await writeFile(path.join(tree, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `pass controllers "${wanted.join(' ')}" on to cgroups below "${tree}": ${why}\nFix: inside a container, move its processes into a cgroup of their own first, or run the rig on the host.`,
    );
  }
}

/** Removes the rig's cgroups. Their processes have ended by now; the kernel may need a moment to agree. */
export async function removeCgroup(rig: string): Promise<void> {
  for (const tree of await trees()) {
    const cgroup = path.join(tree, cgroupName(rig));
    for (let attempt = 1; await exists(cgroup); attempt++) {
      try {
        await removeTree(cgroup);
      } catch (error) {
        if (attempt === 100) throw new Error(`remove cgroup "${cgroup}": ${String(error)}`);
        await sleep(50);
      }
    }
  }
}

/** A cgroup's files go with it and cannot be removed by themselves, so this is not a recursive rm. */
async function removeTree(cgroup: string): Promise<void> {
  for (const entry of await readdir(cgroup, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(path.join(cgroup, entry.name));
  }
  await rmdir(cgroup);
}
