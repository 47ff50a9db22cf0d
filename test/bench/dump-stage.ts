// The stage of the backup and restore benches: a PostgreSQL server with rows that compress as real tables do, an S3 store, an identity,
// and the pipeline of stock tools that a person would write.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import type { S3Task } from '../../crds/rules/contract.ts';
import { row } from '../executor/archive.ts';
import { Pod, taskFor } from '../executor/pod.ts';
import { run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';

const mebibyte = 1_048_576;
/** Far more than any window of zstd at level 3, so that repeating them gains nothing. */
const differentRows = 200_000;

export interface Stage {
  postgres: Postgres;
  s3: Versitygw;
  folder: string;
  identityFile: string;
  recipient: string;
  /** Of the shell's side: logins, and nothing that this machine's own environment adds. */
  env: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

async function fill(postgres: Postgres, env: NodeJS.ProcessEnv, bytes: number): Promise<void> {
  const columns = Array.from({ length: 6 }, (_, index) => `c${index} text`).join(', ');
  await run([join(postgres.bin, 'psql'), '-Xq', '-c', 'create database orders'], {
    env: { ...env, PGDATABASE: 'postgres' },
  });
  await run([join(postgres.bin, 'psql'), '-Xq', '-c', `create unlogged table movement (${columns})`], { env });
  const rows = Buffer.concat(Array.from({ length: differentRows }, (_, number) => row(number)));
  const copy = spawn(join(postgres.bin, 'psql'), ['-Xq', '-c', 'copy movement from stdin'], {
    env,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = new Promise<void>((done, fail) =>
    copy.on('close', (code) => (code === 0 ? done() : fail(new Error(`copy: psql ended with ${code}`)))),
  );
  const repeated = Array.from({ length: Math.ceil(bytes / rows.length) }, () => rows);
  await pipeline(Readable.from(repeated), copy.stdin);
  await ended;
}

export async function startStage(mebibytes: number, log: (line: string) => void): Promise<Stage> {
  await debianPackages(['zstd', 'age', 'rclone', 'util-linux'], log);
  const folder = await mkdtemp(join(tmpdir(), 'dbbackup-bench-'));
  const postgres = await startPostgres({ log });
  const s3 = await startVersitygw({ log });
  const identity = await generateIdentity();
  const identityFile = join(folder, 'identity');
  await writeFile(identityFile, `${identity}\n`, { mode: 0o600 });
  const env = {
    PATH: `${postgres.bin}:${process.env['PATH']}`,
    HOME: folder,
    LC_ALL: 'C',
    PGHOST: postgres.host,
    PGPORT: String(postgres.port),
    PGUSER: postgres.user,
    PGPASSWORD: postgres.password,
    PGDATABASE: 'orders',
    RCLONE_CONFIG_STORE_TYPE: 's3',
    RCLONE_CONFIG_STORE_PROVIDER: 'Other',
    RCLONE_CONFIG_STORE_ENDPOINT: s3.endpoint,
    RCLONE_CONFIG_STORE_REGION: s3.region,
    RCLONE_CONFIG_STORE_ACCESS_KEY_ID: s3.accessKeyId,
    RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
  await s3.createBucket('backups');
  log(`loading ${mebibytes} MiB into PostgreSQL`);
  await fill(postgres, env, mebibytes * mebibyte);
  const stop = async () => {
    await postgres.stop();
    await s3.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { postgres, s3, folder, identityFile, recipient: await identityToRecipient(identity), env, stop };
}

/** A pod of a backup of the stage's database, or of a restore into another. */
export function podOf(stage: Stage, database: string): Promise<Pod> {
  const secret = { name: 's3', accessKeyId: 'id', secretAccessKey: 'key', sessionToken: 'token' };
  const { region, endpoint } = stage.s3;
  const store: S3Task = { kind: 's3', bucket: 'backups', region, endpoint, forcePathStyle: true, secret };
  const over = {
    recipients: [stage.recipient],
    retention: { keepLast: 1, maxDeletesPerRun: 10 },
    time: new Date(Math.floor(Date.now() / 1000) * 1000).toISOString(),
  };
  const keys = { id: stage.s3.accessKeyId, key: stage.s3.secretAccessKey };
  return Pod.create(taskFor(store, { ...stage.postgres, database }, over), keys, `job-${Date.now()}`);
}
