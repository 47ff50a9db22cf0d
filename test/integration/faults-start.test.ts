// Faults before a pod comes to work: no node, no image, no quota, no volume, and more events about it than anyone reads.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backup, Pod } from '../../controller/objects.ts';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { endedStatus, installCrd, type World, world } from './controller-world.ts';
import { condition, FaultyScene, Scene, startOwnCluster, stopOwnCluster, text } from './faults-world.ts';

// Never one that is shared: its other controllers would do our work.
const rig = ownedRig('faultsstart', {});
let cluster: Cluster;
let direct: World;
/** Its controllers see all namespaces. */
let shared: FaultyScene;

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
  await installCrd(direct);
  shared = await FaultyScene.open(cluster, direct, 'controller', true);
  await shared.start('--start-timeout-seconds', '75');
});

afterAll(async () => {
  await shared?.close();
  await stopOwnCluster(rig);
});

const scene = (name: string, namespaceLabels = {}): Promise<Scene> => Scene.make(direct, name, namespaceLabels);
const once = { job: { backoffLimit: 0 } };
const size = (backup: Backup): number => Buffer.byteLength(JSON.stringify(backup.status));

describe.concurrent('for a pod that has forty seconds to come to work', { timeout: 300_000 }, () => {
  const waits = (name: string, reason: string, message = '') => ({
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'True' }],
    containerStatuses: [
      { name, image: 'x', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason, message } } },
    ],
  });
  const eventAbout = (own: Scene, { metadata }: Pod, reason: string, message: string, index = 0) =>
    own.call('POST', own.at('v1/events'), {
      metadata: { name: `${metadata.name}.${index}` },
      involvedObject: { kind: 'Pod', namespace: own.namespace, name: metadata.name, uid: metadata.uid },
      type: 'Warning',
      reason,
      message,
      lastTimestamp: text(Date.now()),
    });

  interface Never {
    reason: string;
    message: string;
    /** In the namespace, before the run. */
    prepare?: (own: Scene) => Promise<unknown>;
    /** To its pod, where one is made. */
    befall?: (own: Scene, pod: Pod) => Promise<unknown>;
  }
  const scheduled = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: '0/3 nodes are available: 3 Insufficient memory',
  };
  const root = 'container has runAsNonRoot and image will run as root';
  const withExecutor = ({ containerStatuses, ...rest }: ReturnType<typeof waits>) => {
    const running = { startedAt: text(Date.now()) };
    const executor = { name: 'executor', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running } };
    return { ...rest, containerStatuses: [...containerStatuses, executor] };
  };
  const mount = 'MountVolume.SetUp failed for volume "volume": no such claim';
  const forbidding = (name: string, spec: object) => (own: Scene) =>
    own.call('POST', own.at(`v1/${name}`), { metadata: { name: 'none' }, spec });
  const nevers: Record<string, Never> = {
    'F19 a pod that finds no node': {
      reason: 'Unschedulable',
      message: '0/3 nodes are available: 3 Insufficient memory',
      befall: (own, pod) => own.podStatus(pod, { phase: 'Pending', conditions: [scheduled] }),
    },
    'F19 a pod that has an image that cannot be pulled': {
      reason: 'ImagePullFailed',
      message: 'container "dump": ImagePullBackOff Back-off pulling image "postgres:16"',
      befall: (own, pod) =>
        own.podStatus(pod, waits('dump', 'ImagePullBackOff', 'Back-off pulling image "postgres:16"')),
    },
    'F19 a pod whose image wants to be root, which the kubelet refuses as a wrong configuration,': {
      reason: 'ConfigInvalid',
      message: `container "dump": CreateContainerConfigError ${root}`,
      befall: (own, pod) => own.podStatus(pod, waits('dump', 'CreateContainerConfigError', root)),
    },
    'attack 15: a pod whose executor runs and waits for a dump that never starts': {
      reason: 'ImagePullFailed',
      message: 'container "dump": ImagePullBackOff',
      befall: (own, pod) => own.podStatus(pod, withExecutor(waits('dump', 'ImagePullBackOff'))),
    },
    'attack 36, F19: a pod that meets a quota of no pods, which only an event of the Job tells,': {
      reason: 'Unschedulable',
      message: 'exceeded quota: none',
      prepare: async (own) => {
        await forbidding('resourcequotas', { hard: { pods: '0' } })(own);
        await waitFor('the quota is counted', async () => {
          const { status } = await own.call<{ status?: { hard?: object } }>('GET', own.at('v1/resourcequotas/none'));
          return status?.hard !== undefined;
        });
      },
    },
    'attack 36: a pod that a LimitRange forbids, which only an event of the Job tells,': {
      reason: 'Unschedulable',
      message: 'maximum memory usage per Container is 32Mi',
      prepare: forbidding('limitranges', { limits: [{ type: 'Container', max: { memory: '32Mi' } }] }),
    },
    'F19 a pod that lacks a volume': {
      reason: 'ConfigInvalid',
      message: `FailedMount: ${mount}`,
      befall: async (own, pod) => {
        await own.podStatus(pod, waits('dump', 'ContainerCreating'));
        await eventAbout(own, pod, 'FailedMount', mount);
      },
    },
  };

  it.each(Object.entries(nevers))(
    '%s is told of, then given up with that reason, and the lock is free',
    async (name, never) => {
      const own = await scene(
        name
          .toLowerCase()
          .replaceAll(/[^a-z0-9]+/g, '-')
          .slice(0, 30),
      );
      await never.prepare?.(own);
      await own.create(once);
      await own.trigger('a');
      const job = await own.started();
      if (never.befall !== undefined) await never.befall(own, await own.pod(job));
      const troubled = await own.untilCondition('BackupHealthy', never.reason);
      expect(condition(troubled, 'BackupHealthy')).toMatchObject({
        status: 'False',
        message: expect.stringContaining(never.message),
      });
      expect(troubled.status?.run?.outcome).toBeUndefined();
      const { status } = await own.untilEnded('Failed');
      expect(status).toMatchObject({ failureReason: never.reason, consecutiveFailures: 1 });
      expect(status?.failureMessage).toContain(never.message);
      await own.untilFree();
    },
  );

  it('F19 a pod whose dump is killed for too much memory has failed for that, whatever its executor says, and the lock is free', async () => {
    const own = await scene('f19-memory');
    await own.create(once);
    await own.trigger('a');
    const job = await own.started();
    const status = endedStatus({ run: { outcome: 'Failed', reason: 'DumpStalled', message: 'no exit code came' } }) as {
      containerStatuses: { name: string; state: { terminated: object } }[];
    };
    for (const { name, state } of status.containerStatuses)
      if (name === 'dump') Object.assign(state.terminated, { exitCode: 137, reason: 'OOMKilled' });
    await own.podStatus(await own.pod(job), status);
    const failed = await own.untilEnded('Failed');
    expect(failed.status).toMatchObject({ failureReason: 'OutOfMemory', consecutiveFailures: 1 });
    expect(failed.status?.failureMessage).toContain('container "dump"');
    expect(condition(failed, 'BackupHealthy')).toMatchObject({ status: 'False', reason: 'OutOfMemory' });
    await own.untilFree();
  });

  it('F45 ten thousand events about a pod lead to one reason, few requests and a small status', async () => {
    const own = await scene('f45-events');
    await own.create(once);
    await own.trigger('a');
    const pod = await own.pod(await own.started());
    // While prepare runs nobody looks for events: all are there when somebody does.
    const prepare = { name: 'prepare', image: 'x', imageID: '', ready: false, restartCount: 0 };
    const running = { startedAt: text(Date.now()) };
    await own.podStatus(pod, { phase: 'Pending', initContainerStatuses: [{ ...prepare, state: { running } }] });
    const indexes = Array.from({ length: 10_000 }, (_, index) => index);
    const tell = async (): Promise<void> => {
      for (let index = indexes.pop(); index !== undefined; index = indexes.pop())
        await eventAbout(own, pod, 'FailedMount', `${mount} ${'again '.repeat(100)}`, index);
    };
    await Promise.all(Array.from({ length: 32 }, tell));
    const listed = () =>
      shared.proxy.asked.filter(({ method, path }) => method === 'GET' && path.endsWith(`${own.namespace}/events`));
    const before = listed().length;
    await own.podStatus(pod, { ...waits('dump', 'ContainerCreating'), initContainerStatuses: null });
    const backup = await own.untilEnded('Failed');
    expect(backup.status?.failureReason).toBe('ConfigInvalid');
    expect(size(backup)).toBeLessThan(64 * 1024);
    expect(listed().length).toBeGreaterThan(before);
    expect(listed().length).toBeLessThan(10);
  });

  it('F19 Pod Security at "restricted" admits the pod', async () => {
    const own = await scene('f19-restricted', { 'pod-security.kubernetes.io/enforce': 'restricted' });
    await own.create();
    await own.trigger('a');
    expect((await own.run()).status?.run?.outcome).toBe('Succeeded');
  });

  it('F19 a quota that refuses the Job itself is a condition, and the run comes when it is gone', async () => {
    const own = await scene('f19-job');
    const quota = { metadata: { name: 'none' }, spec: { hard: { 'count/jobs.batch': '0' } } };
    await own.call('POST', own.at('v1/resourcequotas'), quota);
    await waitFor('the quota is counted', async () => {
      const { status } = await own.call<{ status?: { hard?: object } }>('GET', own.at('v1/resourcequotas/none'));
      return status?.hard !== undefined;
    });
    await own.create();
    await own.trigger('a');
    const refused = await own.untilCondition('BackupHealthy', 'JobRefused');
    expect(condition(refused, 'BackupHealthy')?.message).toContain('exceeded quota: none');
    await own.call('DELETE', own.at('v1/resourcequotas/none'));
    await own.touch();
    expect((await own.run()).status).toMatchObject({
      run: { token: 'a', outcome: 'Succeeded' },
      consecutiveFailures: 0,
    });
  });
});
