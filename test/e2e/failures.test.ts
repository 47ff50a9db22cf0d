// Dumps and executors that die at the worst moment, on a real node: a failed run with the right reason, nothing stored, nothing lost.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobEnd, type Pod } from '../../controller/objects.ts';
import { annotations } from '../../crds/rules/names.ts';
import { database, store } from '../stage/manifests.ts';
import { getBackup, getJob, killContainer, podsOf, runEnd, runningPod, trigger } from '../stage/runs.ts';
import { backupOf, createTeam, storageOf, type Team } from '../stage/team.ts';
import { waitFor } from '../wait.ts';
import { faultyImage, loadFaultyImage } from './faulty-image.ts';
import { pacedStorage, startPacedStore } from './paced-store.ts';
import { e2eWorld, type World } from './world.ts';

const namespace = 'e2e-failures';
let at: World;
let team: Team;
/** Keys of the two snapshots that must survive every failure; retention would prune one of them after a success. */
let survivors: string[];

const recipients = ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p'];
/** Stored through the paced door: about a minute, however fast the machine is, in which it can be killed. */
const slow = { encryption: { age: { recipients } }, storage: pacedStorage(namespace) };
/** The same bucket by its own door. */
const quick = { compression: { algorithm: 'none' }, storage: storageOf(namespace, store.host) };
const once = { job: { backoffLimit: 0 } };

const spec = (overrides: object): object => ({ ...slow, ...once, retention: { keepLast: 2 }, ...overrides });

async function backup(name: string, overrides: object = {}, image = at.images.postgres.name): Promise<void> {
  await at.kubectl.apply([backupOf(namespace, name, image, spec(overrides))]);
}

/** Triggers and waits until bytes of the dump are on their way to the store. */
async function halfWay(name: string, token: string): Promise<Pod> {
  await trigger(at.kubectl, namespace, name, token);
  const pod = await runningPod(at.kubectl, namespace, name, token);
  // The init container begins an upload too, as a probe; it is gone when the pod runs.
  await waitFor('the dump begins', async () => {
    const { status } = await at.kubectl.json<Pod>(['-n', namespace, 'get', 'pod', pod.metadata.name]);
    return status?.phase === 'Running';
  });
  await waitFor('parts are on their way', async () => (await team.pendingUploads()).length > 0);
  return pod;
}

/** A run that failed leaves nothing behind, and a good one after it puts everything right. */
async function expectFailure(name: string, token: string, reason: string | RegExp): Promise<string> {
  const { status } = await runEnd(at.kubectl, namespace, name, token);
  expect(status?.run?.outcome).toBe('Failed');
  expect(status?.failureReason).toMatch(reason);
  expect(status?.phase).toBe('Failed');
  expect(status?.conditions?.find(({ type }) => type === 'BackupHealthy')?.status).toBe('False');
  const job = await getJob(at.kubectl, namespace, status?.run?.jobName ?? '');
  expect(jobEnd(job)).toBe('Failed');
  expect((await team.keys()).sort()).toEqual(survivors);
  return status?.failureMessage ?? '';
}

async function expectNextRunIsGood(name: string, token: string): Promise<void> {
  await backup(name, quick);
  await trigger(at.kubectl, namespace, name, token);
  const { status } = await runEnd(at.kubectl, namespace, name, token);
  expect(status?.run?.message).toBeUndefined();
  expect(status?.run?.outcome).toBe('Succeeded');
  expect(status?.consecutiveFailures).toBe(0);
  expect(await team.pendingUploads()).toEqual([]);
  survivors = (await team.keys()).sort();
  expect(survivors).toHaveLength(4);
  await backup(name);
}

beforeAll(async () => {
  at = await e2eWorld();
  team = await createTeam(at.kubectl, namespace, at.images);
  await startPacedStore(at, namespace);
  // 100 MB of random bytes, twice as many in the dump.
  await team.sql(`
    create extension pgcrypto;
    create table filler (n int primary key, content bytea not null);
    insert into filler select n, string_agg(gen_random_bytes(1024), '') from generate_series(1, 1000) n, generate_series(1, 100) m group by n;
  `);
  await loadFaultyImage(at, team);
  await backup('orders', quick);
  for (const token of ['first', 'second']) {
    await trigger(at.kubectl, namespace, 'orders', token);
    const { status } = await runEnd(at.kubectl, namespace, 'orders', token);
    expect(status?.failureMessage).toBeUndefined();
  }
  await backup('orders');
  survivors = (await team.keys()).sort();
  expect(survivors).toHaveLength(4);
});

afterAll(async () => {
  await team?.close();
  await at?.kubectl(['delete', 'namespace', namespace, '--wait=false']);
});

describe('a dump that is killed at half way', () => {
  it('by pg_terminate_backend fails as DumpFailed and stores nothing', async () => {
    await halfWay('orders', 'terminate');
    const terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbbackup'";
    expect((await team.sql(terminate, 'postgres')).trim()).toBe('t');
    expect(await expectFailure('orders', 'terminate', 'DumpFailed')).toMatch(/terminat|server closed|exit code/);
    await expectNextRunIsGood('orders', 'after-terminate');
  });

  it('by kill -9 of the tool fails as DumpFailed and stores nothing', async () => {
    const pod = await halfWay('orders', 'kill-tool');
    const find = 'for p in /proc/[0-9]*; do if [ "$(cat "$p/comm")" = pg_dump ]; then kill -9 "${p#/proc/}"; fi; done';
    const killing = at.kubectl(['-n', namespace, 'exec', pod.metadata.name, '-c', 'dump', '--', 'sh', '-c', find]);
    // The container may end with the tool, and the shell that killed it with the container; what came of it is looked at below.
    await killing.catch(() => {});
    await expectFailure('orders', 'kill-tool', 'DumpFailed');
    await expectNextRunIsGood('orders', 'after-kill-tool');
  });

  it('by kill -9 of its whole container fails as DumpFailed and stores nothing', async () => {
    const pod = await halfWay('orders', 'kill-container');
    await killContainer(at.kubectl, pod, 'dump', at.images.postgres.name);
    await expectFailure('orders', 'kill-container', 'DumpFailed');
    await expectNextRunIsGood('orders', 'after-kill-container');
  });
});

describe('an executor that is killed', () => {
  it('fails the run and stores nothing; the next run removes what it had sent', async () => {
    const pod = await halfWay('orders', 'kill-executor');
    await killContainer(at.kubectl, pod, 'executor', at.images.postgres.name);
    await expectFailure('orders', 'kill-executor', /Unknown|DumpFailed/);
    await expectNextRunIsGood('orders', 'after-kill-executor');
  });

  it('is retried where backoffLimit allows, and the window still has one snapshot', async () => {
    await backup('orders', { job: { backoffLimit: 1 } });
    const before = survivors;
    const pod = await halfWay('orders', 'retry');
    await killContainer(at.kubectl, pod, 'executor', at.images.postgres.name);
    // Two dumps of a minute each, and the wait of Kubernetes between them.
    const { status } = await runEnd(at.kubectl, namespace, 'orders', 'retry', 400);
    expect(status?.run?.outcome).toBe('Succeeded');
    expect(await podsOf(at.kubectl, namespace, status?.run?.jobUID ?? '')).toHaveLength(2);
    survivors = (await team.keys()).sort();
    // keepLast 2: one came, one went.
    expect(survivors).toHaveLength(4);
    expect(survivors.filter((key) => !before.includes(key))).toHaveLength(2);
    expect(await team.pendingUploads()).toEqual([]);
  });
});

describe('a dump that never starts', () => {
  it('for want of its image fails as ImagePullFailed within the start timeout', async () => {
    await backup('no-image', {}, 'dbbackup.test/does-not-exist:1');
    await trigger(at.kubectl, namespace, 'no-image', 'pull');
    expect(await expectFailure('no-image', 'pull', 'ImagePullFailed')).toContain('dump');
  });

  it('for want of its Secret fails as SecretInvalid, naming Secret and key', async () => {
    const auth = { secretRef: { name: 'no-such-secret' } };
    await backup('no-secret', {
      database: { engine: 'postgres', image: at.images.postgres.name, host: database.host, name: database.name, auth },
    });
    await trigger(at.kubectl, namespace, 'no-secret', 'secret');
    expect(await expectFailure('no-secret', 'secret', 'SecretInvalid')).toMatch(/no-such-secret.*username/);
  });
});

describe('a dump tool that lies', () => {
  const lying = (mode: string): object => ({
    database: {
      engine: 'postgres',
      image: faultyImage,
      host: database.host,
      name: mode,
      auth: { secretRef: { name: database.host } },
    },
  });

  it('and ends with exit code 0 having written nothing fails as DumpEmpty', async () => {
    await backup('empty', lying('empty'), faultyImage);
    await trigger(at.kubectl, namespace, 'empty', 'empty');
    await expectFailure('empty', 'empty', 'DumpEmpty');
  });

  it('and ends with exit code 0 after half an archive fails as DumpFailed', async () => {
    await backup('half', lying('half'), faultyImage);
    await trigger(at.kubectl, namespace, 'half', 'half');
    await expectFailure('half', 'half', 'DumpFailed');
  });

  it('and never writes a byte fails as DumpStalled within the start timeout', async () => {
    await backup('hang', lying('hang'), faultyImage);
    await trigger(at.kubectl, namespace, 'hang', 'hang');
    await expectFailure('hang', 'hang', 'DumpStalled');
  });
});

describe('a Job that is deleted by hand while it runs', () => {
  it('is recorded as Failed Unknown, and is not run again', async () => {
    const pod = await halfWay('orders', 'deleted');
    const { status } = await getBackup(at.kubectl, namespace, 'orders');
    await at.kubectl(['-n', namespace, 'delete', 'job', status?.run?.jobName ?? '', '--wait=true']);
    const end = await runEnd(at.kubectl, namespace, 'orders', 'deleted');
    expect(end.status?.failureReason).toBe('Unknown');
    expect((await team.keys()).sort()).toEqual(survivors);
    await waitFor('the lock is free', async () => {
      const found = await at.kubectl.json<{ spec: { holderIdentity?: string } }>([
        '-n',
        namespace,
        'get',
        'lease',
        `dbbackup-${database.host}`,
      ]);
      return (found.spec.holderIdentity ?? '') === '';
    });
    expect(pod.metadata.annotations?.[annotations.lockEpoch]).toBeDefined();
    await expectNextRunIsGood('orders', 'after-deleted');
  });
});
