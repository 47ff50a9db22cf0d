// Dumps that do not end well, in every way that was thought of. None may leave anything that looks like a snapshot, each has its reason, and
// no pod waits for ever.

import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import type { Ended, Pod } from '../executor/pod.ts';
import { brokenDump, heldDump } from '../executor/tools.ts';
import { type Kind, kinds, Place, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

let world: World;
const places: Place[] = [];

beforeAll(async () => {
  world = await startWorld();
  // Rows of random text, enough that a dump held half way has the server waiting in COPY.
  await world.sql(`create table large as
    select n, (select string_agg(md5((n * 100 + m)::text), '') from generate_series(1, 30) m) as text from generate_series(1, 40000) n`);
});
afterAll(async () => world?.stop());
afterEach(async () => {
  for (const place of places.splice(0)) await place.remove();
});

/** Bytes that travel as they are, so that parts are on their way when the dump breaks. */
const raw: Partial<Task> = { compression: { algorithm: 'none', level: 0 } };

async function placeFor(kind: Kind, over: Partial<Task> = {}): Promise<{ place: Place; pod: Pod }> {
  const place = new Place(world, kind, { ...raw, ...over });
  places.push(place);
  return { place, pod: await place.pod('job-1') };
}

async function expectFailure(place: Place, ended: Ended, reason: Reason, message: RegExp): Promise<void> {
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Failed', reason });
  expect(ended.result?.run.outcome === 'Failed' && ended.result.run.message).toMatch(message);
  expect(ended.code).toBe(reasons[reason].exitCode);
  expect(await place.names()).toEqual([]);
  expect(await place.pending()).toBe(0);
}

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe.each(kinds)('%s', (kind) => {
  test.each<[string, string, Reason, RegExp]>([
    ['F24 a dump tool that writes nothing and says it went well', 'exit 0', 'DumpEmpty', /not a byte/],
    [
      'F24 a dump tool that writes half an archive and says it went well',
      '"$REAL" "$@" | head -c 20000000; exit 0',
      'DumpFailed',
      /ends before its last block/,
    ],
    [
      'F24 a dump tool that leaves out the last byte',
      '"$REAL" "$@" | head -c -1; exit 0',
      'DumpFailed',
      /ends before its last block/,
    ],
    ['F24 a dump tool that adds a byte', '"$REAL" "$@"; echo', 'DumpFailed', /bytes follow its end/],
    [
      'F24 a dump tool that writes text',
      'echo "-- PostgreSQL database dump"',
      'DumpFailed',
      /does not begin with PGDMP/,
    ],
    [
      'F23 a dump tool that writes a whole archive and fails',
      '"$REAL" "$@"; echo "late failure" >&2; exit 1',
      'DumpFailed',
      /exit code 1: late failure/,
    ],
    [
      'F23 a dump tool that fails before its first byte',
      'echo "no room for me" >&2; exit 3',
      'DumpFailed',
      /exit code 3: no room for me/,
    ],
    [
      'F25 a dump tool that is killed half way',
      '"$REAL" "$@" | head -c 20000000; kill -9 $$',
      'DumpFailed',
      /exit code 137/,
    ],
  ])('%s', async (_what, body, reason, message) => {
    const { place, pod } = await placeFor(kind);
    const tools = await brokenDump(pod.root, world.postgres.bin, body);
    await expectFailure(place, await pod.run(world.postgres, tools), reason, message);
  });

  test('F25 the real pg_dump killed with kill -9 while it sends', async () => {
    const { place, pod } = await placeFor(kind);
    const body = heldDump(pod.root, 12, `kill -9 $pid; : > ${pod.root}/go`);
    const tools = await brokenDump(pod.root, world.postgres.bin, body);
    await expectFailure(place, await pod.run(world.postgres, tools), 'DumpFailed', /exit code 137/);
  });

  test('F23 a connection that the server ends half way', async () => {
    const { place, pod } = await placeFor(kind);
    const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 12, ''));
    const running = pod.run(world.postgres, tools);
    await waitFor('the dump to be half way', () => there(join(pod.root, 'half')));
    const ended = await world.sql(
      `select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'dbbackup' and query like 'COPY%'`,
    );
    expect(ended.trim()).toBe('1');
    await writeFile(join(pod.root, 'go'), '');
    await expectFailure(
      place,
      await running,
      'DumpFailed',
      /terminating connection|closed the connection|not properly terminated/,
    );
  });

  test('F27 a dump tool that stops sending', async () => {
    const { place, pod } = await placeFor(kind, {
      limits: { firstByteSeconds: 60, stallSeconds: 2, deadlineSeconds: 600 },
    });
    const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 12, ''));
    await expectFailure(place, await pod.run(world.postgres, tools), 'DumpStalled', /not a byte came for 2 s/);
  });

  test('attack 15: a dump tool that starts and never sends, whose container ends with the executor', async () => {
    const { place, pod } = await placeFor(kind, {
      limits: { firstByteSeconds: 3, stallSeconds: 60, deadlineSeconds: 600 },
    });
    const tools = await brokenDump(pod.root, world.postgres.bin, 'exec sleep 1000');
    await expectFailure(place, await pod.run(world.postgres, tools), 'DumpStalled', /within 3 s/);
  });
});

test('attack 15b: a dump container that never starts', async () => {
  const { place, pod } = await placeFor('s3', {
    limits: { firstByteSeconds: 2, stallSeconds: 60, deadlineSeconds: 600 },
  });
  expect(await pod.prepare().ended).toBe(0);
  await expectFailure(place, await pod.conclude(pod.backup()), 'DumpStalled', /within 2 s/);
});

test('F25, attack 15c: a dump container that is killed as a whole, as for too much memory', async () => {
  const { place, pod } = await placeFor('s3');
  const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 12, ''));
  expect(await pod.prepare().ended).toBe(0);
  const dump = await pod.dump(world.postgres, tools);
  const executor = pod.backup();
  await waitFor('the dump to be half way', () => there(join(pod.root, 'half')));
  dump.kill('SIGKILL');
  await expectFailure(place, await pod.conclude(executor), 'DumpFailed', /without an exit code; it was killed/);
});

test.each<[string, Partial<Task['database']> & { password?: string }, Reason, RegExp]>([
  ['a wrong password', { password: 'wrong' }, 'DatabaseAuthFailed', /authentication failed/],
  ['a database that is not there', { name: 'missing' }, 'ConfigInvalid', /spec.database.name: .*does not exist/],
  ['a port where nobody listens', { port: 9 }, 'DatabaseUnreachable', /refused/],
  ['a database name that looks like an option', { name: '--file=/tmp/x' }, 'ConfigInvalid', /does not exist/],
  [
    'a database name that looks like a connection string',
    { name: 'host=127.0.0.2 dbname=x' },
    'ConfigInvalid',
    /does not exist/,
  ],
])('%s', async (_what, { password, ...database }, reason, message) => {
  const { place } = await placeFor('s3');
  const pod = await place.pod('job-2', { database: { ...place.task.database, ...database } });
  const login = { ...world.postgres, ...(password === undefined ? {} : { password }) };
  await expectFailure(place, await pod.run(login), reason, message);
});

test('a password full of signs that passfiles and shells mean something by', async () => {
  const password = String.raw`a:b\c'd"e$f g%h#*`;
  await world.sql(`create role odd superuser login password '${password.replaceAll("'", "''")}'`);
  const { pod } = await placeFor('directory');
  const ended = await pod.run({ ...world.postgres, user: 'odd', password });
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Succeeded' });
  expect(ended.output).not.toContain(password);
});

test('a login that may not read the control data still dumps, without an identity', async () => {
  await world.sql('create database modest', 'postgres');
  await world.sql('create table t (n int); revoke execute on function pg_control_system() from public', 'modest');
  await world.sql("create role plain login password 'plain-password' in role pg_read_all_data", 'postgres');
  const { place } = await placeFor('directory');
  const pod = await place.pod('job-2', { database: { ...place.task.database, name: 'modest' } });
  const ended = await pod.run({ ...world.postgres, user: 'plain', password: 'plain-password' });
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Succeeded', identity: '' });
});

test.each([
  ['is empty', ''],
  ['holds a newline only', '\n'],
])('a key of the database Secret that %s, by name', async (_what, password) => {
  const { place, pod } = await placeFor('directory');
  const ended = await pod.run({ ...world.postgres, password });
  await expectFailure(place, ended, 'SecretInvalid', /Secret "orders-db": key "password"/);
});

test('F26 a dump tool that is older than the server', async () => {
  const { place, pod } = await placeFor('directory');
  const tools = await brokenDump(pod.root, world.postgres.bin, 'exit 0');
  await writeFile(join(tools, 'pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 14.9"\n');
  await expectFailure(place, await pod.run(world.postgres, tools), 'VersionSkew', /pg_dump 14 cannot dump server 1\d/);
});
