// The real servers the other tests stand on: they answer, a second one stands beside the first, and neither an orderly
// stop nor a killed test run leaves anything behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../rig/command.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { startVersitygw, type Versitygw } from '../rig/servers/versitygw.ts';
import { waitFor } from '../wait.ts';

const log = (line: string) => console.error(line);

function psql(server: Postgres, sql: string, password = server.password): Promise<string> {
  const where = ['-h', server.host, '-p', String(server.port), '-U', server.user, '-d', server.database];
  return run([join(server.bin, 'psql'), ...where, '-XAtc', sql], { env: { PGPASSWORD: password } });
}

function s3(server: Versitygw, secretAccessKey = server.secretAccessKey): S3Client {
  const { endpoint, region, accessKeyId } = server;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  onTestFinished(() => client.destroy());
  return client;
}

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });

const gone = (path: string) => expect(access(path)).rejects.toThrow('ENOENT');

test('PostgreSQL takes its password and no other, and two servers stand side by side', async () => {
  const [first, second] = [await startPostgres({ log }), await startPostgres({ log })];
  onTestFinished(() => Promise.all([first.stop(), second.stop()]).then(() => {}));
  await psql(first, 'create table t (n int); insert into t select generate_series(1, 1000)');
  expect((await psql(first, 'select sum(n) from t')).trim()).toBe('500500');
  expect((await psql(second, "select to_regclass('t') is null")).trim()).toBe('t');
  await expect(psql(first, 'select 1', 'wrong')).rejects.toThrow('password authentication failed');
  expect((await psql(first, 'show server_version')).startsWith(first.version)).toBe(true);
  await run([join(first.bin, 'pg_dump'), '--version']);
});

test('PostgreSQL stops and takes its directory along', async () => {
  const server = await startPostgres({ log });
  const data = (await psql(server, 'show data_directory')).trim();
  await access(data);
  await server.stop();
  await gone(data);
  await expect(psql(server, 'select 1')).rejects.toThrow('Connection refused');
});

test('versitygw stores an object as a file and refuses a wrong secret', async () => {
  const server = await startVersitygw({ log });
  onTestFinished(() => server.stop());
  await server.createBucket('bucket');
  const object = { Bucket: 'bucket', Key: 'a/b c.txt' };
  await s3(server).send(new PutObjectCommand({ ...object, Body: 'hello' }));
  const got = await s3(server).send(new GetObjectCommand(object));
  expect(await got.Body?.transformToString()).toBe('hello');
  expect(await readFile(join(server.directory, 'bucket', object.Key), 'utf8')).toBe('hello');
  await expect(s3(server, 'wrong').send(new GetObjectCommand(object))).rejects.toThrow('signature');
});

test('versitygw stops and takes its directory along', async () => {
  const server = await startVersitygw({ log });
  await server.stop();
  await gone(server.directory);
  await expect(fetch(server.endpoint)).rejects.toThrow('fetch failed');
});

/** Starts both servers in a process of their own and kills it the hard way. */
async function killedRun(): Promise<{ postgres: number; endpoint: string; directory: string }> {
  const script = `
    const { startPostgres } = await import('./test/rig/servers/postgres.ts');
    const { startVersitygw } = await import('./test/rig/servers/versitygw.ts');
    const [db, s3] = [await startPostgres({ log() {} }), await startVersitygw({ log() {} })];
    console.log(JSON.stringify({ postgres: db.port, endpoint: s3.endpoint, directory: s3.directory }));
    setInterval(() => {}, 1000);`;
  const child = spawn('node', ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return JSON.parse(line);
}

test('servers of a killed run die with it, and the next run removes their directories', async () => {
  const left = await killedRun();
  await access(left.directory);
  await waitFor('the store is gone', () => isRefused(Number(new URL(left.endpoint).port)));
  await waitFor('the database is gone', () => isRefused(left.postgres));
  const [db, store] = [await startPostgres({ log }), await startVersitygw({ log })];
  onTestFinished(() => Promise.all([db.stop(), store.stop()]).then(() => {}));
  await gone(left.directory);
  expect((await psql(db, 'select 1')).trim()).toBe('1');
});
