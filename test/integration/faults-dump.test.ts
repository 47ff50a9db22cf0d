// F23 to F28 and the attacks on the pod's inside: a database that falls silent, stages that break, files that are not what they should be.
// Whatever happens, every container ends in bounded time, and the reason is that of the cause.
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { paths, type Task } from '../../crds/rules/contract.ts';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import type { Ended } from '../executor/pod.ts';
import { brokenDump, heldDump } from '../executor/tools.ts';
import { type Kind, Place, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

let world: World;
const places: Place[] = [];

beforeAll(async () => {
  world = await startWorld();
  await world.sql(`create table large as
    select n, (select string_agg(md5((n * 100 + m)::text), '') from generate_series(1, 30) m) as text from generate_series(1, 20000) n`);
});
afterAll(async () => world?.stop());
afterEach(async () => {
  for (const place of places.splice(0)) await place.remove();
});

const raw: Partial<Task> = { compression: { algorithm: 'none', level: 0 } };
const within = (firstByteSeconds: number, stallSeconds: number): Partial<Task> => ({
  limits: { firstByteSeconds, stallSeconds, deadlineSeconds: 600 },
});
const soon = within(5, 3);

function placeFor(kind: Kind, over: Partial<Task> = {}): Place {
  const place = new Place(world, kind, { ...raw, ...over });
  places.push(place);
  return place;
}

async function expectFailure(place: Place, ended: Ended, reason: Reason, message: RegExp): Promise<void> {
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Failed', reason });
  expect(ended.result?.run.outcome === 'Failed' && ended.result.run.message).toMatch(message);
  expect(ended.code).toBe(reasons[reason].exitCode);
  expect(await place.names()).toEqual([]);
  expect(await place.pending()).toBe(0);
}

/** A network between dump and database that swallows everything, after so many bytes from the database, and keeps its connections. */
async function blackhole(
  after: number,
): Promise<{ port: number; server: Server; cut: () => void; swallowed: () => boolean }> {
  const sockets = new Set<Socket>();
  let swallowed = false;
  const server = createServer((client) => {
    const onward = connect(world.postgres.port, world.postgres.host);
    let passed = 0;
    for (const socket of [client, onward]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk: Buffer) => {
      if (passed < after) onward.write(chunk);
    });
    onward.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      if (passed < after) client.write(chunk);
      else swallowed = true;
    });
    client.on('end', () => onward.end());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, server, cut, swallowed: () => swallowed };
}

describe('F27 a database connection that is blackholed', () => {
  test.each<[string, number, Partial<Task>, RegExp]>([
    ['while it says who it is', 10, within(5, 3), /within 5 s/],
    ['in mid dump', 10_000_000, within(60, 10), /not a byte came for 10 s/],
  ])('F27 %s fails in bounded time, the dump container too', async (_what, after, limits, message) => {
    const hole = await blackhole(after);
    try {
      const place = placeFor('s3', limits);
      const pod = await place.pod('job-1', { database: { ...place.task.database, port: hole.port } });
      await expectFailure(place, await pod.run(world.postgres), 'DumpStalled', message);
      expect(hole.swallowed()).toBe(true);
    } finally {
      hole.cut();
    }
  });
});

describe('F28 a stage of the stream that breaks', () => {
  /** A module that breaks one function of a built-in module at its so manieth call, loaded before the executor. */
  async function breaking(folder: string, module: string, name: string, at: number): Promise<NodeJS.ProcessEnv> {
    const file = join(folder, 'break.mjs');
    const text = `
import { syncBuiltinESMExports } from 'node:module';
import target from 'node:${module}';
const real = target.${name};
let calls = 0;
target.${name} = (...args) => {
  calls += 1;
  if (calls < ${at}) return real(...args);
  const error = Object.assign(new Error('broken by the test'), { code: 'ERR_TEST' });
  const done = args.at(-1);
  if (typeof done !== 'function') throw error;
  setImmediate(done, error);
};
syncBuiltinESMExports();
`;
    await writeFile(file, text);
    return { NODE_OPTIONS: `--import=${file}` };
  }

  const recipients = ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'];
  test.each([
    ['zstd', 'zlib', 'zstdCompress', 1, []],
    ['zstd', 'zlib', 'zstdCompress', 4, []],
    ['gzip', 'zlib', 'gzip', 3, []],
    // Once the header is sealed by the age package.
    ['none', 'crypto', 'createCipheriv', 100, recipients],
  ] as const)('F28 %s, %s.%s at call %i: all is torn down, nothing is left, no process stays', async (...row) => {
    const [algorithm, module, name, at, to] = row;
    const place = placeFor('s3', { compression: { algorithm, level: 3 }, recipients: [...to] });
    const pod = await place.pod('job-1');
    expect(await pod.prepare().ended).toBe(0);
    const dump = await pod.dump(world.postgres);
    const executor = pod.backup(await breaking(pod.root, module, name, at));
    const ended = await pod.conclude(executor);
    await expectFailure(place, ended, 'UploadFailed', /ERR_TEST/);
    // It may have sent all before; what counts is that it ends.
    await dump.ended;
    expect(await processesNaming(pod.root)).toEqual([]);
  });
});

/** Command lines, of every process that runs, that contain a text. */
async function processesNaming(text: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((one) => /^\d+$/.test(one));
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.includes(text));
}

test('F24 a dump whose exit code is lost behind a pipe, and whose end is missing, is not taken for whole', async () => {
  const place = placeFor('directory', { compression: { algorithm: 'gzip', level: 6 } });
  const pod = await place.pod('job-1');
  const tools = await brokenDump(pod.root, world.postgres.bin, '"$REAL" "$@" | head -c 3000000 | cat; exit 0');
  await expectFailure(place, await pod.run(world.postgres, tools), 'DumpFailed', /ends before its last block/);
});

test('F26 a dump tool without a version that can be read is refused before it dumps', async () => {
  const place = placeFor('directory');
  const pod = await place.pod('job-1');
  const tools = await brokenDump(pod.root, world.postgres.bin, 'exit 0');
  await writeFile(join(tools, 'pg_dump'), '#!/bin/sh\necho "a dump tool of our own"\n');
  await expectFailure(place, await pod.run(world.postgres, tools), 'VersionSkew', /cannot dump server 1\d/);
});

describe('attack 15: the pod ends', () => {
  test('attack 15d: a FIFO that is not there is told as such, and no dump is written into a plain file', async () => {
    const place = placeFor('s3', soon);
    const pod = await place.pod('job-1');
    expect(await pod.prepare().ended).toBe(0);
    const fifo = join(pod.path(paths.run), 'dump.fifo');
    await writeFile(`${fifo}.other`, '');
    const { rename } = await import('node:fs/promises');
    await rename(`${fifo}.other`, fifo);
    const dump = await pod.dump(world.postgres);
    expect(await dump.ended).toBe(reasons.DumpFailed.exitCode);
    expect(dump.output()).toContain('it is not a FIFO');
    const ended = await pod.conclude(pod.backup());
    await expectFailure(place, ended, 'DumpFailed', /it is not a FIFO/);
    expect((await stat(fifo)).size).toBe(0);
  });

  test('attack 15e: the dump container, whose shell is process 1, ends when it is told to', async () => {
    const place = placeFor('s3');
    const pod = await place.pod('job-1');
    expect(await pod.prepare().ended).toBe(0);
    const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 8, ''));
    const dump = await pod.dump(world.postgres, tools);
    const executor = pod.backup();
    const half = await waitFor('the dump to be half way', () => stat(join(pod.root, 'half')).catch(() => undefined));
    expect(half.isFile()).toBe(true);
    // The child of unshare is process 1 inside.
    const inside = await readFile(`/proc/${dump.child.pid}/task/${dump.child.pid}/children`, 'utf8');
    process.kill(Number(inside.trim()), 'SIGTERM');
    expect(await dump.ended).toBe(reasons.Canceled.exitCode);
    const ended = await pod.conclude(executor);
    await expectFailure(place, ended, 'Canceled', /told to stop/);
    expect(await processesNaming(pod.root)).toEqual([]);
  });
});

test('attack 16: the FIFO is for owner and group whatever the umask, and a Secret that its group may read still logs in', async () => {
  const place = placeFor('directory');
  const pod = await place.pod('job-1');
  const umask = process.umask(0o077);
  try {
    expect(await pod.prepare().ended).toBe(0);
  } finally {
    process.umask(umask);
  }
  const fifo = await stat(join(pod.path(paths.run), 'dump.fifo'));
  expect([fifo.isFIFO(), fifo.mode & 0o777]).toEqual([true, 0o660]);
  // As fsGroup leaves it: libpq would ignore a passfile of that mode.
  const secret = pod.path(paths.databaseSecret);
  const dump = await pod.dump(world.postgres);
  for (const name of await readdir(secret)) await chmod(join(secret, name), 0o440);
  const ended = await pod.conclude(pod.backup());
  expect(ended.result?.run, ended.output).toMatchObject({ outcome: 'Succeeded' });
  expect(await dump.ended).toBe(0);
  expect((await stat(join(pod.path(paths.dumpTemporary), 'passfile'))).mode & 0o777).toBe(0o600);
});
