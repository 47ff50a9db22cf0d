// Puts the operator into a cluster the way a user does: kubectl apply -k of the dev overlay.
import { fileURLToPath } from 'node:url';
import { waitFor } from '../wait.ts';
import type { Kubectl } from './kubectl.ts';

const overlay = fileURLToPath(new URL('../../kustomize/overlays/dev', import.meta.url));

export const operatorNamespace = 'dbbackup-system';

export async function deployOperator(kubectl: Kubectl, { startTimeoutSeconds = 600 } = {}): Promise<void> {
  const rendered = await kubectl(['kustomize', overlay]);
  const flag = '--start-timeout-seconds=';
  if (!rendered.includes(`${flag}600`))
    throw new Error(`render ${overlay}: the controller has no ${flag}600 to replace`);
  await kubectl(['apply', '--server-side', '-f', '-'], rendered.replace(`${flag}600`, `${flag}${startTimeoutSeconds}`));
  await operatorIsReady(kubectl);
}

export async function operatorIsReady(kubectl: Kubectl): Promise<void> {
  for (const name of ['dbbackup-webhook', 'dbbackup-controller'])
    await kubectl(['-n', operatorNamespace, 'rollout', 'status', `deployment/${name}`, '--timeout=180s']);
  // Ready says that the webhook's certificate is known; the first review proves it.
  await waitFor('the webhook answers', async () => {
    await kubectl(['apply', '--server-side', '--dry-run=server', '-f', '-'], JSON.stringify(probe));
    return true;
  });
}

/** A valid object that is never stored. */
const probe = {
  apiVersion: 'dbbackup.io/v1alpha1',
  kind: 'DatabaseBackup',
  metadata: { name: 'probe', namespace: 'default' },
  spec: {
    database: { engine: 'postgres', image: 'postgres:16', host: 'db', name: 'db', auth: { secretRef: { name: 'db' } } },
    storage: { pvc: { claimName: 'backups' } },
    encryption: { none: {} },
    retention: { keepLast: 1 },
  },
};
