// The whole way on a real node, to S3 and to a volume: applied, run, listed by the plugin, restored by its printed commands.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backup } from '../../controller/objects.ts';
import { annotations } from '../../crds/rules/names.ts';
import { prepareTools, type Tools } from '../demo/tools.ts';
import { run } from '../rig/command.ts';
import { differences, fingerprintSql } from '../stage/fingerprint.ts';
import { database } from '../stage/manifests.ts';
import { restoreVariables } from '../stage/restore.ts';
import { getBackup, runEnd, trigger } from '../stage/runs.ts';
import { seed } from '../stage/seed.ts';
import { backupOf, createTeam, type Team } from '../stage/team.ts';
import { volumeObjects } from '../stage/volume.ts';
import { waitFor } from '../wait.ts';
import { e2eWorld, log, type World } from './world.ts';

const namespace = 'e2e-backup';
let at: World;
let team: Team;
let tools: Tools;
let folder: string;

const env = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: tools.path,
  KUBECONFIG: at.kubectl.kubeconfig,
  NO_COLOR: '1',
});
const plugin = (...args: string[]): Promise<string> =>
  run(['kubectl', 'dbbackup', '-n', namespace, ...args], { env: env() });

/** An empty database beside the source. */
async function emptyDatabase(name: string): Promise<string> {
  await team.inDatabase(['createdb', '-U', database.user, name]);
  return name;
}

async function expectSame(copy: string): Promise<void> {
  const [source, restored] = [await team.sql(fingerprintSql), await team.sql(fingerprintSql, copy)];
  expect(source).toContain('pgbench_accounts rows=100000');
  expect(differences(source, restored)).toEqual([]);
}

beforeAll(async () => {
  at = await e2eWorld();
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-e2e-'));
  tools = await prepareTools(folder, log);
  team = await createTeam(at.kubectl, namespace, at.images);
  await seed(team, { pgbenchScale: 1 });
});

afterAll(async () => {
  await team?.close();
  await rm(folder, { recursive: true, force: true });
  await at?.kubectl(['delete', 'namespace', namespace, '--wait=false']);
});

describe('a backup to S3', () => {
  it('that is applied with a trigger is committed, listed, located and restored by the printed commands', async () => {
    const object = backupOf(namespace, 'orders', at.images.postgres.name, {
      encryption: { age: { recipients: [tools.recipient] } },
    }) as Backup;
    object.metadata.annotations = { [annotations.trigger]: 'at-once' };
    const applied = Date.now();
    await at.kubectl.apply([object]);
    const { status } = await runEnd(at.kubectl, namespace, 'orders', 'at-once');
    log(`from apply to the outcome in status: ${((Date.now() - applied) / 1000).toFixed(1)} s`);
    expect(status?.run?.outcome).toBe('Succeeded');
    const id = status?.lastSnapshot?.id ?? '';
    expect(await team.keys()).toEqual([`${namespace}/orders-db/${id}.snap`, `${namespace}/orders-db/${id}.snap.json`]);
    expect(await plugin('list-snapshots', 'orders')).toContain(id);
    expect(await plugin('describe', 'orders')).toMatch(
      /^Backups work: the newest restorable snapshot is \d+ (s|min) old\./,
    );
    const copy = await emptyDatabase('from_s3');
    await run(['sh', '-c', `kubectl dbbackup -n ${namespace} restore-locate orders -o shell | sh`], {
      env: {
        ...env(),
        ...restoreVariables(team, copy, tools.identity),
      },
    });
    await expectSame(copy);
  });

  it('is awaited by kubectl dbbackup trigger --wait, and retention keeps the newest', async () => {
    for (let round = 0; round < 4; round++) {
      const output = await plugin('trigger', 'orders', '--wait');
      expect(output).toMatch(/snapshot \S+ stored at e2e-backup\/orders-db\/\S+\.snap/);
    }
    const { status } = await getBackup(at.kubectl, namespace, 'orders');
    expect(status?.snapshotCount).toBe(3);
    expect(status?.snapshots?.[0]?.id).toBe(status?.lastSnapshot?.id);
    expect((await team.keys()).filter((key) => key.endsWith('.snap'))).toHaveLength(3);
  });

  it('is taken before a change that its gate waits for, in the image of the server that still runs', async () => {
    const image = at.images.postgres.name;
    const gated = (newImage: string, token: string): Backup => {
      const object = backupOf(namespace, 'gated', newImage, { gate: { token, timeoutSeconds: 300 } }) as Backup;
      object.metadata.annotations = { [annotations.trigger]: 'first' };
      return object;
    };
    await at.kubectl.apply([gated(image, 'v1')]);
    const first = await runEnd(at.kubectl, namespace, 'gated', 'first');
    expect(first.status?.gate).toMatchObject({ token: 'v1', satisfiedBy: 'Baseline' });
    await at.kubectl.apply([gated('nowhere.example/postgres:next', 'v2')]);
    const wait = ['--for=jsonpath={.status.gate.token}=v2', '--timeout=60s'];
    await at.kubectl(['-n', namespace, 'wait', 'databasebackup/gated', ...wait]);
    expect(await plugin('describe', 'gated')).toMatch(/^A (gate backup has been running|change waits .*GatePending)/);
    await at.kubectl(['-n', namespace, 'wait', 'databasebackup/gated', '--for=condition=Ready', '--timeout=240s']);
    const { status } = await getBackup(at.kubectl, namespace, 'gated');
    expect(status?.gate).toMatchObject({ token: 'v2', satisfiedBy: status?.run?.jobUID });
    expect(status?.run).toMatchObject({ trigger: 'Gate', gate: 'v2', image, outcome: 'Succeeded' });
    expect(status?.lastSnapshot).toMatchObject({ image });
    expect(status?.lastSnapshot?.id).not.toBe(first.status?.lastSnapshot?.id);
    expect(await team.keys()).toContain(status?.lastSnapshot?.key);
  });

  it('dumps what its extra arguments leave, with the resources and labels of its job', async () => {
    const image = at.images.postgres.name;
    const { host, name } = database;
    const object = backupOf(namespace, 'chosen', image, {
      database: {
        engine: 'postgres',
        image,
        host,
        name,
        auth: { secretRef: { name: host } },
        extraArgs: ['--exclude-table-data=*.pgbench_*', '--no-comments'],
      },
      job: { resources: { requests: { memory: '100Mi' }, limits: { memory: '512Mi' } }, podLabels: { team: 'shop' } },
    });
    await at.kubectl.apply([object]);
    await trigger(at.kubectl, namespace, 'chosen', 'once');
    const { status } = await runEnd(at.kubectl, namespace, 'chosen', 'once');
    expect(status?.failureMessage).toBeUndefined();
    const whole = (await getBackup(at.kubectl, namespace, 'orders')).status?.lastSnapshot?.size ?? 0;
    expect(status?.lastSnapshot?.size).toBeLessThan(whole - 5_000_000);
    const pods = await at.kubectl([
      '-n',
      namespace,
      'get',
      'pods',
      '-l',
      'team=shop,dbbackup.io/name=chosen',
      '-o',
      'name',
    ]);
    expect(pods.trim()).not.toBe('');
  });

  it('whose password is wrong fails as DatabaseAuthFailed without a second pod, and no secret is told', async () => {
    const secretAccessKey = 'canary-password-1';
    await at.kubectl.apply([
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'wrong', namespace },
        stringData: { username: 'postgres', password: secretAccessKey },
      },
    ]);
    const image = at.images.postgres.name;
    const auth = { secretRef: { name: 'wrong' } };
    await at.kubectl.apply([
      backupOf(namespace, 'wrong-login', image, {
        database: { engine: 'postgres', image, host: database.host, name: database.name, auth },
      }),
    ]);
    await trigger(at.kubectl, namespace, 'wrong-login', 'once');
    const backup = await runEnd(at.kubectl, namespace, 'wrong-login', 'once');
    expect(backup.status?.failureReason).toBe('DatabaseAuthFailed');
    const pods = await at.kubectl(['-n', namespace, 'get', 'pods', '-l', 'dbbackup.io/name=wrong-login', '-o', 'name']);
    expect(pods.trim().split('\n')).toHaveLength(1);
    const logs = await at.kubectl(['-n', namespace, 'logs', pods.trim(), '--all-containers']);
    const events = await at.kubectl(['-n', namespace, 'get', 'events', '-o', 'yaml']);
    expect(JSON.stringify(backup) + logs + events).not.toContain(secretAccessKey);
  });
});

describe('a backup to a volume', () => {
  const claim = 'backups';

  it('is committed there and restored from it by the printed commands', async () => {
    await at.kubectl.apply(await volumeObjects(at.kubectl, namespace, claim, at.images.postgres.name));
    await at.kubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pod/volume', '--timeout=120s']);
    const storage = { pathPrefix: 'daily', pvc: { claimName: claim, subPath: 'team' } };
    await at.kubectl.apply([
      backupOf(namespace, 'to-volume', at.images.postgres.name, { storage, compression: { algorithm: 'gzip' } }),
    ]);
    await trigger(at.kubectl, namespace, 'to-volume', 'once');
    const { status } = await runEnd(at.kubectl, namespace, 'to-volume', 'once');
    expect(status?.failureMessage).toBeUndefined();
    const key = `daily/${namespace}/orders-db/${status?.lastSnapshot?.id}.snap`;
    expect(status?.lastSnapshot?.key).toBe(key);
    const inVolume = ['-n', namespace, 'exec', '-i', 'volume', '--'];
    const files = await at.kubectl([...inVolume, 'sh', '-c', 'cd /volume/team && find . -type f | sort']);
    expect(files.trim().split('\n')).toEqual([`./${key}`, `./${key}.json`]);
    const copy = await emptyDatabase('from_volume');
    const script = await plugin('restore-locate', 'to-volume', '-o', 'shell');
    const { user, password, host } = database;
    const variables = [
      'VOLUME_DIR=/volume',
      `PGHOST=${host}`,
      `PGUSER=${user}`,
      `PGPASSWORD=${password}`,
      `PGDATABASE=${copy}`,
    ];
    await at.kubectl([...inVolume, 'env', ...variables, 'sh'], script);
    await expectSame(copy);
  });
});

describe('a schedule of every minute', () => {
  it('runs one backup a window and counts the windows in which the run before was not finished', async () => {
    await at.kubectl.apply([backupOf(namespace, 'minutely', at.images.postgres.name, { schedule: '* * * * *' })]);
    const first = await waitFor(
      'the first window ran',
      async () => {
        const backup = await getBackup(at.kubectl, namespace, 'minutely');
        return backup.status?.run?.outcome === 'Succeeded' ? backup : undefined;
      },
      { seconds: 150 },
    );
    expect(first.status?.run?.trigger).toBe('Schedule');
    const second = await waitFor(
      'the second window ran',
      async () => {
        const backup = await getBackup(at.kubectl, namespace, 'minutely');
        const { run: last } = backup.status ?? {};
        return last?.slot !== first.status?.run?.slot && last?.outcome === 'Succeeded' ? backup : undefined;
      },
      { seconds: 150 },
    );
    const [before, after] = [first, second].map(({ status }) => Date.parse(status?.run?.slot ?? ''));
    expect((after ?? 0) - (before ?? 0)).toBe(60_000);
    expect(second.status?.missedWindows).toBe(0);
    await at.kubectl(['-n', namespace, 'delete', 'databasebackup', 'minutely']);
    // Deleting a DatabaseBackup never deletes a snapshot.
    expect((await team.keys()).some((key) => key.includes(second.status?.lastSnapshot?.id ?? 'none'))).toBe(true);
  });
});
