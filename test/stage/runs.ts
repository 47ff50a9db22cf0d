// Asking for a run and watching it: what a person does with kubectl, and where the bytes of a pod are.
import type { Backup, Job, Pod } from '../../controller/objects.ts';
import { annotations } from '../../crds/rules/names.ts';
import { waitFor } from '../wait.ts';
import type { Kubectl } from './kubectl.ts';

export function getBackup(kubectl: Kubectl, namespace: string, name: string): Promise<Backup> {
  return kubectl.json(['-n', namespace, 'get', 'databasebackup', name]);
}

/** Sets the trigger annotation. */
export async function trigger(kubectl: Kubectl, namespace: string, name: string, token: string): Promise<void> {
  await kubectl([
    '-n',
    namespace,
    'annotate',
    '--overwrite',
    'databasebackup',
    name,
    `${annotations.trigger}=${token}`,
  ]);
}

/** Waits until the run of a token is claimed and its pod exists. */
export async function runningPod(kubectl: Kubectl, namespace: string, name: string, token: string): Promise<Pod> {
  return await waitFor(`the run ${token} of ${name} has a pod`, async () => {
    const { status } = await getBackup(kubectl, namespace, name);
    if (status?.lastHandledTrigger?.token !== token) return undefined;
    return (await podsOf(kubectl, namespace, status.lastHandledTrigger.jobUID)).at(-1);
  });
}

export async function podsOf(kubectl: Kubectl, namespace: string, jobUid: string): Promise<Pod[]> {
  const selector = `batch.kubernetes.io/controller-uid=${jobUid}`;
  const { items } = await kubectl.json<{ items: Pod[] }>(['-n', namespace, 'get', 'pods', '-l', selector]);
  return items.sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
}

/** Waits until the run of a token has an outcome in status. */
export async function runEnd(
  kubectl: Kubectl,
  namespace: string,
  name: string,
  token: string,
  seconds = 180,
): Promise<Backup> {
  return await waitFor(
    `the run ${token} of ${name} ends`,
    async () => {
      const backup = await getBackup(kubectl, namespace, name);
      const { status } = backup;
      return status?.lastHandledTrigger?.token === token && status.run?.outcome !== undefined ? backup : undefined;
    },
    { seconds, everyMilliseconds: 400 },
  );
}

export function getJob(kubectl: Kubectl, namespace: string, name: string): Promise<Job> {
  return kubectl.json(['-n', namespace, 'get', 'job', name]);
}

/**
 * Kills every process of a container with SIGKILL, from outside, as the kernel does when memory runs out. Needs a node that lets root in
 * the host's process namespace.
 */
export async function killContainer(kubectl: Kubectl, pod: Pod, container: string, image: string): Promise<void> {
  const { namespace, name } = pod.metadata;
  const id = await waitFor(`container ${container} of ${name} runs`, async () => {
    const live = await kubectl.json<{
      status: { containerStatuses?: { name: string; containerID?: string; state: object }[] };
    }>(['-n', namespace, 'get', 'pod', name]);
    const status = live.status.containerStatuses?.find((one) => one.name === container);
    return status !== undefined && 'running' in status.state ? status.containerID?.split('//')[1] : undefined;
  });
  const killer = `kill-${container}-${name}`.slice(0, 60).replace(/-$/, '');
  const script = `for p in /proc/[0-9]*; do if grep -q ${id} "$p/cgroup" 2> /dev/null; then kill -9 "\${p#/proc/}" && echo "killed \${p#/proc/}"; fi; done`;
  await kubectl.apply([
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: killer, namespace },
      spec: {
        hostPID: true,
        restartPolicy: 'Never',
        containers: [
          {
            name: 'kill',
            image,
            command: ['sh', '-c', script],
            imagePullPolicy: 'IfNotPresent',
            securityContext: { runAsUser: 0 },
          },
        ],
      },
    },
  ]);
  const nodeName = pod.spec?.nodeName;
  const output = await waitFor(`the processes of ${container} on ${nodeName} are killed`, async () => {
    const { status } = await kubectl.json<Pod>(['-n', namespace, 'get', 'pod', killer]);
    if (status?.phase === 'Failed') throw new Error(`pod ${killer} failed`);
    return status?.phase === 'Succeeded' ? await kubectl(['-n', namespace, 'logs', killer]) : undefined;
  });
  await kubectl(['-n', namespace, 'delete', 'pod', killer, '--wait=false']);
  if (!output.includes('killed')) throw new Error(`kill container ${container} of ${name}: no process was found`);
}
