// Writes the file by which one client, person or program, finds the API server and says who it is.
import { readFile, writeFile } from 'node:fs/promises';
import type { Certificate } from './certificates.ts';

export interface Access {
  readonly server: string;
  readonly authority: string;
  readonly client: Certificate;
}

/** Everything is inside the file, so that it can be copied away from the rig and still works. JSON is YAML. */
export async function writeKubeconfig(file: string, name: string, access: Access): Promise<void> {
  const inline = async (path: string) => (await readFile(path)).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: { server: access.server, 'certificate-authority-data': await inline(access.authority) },
      },
    ],
    users: [
      {
        name,
        user: {
          'client-certificate-data': await inline(access.client.cert),
          'client-key-data': await inline(access.client.key),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}
