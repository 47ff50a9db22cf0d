// F42, F44 and the canaries: whole runs that are told to stop at any time, snapshots that are restored with the wrong key or from damaged
// bytes, and secrets that are looked for everywhere a run leaves a trace.
import { createHash } from 'node:crypto';
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../../crds/rules/contract.ts';
import type { Manifest } from '../../crds/rules/manifest.ts';
import { reasons } from '../../crds/rules/reasons.ts';
import { brokenDump, heldDump } from '../executor/tools.ts';
import { contentOf, type Kind, Place, restore, startWorld, type World } from '../executor/world.ts';
import { waitFor } from '../wait.ts';

let world: World;
const places: Place[] = [];

beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => world?.stop());
afterEach(async () => {
  for (const place of places.splice(0)) await place.remove();
});

function placeFor(kind: Kind, over: Partial<Task> = {}): Place {
  const place = new Place(world, kind, over);
  places.push(place);
  return place;
}

test('F42 SIGTERM at 20 moments of a run: canceled with nothing left, or committed with everything there', {
  timeout: 900_000,
}, async () => {
  let state = 42;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  // How long a run takes here and now, so that the moments fall everywhere in it.
  let typical = 0;
  const seen = { committed: 0, canceled: 0, killed: 0 };
  for (let n = -1; n < 20; n++) {
    const place = placeFor(n % 2 === 0 ? 's3' : 'directory', { compression: { algorithm: 'none', level: 0 } });
    const pod = await place.pod('job-1');
    expect(await pod.prepare().ended).toBe(0);
    const started = performance.now();
    const dump = await pod.dump(world.postgres);
    const executor = pod.backup();
    const moment = n < 0 ? Number.POSITIVE_INFINITY : random() * typical * 1.1;
    if (n >= 0) await Promise.race([sleep(moment), executor.ended]);
    if (n >= 0) executor.kill('SIGTERM');
    const ended = await pod.conclude(executor);
    if (n < 0) typical = performance.now() - started;
    // Told to stop as well, it has its own tests; here it may not outlive the pod.
    dump.kill('SIGKILL');
    await dump.ended;
    const what = `${n}: after ${Math.round(moment)} of ${Math.round(typical)} ms: ${ended.output}`;
    const names = await place.names();
    expect(await place.pending(), what).toBe(0);
    if (ended.code === 0) {
      seen.committed += 1;
      // The first one was cold: so that later moments do not all come after the end.
      typical = Math.min(typical, performance.now() - started);
      if (ended.result?.run.outcome !== 'Succeeded') throw new Error(`nothing was told: ${what}`);
      const { id } = ended.result.run;
      expect(names, what).toEqual([`${id}.snap`, `${id}.snap.json`]);
    } else {
      expect(names, what).toEqual([]);
      // 128: before it listened for signals, Node itself ended it.
      seen[ended.code === reasons.Canceled.exitCode ? 'canceled' : 'killed'] += 1;
      if (ended.code === reasons.Canceled.exitCode)
        expect(ended.result?.run, what).toMatchObject({ outcome: 'Failed', reason: 'Canceled' });
      else expect([ended.code, ended.result], what).toEqual([128, undefined]);
    }
    await places.pop()?.remove();
  }
  console.error(`20 moments: ${JSON.stringify(seen)}`);
  expect(seen.canceled + seen.killed).toBeGreaterThan(0);
});

describe('F44 a restore with stock tools', () => {
  let place: Place;
  let folder = '';
  let manifest: Manifest;
  let identity = '';
  let stored: Buffer;

  beforeAll(async () => {
    identity = await generateIdentity();
    const recipients = [await identityToRecipient(identity)];
    place = new Place(world, 'directory', { compression: { algorithm: 'zstd', level: 3 }, recipients });
    const pod = await place.pod('job-1');
    const { result, output } = await pod.run(world.postgres);
    if (result?.run.outcome !== 'Succeeded') throw new Error(output);
    manifest = await place.manifest(result.run.id);
    folder = pod.root;
    await writeFile(join(folder, 'right'), identity);
    await writeFile(join(folder, 'wrong'), await generateIdentity());
    await place.download(manifest.id, folder);
    stored = await readFile(join(folder, `${manifest.id}.snap`));
    await world.sql('create database target', 'postgres');
  });
  afterAll(async () => place?.remove());

  const tables = () =>
    world.sql(
      `select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^(pg_|information_schema)'`,
      'target',
    );

  /** Restores these bytes. A manifest that was forged to match them leaves the cipher alone to find the damage. */
  async function attempt(bytes: Buffer, key: string, forged: boolean): Promise<void> {
    await writeFile(join(folder, `${manifest.id}.snap`), bytes);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const lines = manifest.restore.map((line) => (forged ? line.replace(manifest.storedSha256, digest) : line));
    await restore(world, { ...manifest, restore: lines }, folder, 'target', join(folder, key));
  }

  const header = (): number => stored.indexOf('\n', stored.indexOf('\n---')) + 1 + 16;
  const chunk = 65_536 + 16;
  const swapped = (): Buffer => {
    const at = header();
    const [first, second] = [stored.subarray(at, at + chunk), stored.subarray(at + chunk, at + 2 * chunk)];
    return Buffer.concat([stored.subarray(0, at), second, first, stored.subarray(at + 2 * chunk)]);
  };
  const flipped = (): Buffer => {
    const copy = Buffer.from(stored);
    copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
    return copy;
  };
  const lastChunk = (): number => header() + Math.floor((stored.length - header() - 1) / chunk) * chunk;

  test.each<[string, () => Buffer, string, RegExp]>([
    ['with another key', () => stored, 'wrong', /no identity matched/],
    ['of what is cut within a chunk', () => stored.subarray(0, stored.length - 100), 'right', /age: error/],
    ['of what is cut at the border of a chunk', () => stored.subarray(0, lastChunk()), 'right', /age: error/],
    ['of what is cut after its header', () => stored.subarray(0, header()), 'right', /age: error/],
    ['of chunks in another order', swapped, 'right', /age: error/],
    ['with a bit turned', flipped, 'right', /age: error/],
    ['with bytes added', () => Buffer.concat([stored, Buffer.alloc(20)]), 'right', /age: error/],
  ])('F44 %s fails before it touches the target', async (_what, bytes, key, said) => {
    // The digest is found wrong first; with a forged one the cipher finds it.
    if (bytes() !== stored) await expect(attempt(bytes(), key, false)).rejects.toThrow(/FAILED|did NOT match/);
    await expect(attempt(bytes(), key, true)).rejects.toThrow(said);
    expect((await tables()).trim()).toBe('0');
  });

  test('F44 of the bytes as they were, with the right key, goes through', async () => {
    expect((stored.length - header()) / chunk).toBeGreaterThan(3);
    await attempt(stored, 'right', false);
    expect(await contentOf(world, 'target')).toBe(await contentOf(world, 'orders'));
  });
});

/** Command line and environment of every process that names the text, as long as it runs. */
async function tracesOf(text: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((one) => /^\d+$/.test(one) && Number(one) !== process.pid);
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const all = await Promise.all(
    ids.map(async (id) => `${await read(`/proc/${id}/cmdline`)}\n${await read(`/proc/${id}/environ`)}`),
  );
  return all.filter((one) => one.includes(text));
}

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

test.each(['s3', 'directory'] as const)(
  'canaries in every secret of a run to %s show in no output, message, argument, environment, manifest or object',
  async (kind) => {
    const identity = await generateIdentity();
    const password = 'canary-Database\'Password"$(1)';
    await world.sql(`drop role if exists canary`);
    await world.sql(`create role canary superuser login password '${password.replaceAll("'", "''")}'`);
    const storageKey = `canary-storage-key-of-${kind}`;
    if (kind === 's3') await world.s3.addUser({ access: 'canary-access-id', secret: storageKey, role: 'admin' });
    const keys: Record<string, string> = kind === 's3' ? { id: 'canary-access-id', key: storageKey } : {};
    const place = placeFor(kind, { recipients: [await identityToRecipient(identity)] });
    const pod = await place.pod('job-1', {}, keys);
    await writeFile(join(pod.root, 'identity'), identity);
    const canaries = [password, storageKey, identity, 'canary-access-id'];

    expect(await pod.prepare().ended).toBe(0);
    const tools = await brokenDump(pod.root, world.postgres.bin, heldDump(pod.root, 1, ''));
    const traces: string[] = [];
    let over = false;
    // From the first process on, so that the short-lived ones of the login are seen too.
    const watching = (async () => {
      while (!over) {
        traces.push(...(await tracesOf(pod.root)));
        await sleep(100);
      }
    })();
    const dump = await pod.dump({ ...world.postgres, user: 'canary', password }, tools);
    const executor = pod.backup();
    await waitFor('the dump to be half way', () => there(join(pod.root, 'half')));
    traces.push(...(await tracesOf(pod.root)), ...(await tracesOf('pg_dump')));
    await writeFile(join(pod.root, 'go'), '');
    const ended = await pod.conclude(executor);
    await dump.ended;
    over = true;
    await watching;

    if (ended.result?.run.outcome !== 'Succeeded') throw new Error(ended.output);
    // What was looked at is what should be: the dump tool and the executor were among them.
    expect(traces.some((one) => one.includes('-Fc'))).toBe(true);
    expect(traces.some((one) => one.includes('executor/main.ts'))).toBe(true);
    const storage = await place.storage();
    const objects: string[] = [];
    for await (const { key } of storage.list(place.prefix)) {
      for await (const bytes of storage.get(key)) objects.push(bytes.toString('latin1'));
    }
    storage.close();
    const all = [ended.output, ...traces, ...objects].join('\n');
    for (const canary of canaries)
      for (const form of [canary, JSON.stringify(canary).slice(1, -1), Buffer.from(canary).toString('base64')])
        expect(all.includes(form), `${form} shows`).toBe(false);
  },
);
