// The script of `restore-locate -o shell` where the snapshot is in Azure or at Google, against servers that speak their protocols. Their own
// programs are too large for the rig (or can be had from no package source that it uses): small stand-ins take the very arguments that
// the script gives them, no others, and make the request that is documented.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StorageSpec } from '../../crds/databasebackup.gen.ts';
import { encodeManifest } from '../../crds/rules/manifest.ts';
import { planOf } from '../../plugin/restore/plan.ts';
import { restoreScript } from '../../plugin/restore/script.ts';
import { choose } from '../../plugin/snapshots.ts';
import { debianPackages } from '../rig/debian.ts';
import { type Azurite, startAzurite } from '../rig/servers/azurite.ts';
import { type FakeGcs, startFakeGcs } from '../rig/servers/fake-gcs.ts';
import { key, type Made, RestoreWorld } from './plugin-restore-world.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

/** \`gcloud storage cp gs://BUCKET/KEY FILE\` as one request for the object's media, at the address that gcloud would use. */
const gcloud = `#!/bin/sh
set -eu
[ "$1 $2 $3 $4" = "--quiet --no-user-output-enabled storage cp" ] || exit 2
rest=\${5#gs://}
name=$(printf %s "\${rest#*/}" | sed 's,/,%2F,g')
curl -fsS -o "$6" "\${CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE}b/\${rest%%/*}/o/$name?alt=media"
`;

/** `az storage blob download` with a SAS token, which it takes from its own variable. */
const az = `#!/bin/sh
set -eu
[ "$1 $2 $3" = "storage blob download" ] || exit 2
shift 3
for argument; do
  case $argument in
    --blob-endpoint=*) endpoint=\${argument#*=} ;;
    --container-name=*) container=\${argument#*=} ;;
    --name=*) name=\${argument#*=} ;;
    --file=*) file=\${argument#*=} ;;
    --account-name=*) account=\${argument#*=} ;;
    --only-show-errors | --no-progress | --output=none) ;;
    *) exit 2 ;;
  esac
done
[ -n "$account" ]
curl -fsS -o "$file" "$endpoint/$container/$name?$AZURE_STORAGE_SAS_TOKEN"
`;

let world: RestoreWorld;
let azurite: Azurite;
let google: FakeGcs;
let made: Made;

beforeAll(async () => {
  await debianPackages(['curl'], log);
  [world, azurite, google] = await Promise.all([RestoreWorld.start(), startAzurite({ log }), startFakeGcs({ log })]);
  made = await world.snapshot({ compression: 'zstd', encryption: 'age' });
  await azurite.createContainer('backups');
  await google.createBucket('backups');
  for (const [name, bytes] of [
    [key, made.stored],
    [`${key}.json`, Buffer.from(encodeManifest(made.manifest))],
  ] as const) {
    await toAzure(name, bytes);
    await toGoogle(name, bytes);
  }
});

afterAll(async () => {
  await Promise.all([world?.stop(), azurite?.stop(), google?.stop()]);
});

async function toAzure(name: string, body: Buffer): Promise<void> {
  const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2021-12-02' };
  const { status } = await fetch(`${azurite.endpoint}/backups/${name}?${azurite.sas('racwdl')}`, {
    method: 'PUT',
    headers,
    body: new Uint8Array(body),
  });
  expect(status).toBe(201);
}

async function toGoogle(name: string, body: Buffer): Promise<void> {
  const url = `${google.endpoint}/upload/storage/v1/b/backups/o?uploadType=media&name=${encodeURIComponent(name)}`;
  const { status } = await fetch(url, { method: 'POST', body: new Uint8Array(body) });
  expect(status).toBe(200);
}

function script(storage: StorageSpec): string {
  const backup = world.backupOf(made, { pathPrefix: 'postgres/daily', ...storage });
  return restoreScript(planOf(backup, choose(backup, {})));
}

const secretKey = { name: 'store-login', key: 'login' };
const azureStorage = (): StorageSpec => ({
  azure: {
    container: 'backups',
    account: azurite.account,
    endpoint: azurite.endpoint,
    insecure: true,
    auth: { accountKeySecretKeyRef: secretKey },
  },
});
const googleStorage = (): StorageSpec => ({
  gcs: {
    bucket: 'backups',
    endpoint: google.endpoint,
    insecure: true,
    auth: { serviceAccountKeySecretKeyRef: secretKey },
  },
});

async function environment(target: string): Promise<Record<string, string>> {
  const tools = await mkdtemp(join(world.folder, 'tools'));
  await writeFile(join(tools, 'gcloud'), gcloud, { mode: 0o755 });
  await writeFile(join(tools, 'az'), az, { mode: 0o755 });
  const PATH = `${tools}:${await world.path([], ['curl'])}`;
  return { PATH, AGE_IDENTITY_FILE: world.identity, ...world.clientEnvironment(target) };
}

it('from Azure, and stops where the store refuses, naming the Secret that may help', async () => {
  const target = await world.newTarget();
  const env = await environment(target);
  const pipe = (token: string) =>
    world.pipe(['/bin/dash'], script(azureStorage()), { ...env, AZURE_STORAGE_SAS_TOKEN: token });
  const refused = await pipe(azurite.sas('r').replace(/sig=./, 'sig=x'));
  expect(refused.ok).toBe(false);
  expect(refused.output).toContain(`cannot download ${azurite.endpoint}/backups/${key}.json`);
  expect(refused.output).toContain('for example that of Secret shop/store-login (login)');
  expect(await pipe(azurite.sas('r'))).toMatchObject({ ok: true, left: '' });
  expect(await world.contents(target)).toBe(await world.contents('source'));
});

it('from Google, and stops where the object is not there', async () => {
  const target = await world.newTarget();
  const env = await environment(target);
  const elsewhere = script(googleStorage()).replaceAll('postgres/daily/', 'elsewhere/');
  const { output } = await world.pipe(['/bin/dash'], elsewhere, env);
  expect(output).toContain('cannot download gs://backups/elsewhere/');
  expect(await world.pipe(['/bin/dash'], script(googleStorage()), env)).toMatchObject({ ok: true, left: '' });
  expect(await world.contents(target)).toBe(await world.contents('source'));
});
