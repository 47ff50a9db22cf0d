// The folder that a team would have in Git: a kustomization and a DatabaseBackup, a good one and a wrong one.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { database, store } from '../stage/manifests.ts';

const kustomization = (namespace: string): string => `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: ${namespace}
resources:
  - database-backup.yaml
`;

export interface OverlayOptions {
  folder: string;
  namespace: string;
  image: string;
  recipient: string;
}

/** A backup every minute, encrypted, the newest three kept. */
export const goodManifest = ({
  namespace,
  image,
  recipient,
}: OverlayOptions): string => `apiVersion: dbbackup.io/v1alpha1
kind: DatabaseBackup
metadata:
  name: orders
spec:
  schedule: "* * * * *"
  database:
    engine: postgres
    image: ${image}
    host: ${database.host}
    name: ${database.name}
    auth:
      secretRef:
        name: ${database.host}
  storage:
    pathPrefix: postgres
    s3:
      bucket: ${store.bucket}
      region: ${store.region}
      endpoint: http://${store.host}.${namespace}.svc:${store.port}
      insecure: true
      forcePathStyle: true
      auth:
        secretRef:
          name: s3-credentials
  encryption:
    age:
      recipients:
        - ${recipient}
  retention:
    keepLast: 3
`;

/** Five mistakes that people make. */
export const wrongManifest = (options: OverlayOptions): string =>
  goodManifest(options)
    .replace('"* * * * *"', '"61 * * * *"\n  timeZone: Mars/Phobos')
    .replace('keepLast: 3', 'maxDeletesPerRun: 5')
    .replace('          name: s3-credentials\n', '          name: s3-credentials\n        default: {}\n')
    .replace('    s3:\n', '    pvc:\n      claimName: backups\n    s3:\n');

/** Writes the overlay with one of the manifests; gives the folder. */
export async function writeOverlay(options: OverlayOptions, name: string, manifest: string): Promise<string> {
  const folder = join(options.folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'kustomization.yaml'), kustomization(options.namespace));
  await writeFile(join(folder, 'database-backup.yaml'), manifest);
  return folder;
}
