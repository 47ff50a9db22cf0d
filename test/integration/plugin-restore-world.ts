// The ground of the restore script's tests: a real database, one snapshot of it made by hand in a bucket or a directory, and the
// three shells that must run the script.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { DatabaseBackup, StorageSpec } from '../../crds/databasebackup.gen.ts';
import { encodeManifest, type Manifest } from '../../crds/rules/manifest.ts';
import { backup } from '../plugin/objects.ts';
import { CommandError, run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';

const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

export const shells: Record<string, [string, ...string[]]> = {
  dash: ['/bin/dash'],
  bash: ['/bin/bash', '--posix'],
  busybox: ['/bin/busybox', 'sh'],
};

const systemTools = ['cat', 'cut', 'df', 'mktemp', 'rm', 'sed', 'sha256sum', 'tr', 'wc', 'aws', 'age', 'zstd', 'gzip'];
const databaseTools = ['psql', 'pg_restore'];

const id = '20250327T010000Z-1a2b3c4d';
export const key = `postgres/daily/shop/orders-db/${id}.snap`;

export interface Made {
  stored: Buffer;
  manifest: Manifest;
}

export interface Format {
  compression: 'zstd' | 'gzip' | 'none';
  encryption: 'age' | 'none';
}

export class RestoreWorld {
  readonly folder: string;
  readonly postgres: Postgres;
  readonly store: Versitygw;
  /** Two age identities; the snapshots are for the first. */
  readonly identity: string;
  readonly otherIdentity: string;
  #recipient = '';
  #databases = 0;

  static async start(): Promise<RestoreWorld> {
    await debianPackages(['awscli', 'age', 'zstd', 'busybox-static'], log);
    const folder = await mkdtemp(join(tmpdir(), 'dbbackup-restore-test-'));
    const [postgres, store] = [await startPostgres({ log }), await startVersitygw({ log })];
    const world = new RestoreWorld(folder, postgres, store);
    await store.createBucket('backups');
    for (const file of [world.identity, world.otherIdentity]) await run(['age-keygen', '-o', file]);
    world.#recipient = (await run(['age-keygen', '-y', world.identity])).trim();
    await world.fillSource();
    return world;
  }

  private constructor(folder: string, postgres: Postgres, store: Versitygw) {
    this.folder = folder;
    this.postgres = postgres;
    this.store = store;
    this.identity = join(folder, 'identity');
    this.otherIdentity = join(folder, 'other-identity');
  }

  async stop(): Promise<void> {
    await this.postgres.stop();
    await this.store.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  clientEnvironment(database: string): Record<string, string> {
    const { host, port, user, password } = this.postgres;
    return { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
  }

  sql(database: string, text: string): Promise<string> {
    const psql = join(this.postgres.bin, 'psql');
    return run([psql, '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text], { env: this.clientEnvironment(database) });
  }

  /** Everything in a database, as SQL; two databases that are alike give equal text. */
  async contents(database: string): Promise<string> {
    const dump = await run([join(this.postgres.bin, 'pg_dump')], { env: this.clientEnvironment(database) });
    // Newer releases put a random word around each dump.
    return dump.replace(/^\\(un)?restrict .*$/gm, '');
  }

  /** A new and empty database. */
  async newTarget(name = `target_${++this.#databases}`): Promise<string> {
    await this.sql('postgres', `create database "${name.replaceAll('"', '""')}"`);
    return name;
  }

  private async fillSource(): Promise<void> {
    await this.newTarget('source');
    await this.sql(
      'source',
      `create schema café;
       create table customers (id int primary key, name text not null, photo bytea);
       create table café.orders (id serial primary key, customer int not null references customers, note text);
       insert into customers select n, 'Zoë 北京 ' || chr(128512) || n, decode(md5(n::text), 'hex') from generate_series(1, 500) n;
       insert into café.orders (customer, note) select n, E'tab\\t, quote '' and \\\\ of ' || n from generate_series(1, 500) n;
       select lo_from_bytea(4242, decode(repeat('00ff10', 20000), 'hex'));
       create view big as select * from café.orders where id > 400;`,
    );
  }

  /** A snapshot of the source as the executor stores it, made with stock tools only. */
  async snapshot({ compression, encryption }: Format): Promise<Made> {
    const [plainFile, packedFile, sealedFile] = ['plain', 'packed', 'sealed'].map((name) => join(this.folder, name));
    if (plainFile === undefined || packedFile === undefined || sealedFile === undefined) throw new Error('no file');
    const dump = [join(this.postgres.bin, 'pg_dump'), '-Fc', '-Z0', '-f', plainFile] as const;
    await run([...dump], { env: this.clientEnvironment('source') });
    const pack = { zstd: 'zstd -q -3 -c', gzip: 'gzip -c', none: 'cat' }[compression];
    await run(['sh', '-c', `${pack} < "$1" > "$2"`, 'sh', plainFile, packedFile]);
    const seal = encryption === 'age' ? `age -r ${this.#recipient}` : 'cat';
    await run(['sh', '-c', `${seal} < "$1" > "$2"`, 'sh', packedFile, sealedFile]);
    const [plain, stored] = [await readFile(plainFile), await readFile(sealedFile)];
    return { stored, manifest: this.manifest(plain, stored, { compression, encryption }) };
  }

  private manifest(plain: Buffer, stored: Buffer, format: Format): Manifest {
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    const time = '2025-03-27T01:00:00Z';
    return {
      ...{ formatVersion: 1, id, key, cluster: 'orders-db', time, trigger: 'Schedule', jobUid: 'job', lockEpoch: 1 },
      owner: { clusterUid: 'uid', namespace: 'shop', name: 'orders' },
      ...{ dumpStartedAt: '2025-03-27T01:00:05Z', committedAt: '2025-03-27T01:00:09Z', engine: 'postgres' },
      ...{ dumpFormat: 'pg_dump-custom', image: 'postgres:16', serverVersion: this.postgres.version, toolVersion: '' },
      ...{
        identity: '',
        database: 'source',
        ...format,
        recipients: format.encryption === 'age' ? [this.#recipient] : [],
      },
      ...{
        plainSize: plain.length,
        plainSha256: sha256(plain),
        storedSize: stored.length,
        storedSha256: sha256(stored),
      },
      ...{ dbbackupVersion: '0.1.0', restore: ['storedSize: 1,', '"storedSha256": "no"'] },
    };
  }

  /** The object in the cluster that such a snapshot belongs to. */
  backupOf({ manifest }: Made, storage: StorageSpec): DatabaseBackup {
    const { storedSize, storedSha256, encryption } = manifest;
    const encrypted = encryption === 'age';
    return backup({
      spec: { storage, encryption: encrypted ? { age: { recipients: [this.#recipient] } } : { none: {} } },
      status: {
        observedGeneration: 1,
        lastSnapshot: { id, key, storedSize, sha256: storedSha256, dumpStartedAt: manifest.dumpStartedAt, encrypted },
        snapshots: [{ id, size: storedSize }],
      },
    });
  }

  s3Storage(): StorageSpec {
    const { endpoint, region } = this.store;
    const auth = { secretRef: { name: 's3-credentials' } };
    return {
      pathPrefix: 'postgres/daily',
      s3: { bucket: 'backups', region, endpoint, insecure: true, forcePathStyle: true, auth },
    };
  }

  s3Environment(): Record<string, string> {
    return { AWS_ACCESS_KEY_ID: this.store.accessKeyId, AWS_SECRET_ACCESS_KEY: this.store.secretAccessKey };
  }

  async upload({ stored, manifest }: Made): Promise<void> {
    const { endpoint, region, accessKeyId, secretAccessKey } = this.store;
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    await client.send(new PutObjectCommand({ Bucket: 'backups', Key: key, Body: stored }));
    await client.send(new PutObjectCommand({ Bucket: 'backups', Key: `${key}.json`, Body: encodeManifest(manifest) }));
    client.destroy();
  }

  /** A directory as the claim's is when it is mounted. */
  async volume({ stored, manifest }: Made): Promise<string> {
    const volume = await mkdtemp(join(this.folder, 'volume '));
    await mkdir(dirname(join(volume, 'sub', key)), { recursive: true });
    await writeFile(join(volume, 'sub', key), stored);
    await writeFile(join(volume, 'sub', `${key}.json`), encodeManifest(manifest));
    return volume;
  }

  /** A PATH that holds what the script may use and nothing else. */
  async path(without: readonly string[] = [], more: readonly string[] = []): Promise<string> {
    const bin = await mkdtemp(join(this.folder, 'bin'));
    const wanted = [...systemTools, ...more].map((name) => [name, `/usr/bin/${name}`] as const);
    const clients = databaseTools.map((name) => [name, join(this.postgres.bin, name)] as const);
    for (const [name, program] of [...wanted, ...clients])
      if (!without.includes(name)) await symlink(program, join(bin, name));
    return bin;
  }

  /** Feeds the script to a shell as `| sh` does. `left` is what it left in its TMPDIR and its working directory. */
  async pipe(shell: [string, ...string[]], script: string, env: Record<string, string>): Promise<Outcome> {
    const place = await mkdtemp(join(this.folder, 'place '));
    const temporary = join(place, 'tmp');
    await mkdir(temporary);
    const list = () => run(['find', place, '-mindepth', '1', '-not', '-path', temporary]);
    const options = { cwd: place, env: { TMPDIR: temporary, ...env }, input: script };
    try {
      const output = await run(shell, options);
      return { ok: true, output, left: await list() };
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return { ok: false, output: error.output, left: await list() };
    }
  }
}

export interface Outcome {
  ok: boolean;
  /** Standard output of a success, all output of a failure. */
  output: string;
  left: string;
}
