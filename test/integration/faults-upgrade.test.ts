// F21: objects that an older CRD has let in. The new one and the controller take them as far as they can be understood, say what cannot be,
// and nothing stands in the way of repairing or deleting them.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Cluster } from '../rig/cluster/cluster.ts';
import { ownedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { backupObject, type World, world } from './controller-world.ts';
import { condition, FaultyScene, startOwnCluster, stopOwnCluster } from './faults-world.ts';

const rig = ownedRig('faultsupgrade', {});
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let cluster: Cluster;
let direct: World;

interface Definition {
  metadata: { name: string; resourceVersion?: string };
  spec: { versions: { schema: object; subresources: object }[] };
}

beforeAll(async () => {
  cluster = await startOwnCluster(rig);
  direct = world(cluster.kubeconfig);
});
afterAll(() => stopOwnCluster(rig));

const ours = async (): Promise<Definition> =>
  parse(await readFile(new URL('../../crds/dbbackup.io_databasebackups.yaml', import.meta.url), 'utf8'));

const call = <T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<T> =>
  direct.transport.call<T>({ method, path, ...(body === undefined ? {} : { body }) });

/** A CRD as a version long ago may have had it: it knows nothing of what is in a spec. */
async function installOld(): Promise<void> {
  const { spec, ...rest } = await ours();
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } };
  const versions = spec.versions.map((version) => ({
    ...version,
    schema,
    additionalPrinterColumns: [],
    selectableFields: [],
  }));
  await call('POST', definitions, { ...rest, spec: { ...spec, versions } });
  await waitFor('the old CRD is served', async () => {
    await call('GET', '/apis/dbbackup.io/v1alpha1/databasebackups');
    return true;
  });
}

async function upgrade(): Promise<void> {
  const next = await ours();
  const path = `${definitions}/${next.metadata.name}`;
  const { metadata } = await call<Definition>('GET', path);
  await call('PUT', path, {
    ...next,
    metadata: { ...next.metadata, resourceVersion: metadata.resourceVersion ?? '' },
  });
}

it('F21 objects of an older CRD with fields that are unknown, invalid or missing are run or said to be wrong, can be changed, repaired and deleted', {
  timeout: 300_000,
}, async () => {
  await installOld();
  const scene = await FaultyScene.open(cluster, direct, 'f21');
  try {
    const { spec } = backupObject('', '') as { spec: Record<string, object> };
    await scene.createDue({ retentoin: { keepLats: 3 }, database: { ...spec['database'], colour: 'red' } }, 'unknown');
    await scene.createDue({ retention: { keepLast: 0 } }, 'invalid');
    await scene.create({ schedule: '@every 5s' }, 'schedule');
    for (const field of ['retention', 'encryption']) await scene.create({ [field]: undefined }, `no-${field}`);
    await upgrade();
    await waitFor('the new CRD refuses what the old one took', async () => {
      const refused = await scene.create({ retention: { keepLast: 0 } }, 'too-late').then(
        () => false,
        () => true,
      );
      if (!refused) await scene.call('DELETE', scene.backupPath('too-late'));
      return refused;
    });

    const program = await scene.start();
    // What it does not know it leaves aside.
    expect((await scene.run('unknown')).status?.run?.outcome).toBe('Succeeded');
    const names = ['invalid', 'schedule', 'no-retention', 'no-encryption'];
    for (const name of names) {
      const told = await scene.untilCondition('Ready', 'InvalidSpec', name).catch((error: unknown) => {
        throw new Error(`${name}: ${program.output().slice(-3000)}`, { cause: error });
      });
      expect(condition(told, 'Ready'), name).toMatchObject({
        status: 'False',
        message: expect.stringContaining('spec'),
      });
    }
    expect((await scene.jobs()).map(({ metadata }) => metadata.name.split('-')[0])).toEqual(['unknown']);
    expect(program.child.exitCode).toBeNull();

    // A change of something else passes, as long as what was wrong stays as it was.
    await scene.patch({ metadata: { labels: { team: 'shop' } } }, 'invalid');
    await scene.patch({ spec: { suspend: true } }, 'invalid');
    await expect(scene.patch({ spec: { retention: { keepLast: -1 } } }, 'invalid')).rejects.toThrow();
    await scene.patch({ spec: { suspend: false, retention: { keepLast: 3 } } }, 'invalid');
    await scene.untilCondition('Ready', 'Accepted', 'invalid');
    for (const name of ['unknown', ...names]) await scene.call('DELETE', scene.backupPath(name));
    expect((await call<{ items: object[] }>('GET', scene.at('dbbackup.io/v1alpha1/databasebackups'))).items).toEqual(
      [],
    );
  } finally {
    await scene.close();
  }
});
