// The real servers that the executor's integration tests share, and what they ask of them: a database with content, a place to store
// snapshots that no other test uses, what is in it, and a restore with stock tools.
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DirectoryTask, paths, type S3Task, type Task } from '../../crds/rules/contract.ts';
import { decodeManifest, type Manifest } from '../../crds/rules/manifest.ts';
import { clusterPrefix } from '../../crds/rules/names.ts';
import { openStorage } from '../../executor/storage/open.ts';
import type { Storage } from '../../executor/storage/storage.ts';
import { run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';
import { type BareRun, bareRun } from './bare-run.ts';
import { Pod, taskFor } from './pod.ts';

const log = (line: string) => console.error(line);
export const kinds = ['s3', 'directory'] as const;
export type Kind = (typeof kinds)[number];

/** Tables of several types and sizes, one empty, one partitioned, a view, a function, large objects, a role that owns nothing. */
const content = `
create table customer (id serial primary key, name text not null, note jsonb, picture bytea, since timestamptz default '2020-01-01');
insert into customer (name, note, picture) select 'customer ' || n, jsonb_build_object('n', n, 'tags', array['a','b']), decode(md5(n::text), 'hex') from generate_series(1, 5000) n;
create table orders (id bigint, day date, amount numeric(12,2), primary key (id, day)) partition by range (day);
create table orders_2024 partition of orders for values from ('2024-01-01') to ('2025-01-01');
create table orders_2025 partition of orders for values from ('2025-01-01') to ('2026-01-01');
insert into orders select n, date '2024-01-01' + (n % 700), n / 7.0 from generate_series(1, 20000) n;
create table nothing (id int);
create view totals as select day, sum(amount) from orders group by day;
create function greet(who text) returns text language sql as $$ select 'hello ' || who $$;
select lo_from_bytea(0, convert_to(repeat('large object ' || n, 20000), 'UTF8')) from generate_series(1, 3) n;
create table "Strange ""Name""" ("a b" text); insert into "Strange ""Name""" values (E'tab\\t newline\\n backslash \\\\ \\\\.'), (null), ('ü漢');
`;

export interface World {
  postgres: Postgres;
  s3: Versitygw;
  sql(text: string, database?: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startWorld(): Promise<World> {
  await debianPackages(['zstd', 'age', 'util-linux'], log);
  const postgres = await startPostgres({ log });
  const s3 = await startVersitygw({ log });
  await s3.createBucket('backups');
  const world: World = {
    postgres,
    s3,
    sql: (text, database = 'orders') =>
      run([join(postgres.bin, 'psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text], {
        env: clientEnv(postgres, database),
      }),
    stop: async () => {
      await postgres.stop();
      await s3.stop();
    },
  };
  await world.sql('create database orders', 'postgres');
  await world.sql(content);
  return world;
}

export function clientEnv(postgres: Postgres, database: string): NodeJS.ProcessEnv {
  return {
    PATH: `${postgres.bin}:${process.env['PATH']}`,
    PGHOST: postgres.host,
    PGPORT: String(postgres.port),
    PGUSER: postgres.user,
    PGPASSWORD: postgres.password,
    PGDATABASE: database,
    LC_ALL: 'C',
  };
}

let places = 0;

/** One backup's place in a store: its task, its pods, and what the store holds for it. */
export class Place {
  readonly world: World;
  readonly kind: Kind;
  readonly task: Task;
  readonly #pods: Pod[] = [];
  readonly #bare: BareRun[] = [];
  #volume: string | undefined;

  constructor(world: World, kind: Kind, over: Partial<Task> = {}) {
    this.world = world;
    this.kind = kind;
    places += 1;
    const database = { ...world.postgres, database: 'orders' };
    this.task = taskFor(this.#storageTask(), database, { pathPrefix: `place-${places}`, ...over });
  }

  /** @param endpoint in place of the server's own, for a proxy before it */
  s3Task(endpoint: string): Task {
    const { storage } = this.task;
    return storage.kind === 's3' ? { ...this.task, storage: { ...storage, endpoint } } : this.task;
  }

  #storageTask(): S3Task | DirectoryTask {
    if (this.kind === 'directory') return { kind: 'directory', claimName: 'backups', subPath: 'dumps' };
    const secret = { name: 's3-credentials', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' };
    const { region, endpoint } = this.world.s3;
    return { kind: 's3', bucket: 'backups', region, endpoint, forcePathStyle: true, secret };
  }

  get keys(): Record<string, string> {
    return this.kind === 's3' ? { id: this.world.s3.accessKeyId, key: `${this.world.s3.secretAccessKey}\n` } : {};
  }

  get prefix(): string {
    return clusterPrefix(this.task.pathPrefix, this.task.owner.namespace, this.task.cluster);
  }

  /** A pod of this backup. All of them see one volume. */
  async pod(jobUid: string, over: Partial<Task> = {}, keys: Record<string, string> = this.keys): Promise<Pod> {
    const pod = await Pod.create({ ...this.task, ...over }, keys, jobUid, this.#volume);
    this.#volume ??= pod.path(paths.volume);
    this.#pods.push(pod);
    return pod;
  }

  async storage(): Promise<Storage> {
    const one = await bareRun(this.task);
    this.#bare.push(one);
    const bare = one.run;
    for (const [name, value] of Object.entries(this.keys))
      await writeFile(join(bare.folders.storageSecret, name), value);
    return openStorage({ ...bare, folders: { ...bare.folders, volume: this.#volume ?? bare.folders.volume } });
  }

  /** Names of what is visible below the prefix. */
  async names(): Promise<string[]> {
    const storage = await this.storage();
    const names: string[] = [];
    for await (const { key } of storage.list(this.prefix)) names.push(key.slice(this.prefix.length));
    storage.close();
    return names.sort();
  }

  async pending(): Promise<number> {
    const storage = await this.storage();
    const found = await storage.pending(this.prefix);
    storage.close();
    return found.length;
  }

  async manifest(id: string): Promise<Manifest> {
    const storage = await this.storage();
    const key = `${this.prefix}${id}.snap`;
    const text = await storage.getSmall(`${key}.json`, 65_536);
    storage.close();
    return decodeManifest(String(text), key);
  }

  /** Downloads a snapshot into a folder under the name that the recipe expects. */
  async download(id: string, folder: string): Promise<void> {
    const storage = await this.storage();
    await writeFile(join(folder, `${id}.snap`), storage.get(`${this.prefix}${id}.snap`));
    storage.close();
  }

  async remove(): Promise<void> {
    // The first pod holds the volume of all.
    for (const pod of this.#pods.reverse()) await pod.remove();
    for (const one of this.#bare) await one.remove();
  }
}

/** What a database holds, as text that two equal databases have in common. */
export async function contentOf({ postgres }: World, database: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dbbackup-content-'));
  try {
    const file = join(folder, 'dump.sql');
    await run([join(postgres.bin, 'pg_dump'), '-f', file], { env: clientEnv(postgres, database) });
    const dump = (await readFile(file, 'utf8')).replaceAll(/^\\(un)?restrict .*\n/gm, '');
    // Of a large one a difference cannot be shown.
    return dump.length < largestShown ? dump : `${dump.length} characters, ${digest(dump)}`;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const largestShown = 4 * 2 ** 20;
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Runs the manifest's own restore lines in a folder that holds the snapshot. */
export async function restore(
  world: World,
  manifest: Manifest,
  folder: string,
  database: string,
  identity: string,
): Promise<void> {
  const env = { ...clientEnv(world.postgres, database), AGE_IDENTITY_FILE: identity };
  await run(['sh', '-c', manifest.restore.join('\n')], { cwd: folder, env });
}

export async function filesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort();
}
