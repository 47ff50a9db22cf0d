// The Job of a run, whole against a golden file, and what no Job may ever hold.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { buildJob, jobDeadlineSeconds } from '../../controller/job.ts';
import { decodeTask, literal } from '../../crds/rules/contract.ts';
import { dumpScript } from '../../crds/rules/engines/script.ts';
import { engines } from '../../crds/rules/engines/table.ts';
import { permanentExitCodes } from '../../crds/rules/reasons.ts';
import { backup, settings, window } from './builders.ts';

interface Container {
  name: string;
  image: string;
  command?: string[];
  env: { name: string; value?: string }[];
  securityContext: object;
  resources: { limits: { memory: string } };
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}

interface Built {
  metadata: { name: string; labels: object; annotations: object; ownerReferences: object[] };
  spec: {
    suspend: boolean;
    backoffLimit: number;
    activeDeadlineSeconds: number;
    podFailurePolicy: { rules: { onExitCodes?: { values: number[] } }[] };
    template: {
      metadata: { labels: object; annotations: object };
      spec: {
        initContainers: Container[];
        containers: Container[];
        volumes: { name: string }[];
        activeDeadlineSeconds: number;
      };
    };
  };
}

const golden = new URL('../golden/job-s3.json', import.meta.url);
const scheduled = { kind: 'Schedule', slot: window } as const;
const built = (
  change: Parameters<typeof backup>[0] = {},
  trigger: Parameters<typeof buildJob>[0]['trigger'] = scheduled,
): Built =>
  buildJob({
    backup: backup(change),
    settings,
    name: 'orders-20250327010000',
    image: backup(change).spec.database.image,
    trigger,
  }) as Built;
const containersOf = ({ spec }: Built): Container[] => [
  ...spec.template.spec.initContainers,
  ...spec.template.spec.containers,
];
const named = (job: Built, name: string): Container => {
  const found = containersOf(job).find((container) => container.name === name);
  if (found === undefined) throw new Error(`no container "${name}"`);
  return found;
};
const mounts = (job: Built, name: string): string[] => named(job, name).volumeMounts.map((mount) => mount.name);

/** As a person reads it: the task as an object, the script and the list of exit codes by their names. */
function readable(job: Built): unknown {
  const copy = structuredClone(job) as Built;
  for (const { onExitCodes } of copy.spec.podFailurePolicy.rules)
    if (String(onExitCodes?.values) === String(permanentExitCodes()))
      Object.assign(onExitCodes ?? {}, { values: 'every permanent exit code' });
  for (const container of containersOf(copy)) {
    if (container.command?.[2] === literal(dumpScript(engines.postgres)))
      container.command[2] = 'the dump script of postgres';
    for (const variable of container.env)
      if (variable.name === 'DBBACKUP_TASK') Object.assign(variable, { value: JSON.parse(variable.value ?? '') });
  }
  return copy;
}

test('the whole Job of a backup to S3 is as in the golden file (UPDATE_GOLDEN=1 writes it anew, biome formats it)', async () => {
  const job = readable(built());
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(golden, `${JSON.stringify(job, null, 2)}\n`);
  expect(job).toEqual(JSON.parse(await readFile(golden, 'utf8')));
});

test('equal input gives an equal Job', () => {
  expect(JSON.stringify(built())).toBe(JSON.stringify(built()));
});

describe('a Job', () => {
  test('inherits no label and no annotation of the backup', () => {
    const metadata = {
      labels: { 'app.kubernetes.io/instance': 'orders', 'kustomize.toolkit.fluxcd.io/name': 'apps' },
      annotations: { 'argocd.argoproj.io/tracking-id': 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    };
    expect(built({ metadata })).toEqual(built());
  });

  test('begins suspended, belongs to its backup and knows its window or its token', () => {
    const job = built();
    expect(job.spec.suspend).toBe(true);
    expect(job.metadata.ownerReferences).toEqual([expect.objectContaining({ uid: 'backup-1', controller: true })]);
    expect(job.metadata.annotations).toMatchObject({ 'dbbackup.io/slot': window });
    const manual = built({}, { kind: 'Manual', token: 'now', time: window });
    expect(manual.metadata.annotations).toMatchObject({ 'dbbackup.io/token': 'now' });
    expect(manual.metadata.annotations).not.toHaveProperty('dbbackup.io/slot');
    expect(manual.metadata.labels).toMatchObject({ 'dbbackup.io/trigger-kind': 'Manual' });
  });

  test('lasts as long as all its pods may, with what they take to come to work, and a little more', () => {
    const spec = { job: { activeDeadlineSeconds: 100, backoffLimit: 2 } };
    // Each of three pods has 600 s to come to work and 100 s to do it; before another is made are 10 and 20 s.
    expect(jobDeadlineSeconds(backup({ spec }), settings)).toBe(3 * 700 + 30 + 300);
    expect(built({ spec }).spec).toMatchObject({ activeDeadlineSeconds: 2430, backoffLimit: 2 });
    expect(built({ spec }).spec.template.spec.activeDeadlineSeconds).toBe(100);
  });

  test('ends at once for permanent reasons', () => {
    const [, rule] = built().spec.podFailurePolicy.rules;
    expect(rule?.onExitCodes?.values).toEqual(permanentExitCodes());
  });

  test('carries the spec as a task that the executor reads back', () => {
    const spec = {
      retention: { keepLast: 2, keepWithin: '14d', maxDeletesPerRun: 7 },
      compression: { algorithm: 'gzip' as const },
    };
    const value = named(built({ spec }), 'executor').env[0]?.value?.replaceAll('$$', '$');
    expect(decodeTask({ DBBACKUP_TASK: value, DBBACKUP_JOB_UID: 'job-1' }).task).toMatchObject({
      owner: { clusterUid: 'c0ffee', namespace: 'shop', name: 'orders' },
      cluster: 'orders-db',
      time: window,
      retention: spec.retention,
      compression: { algorithm: 'gzip', level: 6 },
    });
  });
});

describe('every container', () => {
  test.each(['prepare', 'dump', 'executor'])('%s has the restricted shape', (name) => {
    expect(named(built(), name).securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  test('is one of three, and the pod asks for nothing of the host and no API token', () => {
    const job = built();
    expect(containersOf(job).map(({ name }) => name)).toEqual(['prepare', 'dump', 'executor']);
    expect(job.spec.template.spec).toMatchObject({
      automountServiceAccountToken: false,
      restartPolicy: 'Never',
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532 },
    });
    for (const forbidden of ['hostNetwork', 'hostPID', 'hostIPC', 'hostPath', 'privileged', 'serviceAccountName'])
      expect(JSON.stringify(job)).not.toContain(`"${forbidden}"`);
  });

  test('runs as the user that is asked for', () => {
    const spec = { job: { runAsUser: 999, fsGroup: 998 } };
    expect(built({ spec }).spec.template.spec).toMatchObject({
      securityContext: { runAsUser: 999, runAsGroup: 998, fsGroup: 998 },
    });
  });

  test('mounts only volumes that there are, and every volume is mounted', () => {
    for (const storage of [backup().spec.storage, { pvc: { claimName: 'backups' } }]) {
      const job = built({ spec: { storage } });
      const volumes = job.spec.template.spec.volumes.map(({ name }) => name);
      const used = new Set(containersOf(job).flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name)));
      expect([...used].sort()).toEqual([...volumes].sort());
    }
  });
});

const s3 = { s3: { bucket: 'b', region: 'eu-central-1', auth: { default: {} } } };
const like = { s3: { ...s3.s3, endpoint: 'https://store.example' } };
const gcs = { gcs: { bucket: 'b', auth: { applicationDefault: {} } } };
test.each<[string, number, ReturnType<typeof backup>['spec']['storage'], string]>([
  ['a first snapshot', 0, s3, '512Mi'],
  ['500 GiB in S3', 500, s3, '512Mi'],
  ['1 TiB in S3, whose parts are large', 1024, s3, '680Mi'],
  ['1 TiB in what speaks S3, whose parts are larger', 1024, like, '878Mi'],
  ['1 TiB in Google, which takes any number of parts', 1024, gcs, '512Mi'],
  ['1 TiB on a volume', 1024, { pvc: { claimName: 'c' } }, '512Mi'],
])('the executor has memory for another snapshot after %s', (_what, gibibytes, storage, limit) => {
  const change = { spec: { storage }, status: { lastSnapshot: { id: 'x', storedSize: gibibytes * 2 ** 30 } } };
  const executor = built(change).spec.template.spec.containers.find(({ name }) => name === 'executor');
  expect(executor?.resources.limits.memory).toBe(limit);
});

test('a Job that waits is made anew when the executor needs more memory than it was made with, not before', () => {
  const hashAfter = (gibibytes: number) =>
    built({ status: { lastSnapshot: { id: 'x', storedSize: gibibytes * 2 ** 30 } } }).metadata.annotations;
  expect(hashAfter(200)).toEqual(hashAfter(0));
  expect(hashAfter(1024)).not.toEqual(hashAfter(0));
});

describe('Secrets stay apart', () => {
  test('the dump is given none of the storage, the executor none of the database', () => {
    const job = built();
    expect(mounts(job, 'dump')).toEqual(['run', 'dump-temporary', 'database']);
    for (const name of ['prepare', 'executor'])
      expect(mounts(job, name)).toEqual(['run', 'executor-temporary', 'storage']);
  });

  test('with a claim the dump is not given the volume', () => {
    const job = built({ spec: { storage: { pvc: { claimName: 'backups', subPath: 'a' } } } });
    expect(mounts(job, 'dump')).not.toContain('volume');
    expect(mounts(job, 'executor')).toEqual(['run', 'executor-temporary', 'volume']);
  });

  test('with the default chain no storage Secret is mounted', () => {
    const s3 = { bucket: 'backups', region: 'eu-central-1', auth: { default: {} } };
    expect(mounts(built({ spec: { storage: { s3 } } }), 'executor')).toEqual(['run', 'executor-temporary']);
  });

  test('and come as files only, never as variables', () => {
    const text = JSON.stringify(built());
    expect(text).not.toContain('secretKeyRef');
    expect(text).not.toContain('envFrom');
  });
});

describe('a value of the manifest', () => {
  const name = '$(PGHOST) $HOME `id` "x" $$';
  const database = { ...backup().spec.database, name };

  test('reaches its container as it stands, whatever dollars it holds', () => {
    const job = built({ spec: { database } });
    expect(named(job, 'dump').env.find((variable) => variable.name === 'PGDATABASE')?.value).toBe(
      '$$(PGHOST) $$HOME `id` "x" $$$$',
    );
    const task = named(job, 'executor').env[0]?.value?.replaceAll('$$', '$');
    expect(decodeTask({ DBBACKUP_TASK: task, DBBACKUP_JOB_UID: 'job-1' }).task.database.name).toBe(name);
  });

  test('is never a part of the script', () => {
    const command = (job: Built) => named(job, 'dump').command;
    expect(command(built({ spec: { database } }))).toEqual(command(built()));
    // In the script itself every dollar is doubled, or Kubernetes would expand $(...) before sh does.
    expect(command(built())?.[2]?.replaceAll('$$', '')).not.toContain('$');
  });
});

test('a backup without a store is an error that names it', () => {
  expect(() => built({ spec: { storage: {} } })).toThrow('make the Job of "orders": spec.storage names no store');
});
