// restore-locate as transcripts: which snapshot it chooses, what it tells, how it quotes.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { quote, word } from '../../crds/rules/engines/quote.ts';
import { type LocateOptions, restoreLocate } from '../../plugin/commands/restore-locate.ts';
import { backup, healthy, newest, type Overrides, older, world } from './objects.ts';

async function locate(options: Partial<LocateOptions> = {}, overrides: Overrides = {}): Promise<string> {
  const here = world({ getBackup: async () => backup(overrides) });
  const all = { name: 'orders', latest: false, output: 'text', ...options };
  await restoreLocate({ ...here, flags: ' --context prod' }, all);
  return `${here.stderr()}\n${here.stdout()}`;
}

it('the newest, encrypted in a bucket', async () => {
  expect(await locate()).toMatchInlineSnapshot(`
    "
    Snapshot:   20250327T000000Z-1a2b3c4d
    Backup:     shop/orders
    Taken:      2025-03-27 00:00:05 UTC (2025-03-27 01:00:05 Europe/Berlin)
    Lost:       what was written in the last 26 h (since 2025-03-27 00:00:05 UTC)
    Database:   orders on orders-db:5432 (postgres 16.4)
    Data:       s3://backups/postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap
    Manifest:   s3://backups/postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap.json
    Region:     eu-central-1
    Size:       1.2 GiB stored, 5.0 GiB as a dump
    SHA-256:    abababababababababababababababababababababababababababababababab
    Encrypted:  with age; needs the identity of one of age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq

    Tools:                       aws, age, zstd, psql, pg_restore, sha256sum or shasum
    Secret shop/s3-credentials:  storage (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)
    Secret shop/orders-db:       login of the source (username, password)

    Restore into the database that these variables name; the source is never a default:
      export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...
      export PGDATABASE=...   # an empty database
      export AGE_IDENTITY_FILE=...
      kubectl dbbackup restore-locate orders -n shop --context prod --snapshot 20250327T000000Z-1a2b3c4d -o shell | sh
    "
  `);
});

describe('the newest in another cloud', () => {
  const secretKey = { name: 'store-login', key: 'login' };
  const container = { container: 'backups', account: 'mybackups' };
  const about = (text: string) =>
    text.split('\n').filter((line) => /Data:|Account:|Endpoint:|Tools:|Secret/.test(line));

  it("in Google's, with a key", async () => {
    const storage = { gcs: { bucket: 'backups', auth: { serviceAccountKeySecretKeyRef: secretKey } } };
    expect(about(await locate({}, { spec: { storage } }))).toMatchInlineSnapshot(`
      [
        "Data:       gs://backups/postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap",
        "Tools:                    gcloud, age, zstd, psql, pg_restore, sha256sum or shasum",
        "Secret shop/store-login:  storage (login)",
        "Secret shop/orders-db:    login of the source (username, password)",
      ]
    `);
  });

  it("in Azure's, with a SAS token", async () => {
    const storage = { azure: { ...container, auth: { sasTokenSecretKeyRef: secretKey } } };
    expect(about(await locate({}, { spec: { storage } }))).toMatchInlineSnapshot(`
      [
        "Data:       https://mybackups.blob.core.windows.net/backups/postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap",
        "Account:    mybackups",
        "Tools:                    az, age, zstd, psql, pg_restore, sha256sum or shasum",
        "Secret shop/store-login:  storage (login)",
        "Secret shop/orders-db:    login of the source (username, password)",
      ]
    `);
  });

  it("in Azure's at another address, with an identity that only the cluster has", async () => {
    const endpoint = 'https://blobs.example/mybackups';
    const storage = { azure: { ...container, endpoint, auth: { workloadIdentity: {} } } };
    expect(about(await locate({}, { spec: { storage } }))).toMatchInlineSnapshot(`
      [
        "Data:       https://blobs.example/mybackups/backups/postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap",
        "Account:    mybackups",
        "Tools:                  az, age, zstd, psql, pg_restore, sha256sum or shasum",
        "Secret shop/orders-db:  login of the source (username, password)",
      ]
    `);
  });

  it('has a script that a shell can read', async () => {
    for (const storage of [
      { gcs: { bucket: 'backups', endpoint: "https://it's.example", auth: { applicationDefault: {} } } },
      { azure: { ...container, auth: { managedIdentity: {} } } },
    ])
      execFileSync('/bin/sh', ['-n'], { input: await locate({ output: 'shell' }, { spec: { storage } }) });
  });
});

it('an older one on a claim, of which status knows little', async () => {
  const storage = { pvc: { claimName: 'backups', subPath: 'db' } };
  const overrides = { spec: { storage, encryption: { none: {} }, compression: { algorithm: 'gzip' as const } } };
  expect(await locate({ snapshot: older }, overrides)).toMatchInlineSnapshot(`
    "
    Snapshot:   20250326T000000Z-1a2b5e6f
    Backup:     shop/orders
    Taken:      2025-03-26 00:00:00 UTC (2025-03-26 01:00:00 Europe/Berlin)
    Lost:       what was written in the last 2 days (since 2025-03-26 00:00:00 UTC, the exact time is in the manifest)
    Database:   orders on orders-db:5432 (postgres)
    Data:       claim backups, file db/shop/orders-db/20250326T000000Z-1a2b5e6f.snap
    Manifest:   claim backups, file db/shop/orders-db/20250326T000000Z-1a2b5e6f.snap.json
    Claim:      shop/backups
    Size:       1.1 GiB stored
    SHA-256:    in the manifest
    Encrypted:  no

    Tools:                  gzip, psql, pg_restore, sha256sum or shasum
    Secret shop/orders-db:  login of the source (username, password)

    Restore into the database that these variables name; the source is never a default:
      export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...
      export PGDATABASE=...   # an empty database
      export VOLUME_DIR=...   # where the claim is mounted
      kubectl dbbackup restore-locate orders -n shop --context prod --snapshot 20250326T000000Z-1a2b5e6f -o shell | sh
    "
  `);
});

it('one that status does not list', async () => {
  const gone = '20240101T000000Z-1a2b0000';
  expect((await locate({ snapshot: gone })).split('\n')[0]).toBe(
    `Warning: the status of shop/orders does not list ${gone}: retention may have deleted it, or another cluster has made it. This is where it would be.`,
  );
  const many = await locate({ snapshot: gone }, { status: { ...healthy, snapshotCount: 40 } });
  expect(many).toContain('only the newest 2 of 40 are listed there');
  expect(many).toContain(`s3://backups/postgres/daily/shop/orders-db/${gone}.snap\n`);
});

it('as data', async () => {
  expect(await locate({ output: 'yaml' })).toMatchInlineSnapshot(`
    "
    namespace: shop
    backup: orders
    snapshot: 20250327T000000Z-1a2b3c4d
    listed: true
    time: 2025-03-27T00:00:05.000Z
    timeIsDumpStart: true
    lostSeconds: 93600
    engine: postgres
    source:
      host: orders-db
      port: 5432
      name: orders
    storage:
      kind: s3
      bucket: backups
      region: eu-central-1
      data: postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap
      manifest: postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap.json
    storedSize: 1288490188
    size: 5368709120
    sha256: abababababababababababababababababababababababababababababababab
    encryption:
      encrypted: true
      recipients:
        - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq
    tools:
      - aws
      - age
      - zstd
      - psql
      - pg_restore
    secrets:
      - purpose: storage
        name: s3-credentials
        keys:
          - AWS_ACCESS_KEY_ID
          - AWS_SECRET_ACCESS_KEY
      - purpose: login of the source
        name: orders-db
        keys:
          - username
          - password
    command: kubectl dbbackup restore-locate orders -n shop --context prod --snapshot 20250327T000000Z-1a2b3c4d -o shell | sh
    "
  `);
  expect(JSON.parse(await locate({ output: 'json', snapshot: older }))).toMatchObject({ snapshot: older });
});

it('the recorded key outlives a change of pathPrefix', async () => {
  const storage = { ...backup().spec.storage, pathPrefix: 'elsewhere' };
  expect(await locate({}, { spec: { storage } })).toContain(`postgres/daily/shop/orders-db/${newest}.snap\n`);
  expect(await locate({ snapshot: older }, { spec: { storage } })).toContain(
    `elsewhere/shop/orders-db/${older}.snap\n`,
  );
});

describe('the choice', () => {
  it.each([
    [{ latest: true }, newest],
    [{ asOf: '2025-03-28' }, newest],
    // The dump began five seconds after its window.
    [{ asOf: '2025-03-27T00:00:05Z' }, newest],
    [{ asOf: '2025-03-27T00:00:04Z' }, older],
    [{ asOf: '2025-03-27T00:00:05+01:00' }, older],
  ])('of %o is %s', async (options, id) => {
    expect(await locate(options)).toContain(`Snapshot:   ${id}\n`);
  });

  it.each([
    [{ latest: true, snapshot: newest }, 2, 'exclude each other'],
    [{ snapshot: 'yesterday' }, 2, 'not the id of a snapshot'],
    [{ asOf: 'yesterday' }, 2, 'not a time'],
    [{ asOf: '12' }, 2, 'not a time'],
    [{ asOf: '2020-01-01T00:00:00Z' }, 1, 'the oldest is of 2025-03-26T00:00:00.000Z'],
  ])('of %o ends with %i', async (options, exitCode, message) => {
    await expect(locate(options)).rejects.toMatchObject({ exitCode, message: expect.stringContaining(message) });
  });

  it('of nothing is an error', async () => {
    await expect(locate({}, { status: null })).rejects.toThrow('shop/orders has no snapshot yet');
  });
});

describe('words of a shell', () => {
  it.each(["it's", '$(touch x)', '`x`', 'a\\', '"', "'", '', ' a  b ', 'a\nb', '!x', "'\\''", '-n', '*', '~'])(
    '%j stays itself',
    (text) => {
      expect(execFileSync('/bin/sh', ['-c', `printf %s ${quote(text)}`], { encoding: 'utf8' })).toBe(text);
      expect(execFileSync('/bin/sh', ['-c', `printf %s ${word(text)}`], { encoding: 'utf8' })).toBe(text);
    },
  );

  it('cannot hold a zero byte', () => {
    expect(() => quote('a\0b')).toThrow('zero byte');
  });
});
