// The end marker against what the real pg_dump writes, of databases of every kind.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresArchive } from '../../crds/rules/engines/postgres-archive.ts';
import { clientEnv, startWorld, type World } from '../executor/world.ts';

let world: World;

beforeAll(async () => {
  world = await startWorld();
  await world.sql('create database empty', 'postgres');
  await world.sql('create database objects', 'postgres');
  await world.sql(`select lo_create(n) from generate_series(20001, 20050) n; select lo_from_bytea(0, '')`, 'objects');
});
afterAll(async () => world?.stop());

async function dump(database: string, ...args: string[]): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(join(world.postgres.bin, 'pg_dump'), ['-w', '-Fc', ...args], {
    env: clientEnv(world.postgres, database),
    encoding: 'buffer',
    maxBuffer: 1 << 28,
  });
  return stdout;
}

function watch(bytes: Buffer, chunkSize: number): void {
  const marker = postgresArchive();
  for (let at = 0; at < bytes.length; at += chunkSize) marker.push(bytes.subarray(at, at + chunkSize));
  marker.end();
}

test.each([
  ['orders', ['-Z0']],
  ['orders', ['-Z6']],
  ['orders', ['-Z0', '--schema-only']],
  ['orders', ['-Z0', '--data-only']],
  ['orders', ['-Z0', '--exclude-table-data=orders*', '--no-owner']],
  ['orders', ['-Z0', '--no-blobs']],
  ['orders', ['-Z0', '--inserts']],
  ['empty', ['-Z0']],
  ['objects', ['-Z0']],
])('%s with %j passes in chunks of every kind and is refused cut or extended', async (database, args) => {
  const whole = await dump(database, ...args);
  for (const size of [1, 2, 5, 4096, 65_536, whole.length]) watch(whole, size);
  // Every length near the ends, and some hundred in between.
  const step = Math.max(1, Math.floor(whole.length / 300));
  for (
    let length = 0;
    length < whole.length;
    length += length < 500 || length > whole.length - 500 ? 1 : Math.min(step, Math.max(1, whole.length - 500 - length))
  )
    expect(() => watch(whole.subarray(0, length), 65_536), `${length} of ${whole.length} bytes`).toThrow('ends before');
  expect(() => watch(Buffer.concat([whole, Buffer.from('\n')]), 65_536)).toThrow('bytes follow');
});

test('plain text and a tar archive are refused', async () => {
  for (const format of ['-Fp', '-Ft']) {
    const text = await dump('orders', format);
    expect(() => watch(text, 65_536)).toThrow('does not begin with PGDMP');
  }
});
