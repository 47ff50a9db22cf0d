// The policy on who may make or change a DatabaseBackup, on a real API server: the right to create Jobs decides, webhook or not.
import { readFile } from 'node:fs/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ApiError, Transport } from '../../controller/transport.ts';
import { startCluster } from '../rig/cluster/cluster.ts';
import { ownedRig, stopOwnedRig } from '../rig/owned.ts';
import { waitFor } from '../wait.ts';
import { backupObject, createNamespace, installCrd, type World, world } from './controller-world.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);
// A policy is cluster-wide, and so is not for the cluster that other files share.
const rig = ownedRig('policy');
const namespace = 'policy';
const backups = `/apis/dbbackup.io/v1alpha1/namespaces/${namespace}/databasebackups`;
let admin: World;
let kubeconfig: string;

/** Calls as somebody else. */
function as(user: string): Transport {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const users = config.users.map((one) => ({ ...one, impersonateUser: user }));
  config.loadFromOptions({
    clusters: config.clusters,
    users,
    contexts: config.contexts,
    currentContext: config.currentContext,
  });
  return new Transport(config);
}

async function grant(user: string, rules: object[]): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await admin.transport.call({ method: 'POST', path: `${rbac}/roles`, body: { metadata: { name: user }, rules } });
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user };
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }];
  await admin.transport.call({
    method: 'POST',
    path: `${rbac}/rolebindings`,
    body: { metadata: { name: user }, roleRef, subjects },
  });
}

const own = { apiGroups: ['dbbackup.io'], resources: ['databasebackups'], verbs: ['*'] };
const jobs = { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create'] };

beforeAll(async () => {
  ({ kubeconfig } = await startCluster({
    name: rig,
    node: false,
    log,
    env: { ...process.env, DBBACKUP_KUBECONFIG: '' },
  }));
  admin = world(kubeconfig);
  await installCrd(admin);
  await createNamespace(admin, namespace);
  await grant('reader-of-backups', [own]);
  await grant('maker-of-jobs', [own, jobs]);
  const file = new URL('../../kustomize/base/operator/spec-policy.yaml', import.meta.url);
  for (const document of parseAllDocuments(await readFile(file, 'utf8'))) {
    const body = document.toJS() as { kind: string };
    const plural =
      body.kind === 'ValidatingAdmissionPolicy' ? 'validatingadmissionpolicies' : 'validatingadmissionpolicybindings';
    await admin.transport.call({ method: 'POST', path: `/apis/admissionregistration.k8s.io/v1/${plural}`, body });
  }
  await waitFor('the policy is in force', async () => {
    const query = { dryRun: 'All' };
    const body = backupObject(namespace, 'probe');
    return await as('reader-of-backups')
      .call({ method: 'POST', path: backups, query, body })
      .then(
        () => false,
        // RBAC refuses too, until it has seen the role; it says nothing of Jobs.
        (error: unknown) => error instanceof ApiError && error.status === 403 && /jobs\.batch/.test(error.message),
      );
  });
});

afterAll(() => stopOwnedRig(rig, log));

describe('attack 20: who may not create Jobs in a namespace', () => {
  it('may not create a DatabaseBackup there, and is told which right is missing', async () => {
    const call = as('reader-of-backups').call({
      method: 'POST',
      path: backups,
      body: backupObject(namespace, 'orders'),
    });
    await expect(call).rejects.toThrow(/takes the right to create jobs\.batch in namespace policy/);
  });

  it('may trigger and label one that is there, and not change its spec', async () => {
    await as('maker-of-jobs').call({ method: 'POST', path: backups, body: backupObject(namespace, 'orders') });
    const path = `${backups}/orders`;
    const reader = as('reader-of-backups');
    await reader.call({ method: 'PATCH', path, body: { metadata: { annotations: { 'dbbackup.io/trigger': 'now' } } } });
    await expect(reader.call({ method: 'PATCH', path, body: { spec: { suspend: true } } })).rejects.toThrow(
      /jobs\.batch/,
    );
    await as('maker-of-jobs').call({ method: 'PATCH', path, body: { spec: { suspend: true } } });
  });

  it('does not stand in the way of status and deletion', async () => {
    await admin.transport.call({
      method: 'PATCH',
      path: `${backups}/orders/status`,
      body: { status: { snapshotCount: 1 } },
    });
    await as('reader-of-backups').call({ method: 'DELETE', path: `${backups}/orders` });
  });
});
