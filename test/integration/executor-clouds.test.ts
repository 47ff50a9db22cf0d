// Whole backups of a real database to servers that speak Google Cloud Storage and Azure Blob Storage: committed, listed, pruned, restored
// with stock tools, and without a secret in anything that is written.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { StorageTask, Task } from '../../crds/rules/contract.ts';
import { decodeManifest } from '../../crds/rules/manifest.ts';
import { clusterPrefix } from '../../crds/rules/names.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { type BareRun, bareRun } from '../executor/bare-run.ts';
import { Pod, taskFor } from '../executor/pod.ts';
import { contentOf, restore, startWorld, type World } from '../executor/world.ts';
import { type Azurite, startAzurite } from '../rig/servers/azurite.ts';
import { type FakeGcs, startFakeGcs } from '../rig/servers/fake-gcs.ts';

const log = (line: string) => console.error(line);
const secretKey = { secret: 'store-login', key: 'login' };
let world: World;
let azurite: Azurite;
let gcs: FakeGcs;
const bare: BareRun[] = [];
const pods: Pod[] = [];

beforeAll(async () => {
  world = await startWorld();
  azurite = await startAzurite({ log });
  await azurite.createContainer('backups');
  gcs = await startFakeGcs({ log });
  await gcs.createBucket('backups');
});
afterAll(async () => {
  await azurite?.stop();
  await gcs?.stop();
  await world?.stop();
});
afterEach(async () => {
  for (const pod of pods.splice(0)) await pod.remove();
  for (const one of bare.splice(0)) await one.remove();
});

const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const serviceAccount = { type: 'service_account', client_email: 'b@p.iam.gserviceaccount.com', private_key: pem };

interface Cloud {
  storage: StorageTask;
  /** What the Secret holds, and what of it must show nowhere. */
  login: string;
  hidden: string[];
}

const clouds: Record<string, () => Cloud> = {
  'GCS with a key': () => ({
    storage: { kind: 'gcs', bucket: 'backups', endpoint: gcs.endpoint, keyFile: secretKey },
    login: JSON.stringify(serviceAccount),
    hidden: pem.toString().split('\n').slice(1, -2),
  }),
  'Azure with an account key': () => {
    const { account, endpoint, accountKey } = azurite;
    const auth = { kind: 'accountKey', secretKey } as const;
    return {
      storage: { kind: 'azure', container: 'backups', account, endpoint, auth },
      login: accountKey,
      hidden: [accountKey],
    };
  },
  'Azure with a SAS token': () => {
    const { account, endpoint } = azurite;
    const login = azurite.sas('racwdl');
    const auth = { kind: 'sasToken', secretKey } as const;
    const signature = new URLSearchParams(login).get('sig') ?? '';
    return {
      storage: { kind: 'azure', container: 'backups', account, endpoint, auth },
      login,
      hidden: [login, signature, encodeURIComponent(signature)],
    };
  },
};

async function open(task: Task, login: string): Promise<Storage> {
  const one = await bareRun(task);
  bare.push(one);
  await writeFile(join(one.run.folders.storageSecret, secretKey.key), login);
  return openStorage(one.run);
}

/** Two whole backups and a restore, each a dozen processes: on a busy machine they take minutes. */
const timeout = 300_000;

describe.each(Object.entries(clouds))('%s', { timeout }, (name, cloud) => {
  test('a backup restores to an equal database, the next deletes it, and no secret shows', async () => {
    const { storage, login, hidden } = cloud();
    const over: Partial<Task> = {
      pathPrefix: name.replaceAll(' ', '-'),
      retention: { keepLast: 1, maxDeletesPerRun: 10 },
    };
    const task = taskFor(storage, { ...world.postgres, database: 'orders' }, over);
    const run = async (day: number) => {
      const time = `2026-03-0${day}T01:00:00Z`;
      const pod = await Pod.create({ ...task, time }, { [secretKey.key]: login }, `job-${day}`);
      pods.push(pod);
      const { result, output, code } = await pod.run(world.postgres);
      expect(result?.run, output).toMatchObject({ outcome: 'Succeeded' });
      expect(code).toBe(0);
      for (const secret of hidden) expect(output).not.toContain(secret);
      return result;
    };
    const first = await run(1);
    const id = first?.run.outcome === 'Succeeded' ? first.run.id : '';

    const store = await open(task, login);
    const prefix = clusterPrefix(task.pathPrefix, task.owner.namespace, task.cluster);
    const key = `${prefix}${id}.snap`;
    const folder = await mkdtemp(join(tmpdir(), 'dbbackup-clouds-'));
    try {
      await writeFile(join(folder, `${id}.snap`), store.get(key));
      const manifest = decodeManifest(String(await store.getSmall(`${key}.json`, 65_536)), key);
      const target = `restored_${name.replaceAll(/\W/g, '_').toLowerCase()}`;
      await world.sql(`create database ${target}`, 'postgres');
      await restore(world, manifest, folder, target, '');
      expect(await contentOf(world, target)).toBe(await contentOf(world, 'orders'));
    } finally {
      await rm(folder, { recursive: true });
    }

    expect((await run(2))?.inventory).toMatchObject({ count: 1, deleted: 1, pruneError: '' });
    expect(await store.head(key)).toBeUndefined();
    store.close();
  });
});
