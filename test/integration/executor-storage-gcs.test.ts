// The storage conformance suite against a server that speaks Google Cloud Storage.
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GcsTask } from '../../crds/rules/contract.ts';
import { openGcs } from '../../executor/storage/gcs.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { storageConformance } from '../conformance/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { taskFor } from '../executor/pod.ts';
import { type FakeGcs, startFakeGcs } from '../rig/servers/fake-gcs.ts';

/** The smallest that Google takes. */
const part = 262_144;
let server: FakeGcs;
let bare: BareRun;
let storage: Storage;

beforeAll(async () => {
  server = await startFakeGcs({ log: (line) => console.error(line) });
  await server.createBucket('conformance');
  const keyFile = { secret: 'gcs', key: 'key.json' };
  const task: GcsTask = { kind: 'gcs', bucket: 'conformance', endpoint: server.endpoint, keyFile };
  bare = await bareRun(taskFor(task, {}));
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = {
    type: 'service_account',
    client_email: 'backup@example.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
  await writeFile(join(bare.run.folders.storageSecret, 'key.json'), JSON.stringify(key));
  storage = await openGcs(bare.run, task, { firstPart: part });
});

afterAll(async () => {
  storage?.close();
  await server?.stop();
  await bare?.remove();
});

storageConformance('GCS (fake-gcs-server)', { part, listsPending: false }, () => storage);

test('the store tells its clock', async () => {
  for await (const _one of storage.list('postgres/')) break;
  expect(Math.abs(storage.clockAhead() ?? Number.NaN)).toBeLessThan(300_000);
});
