// What the dump's container is given of the login to the database, and that no other container is.
import { describe, expect, test } from 'vitest';
import { buildJob } from '../../controller/job.ts';
import type { DatabaseSpec } from '../../crds/databasebackup.gen.ts';
import { backup, settings, window } from './builders.ts';

interface Container {
  name: string;
  command?: string[];
  env: { name: string; value?: string }[];
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}

interface Pod {
  initContainers: Container[];
  containers: Container[];
  volumes: { name: string }[];
}

function podOf(database: Partial<DatabaseSpec>): Pod {
  const whole = backup();
  const changed = { ...whole, spec: { ...whole.spec, database: { ...whole.spec.database, ...database } } };
  const trigger = { kind: 'Schedule', slot: window } as const;
  const job = buildJob({ backup: changed, settings, name: 'orders-1', image: 'mariadb:11.4', trigger });
  return (job as { spec: { template: { spec: Pod } } }).spec.template.spec;
}

function dumpOf(pod: Pod): Container {
  const found = pod.containers.find(({ name }) => name === 'dump');
  if (found === undefined) throw new Error('the pod has no dump');
  return found;
}

const envOf = (pod: Pod): Record<string, string | undefined> =>
  Object.fromEntries(dumpOf(pod).env.map(({ name, value }) => [name, value]));
const volume = (pod: Pod, name: string): object | undefined => pod.volumes.find((one) => one.name === name);

describe.each<[string, Partial<DatabaseSpec>, string]>([
  ['the Secret', {}, 'database'],
  [
    'authorities of a ConfigMap',
    { tls: { mode: 'verify-full', ca: { configMapKeyRef: { name: 'orders-ca', key: 'root.pem' } } } },
    'database-ca',
  ],
  [
    'authorities of a Secret',
    { tls: { mode: 'verify-ca', ca: { secretKeyRef: { name: 'orders-tls', key: 'ca.crt' } } } },
    'database-ca',
  ],
  ['a token of the service account', { auth: { jwt: { role: 'backup' } } }, 'database-token'],
])('%s', (_what, database, name) => {
  test('is for the container of the dump alone, and read-only there', () => {
    const pod = podOf(database);
    expect(dumpOf(pod).volumeMounts.find((mount) => mount.name === name)).toMatchObject({ readOnly: true });
    for (const other of [...pod.initContainers, ...pod.containers].filter((one) => one.name !== 'dump'))
      expect(other.volumeMounts.filter((mount) => mount.name.startsWith('database'))).toEqual([]);
  });
});

test('of the authorities one key alone is mounted, and its absence does not hang the pod', () => {
  const pod = podOf({ tls: { mode: 'verify-full', ca: { configMapKeyRef: { name: 'orders-ca', key: 'root.pem' } } } });
  expect(volume(pod, 'database-ca')).toEqual({
    name: 'database-ca',
    configMap: { name: 'orders-ca', optional: true, defaultMode: 0o440, items: [{ key: 'root.pem', path: 'ca.crt' }] },
  });
  expect(envOf(pod)).toMatchObject({
    DBBACKUP_TLS_MODE: 'verify-full',
    DBBACKUP_TLS_AUTHORITIES: 'ConfigMap "orders-ca", key "root.pem"',
  });
});

test('a token is made for the audience that the role expects, and for no API server', () => {
  const pod = podOf({ auth: { jwt: { role: 'backup', mount: 'kubernetes/shop', audience: 'bao' } } });
  expect(volume(pod, 'database-token')).toMatchObject({
    projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'bao', expirationSeconds: 3600 } }] },
  });
  expect(volume(podOf({ auth: { jwt: { role: 'backup' } } }), 'database-token')).toMatchObject({
    projected: { sources: [{ serviceAccountToken: { audience: 'openbao' } }] },
  });
  expect(volume(pod, 'database')).toBeUndefined();
  expect(envOf(pod)).toMatchObject({ DBBACKUP_JWT_ROLE: 'backup', DBBACKUP_JWT_MOUNT: 'kubernetes/shop' });
});

test('a key of a Secret is named in a variable, its value nowhere', () => {
  const pod = podOf({ auth: { tokenSecretKeyRef: { name: 'bao', key: 'root' } } });
  expect(envOf(pod)).toMatchObject({ DBBACKUP_SECRET: 'bao', DBBACKUP_TOKEN_KEY: 'root' });
  expect(dumpOf(pod).env.filter((variable) => 'valueFrom' in variable)).toEqual([]);
});

test('a server without a login has no Secret', () => {
  const { auth: _, ...database } = backup().spec.database;
  const whole = backup();
  const trigger = { kind: 'Schedule', slot: window } as const;
  const spec = { ...whole.spec, database };
  const job = buildJob({ backup: { ...whole, spec }, settings, name: 'orders-1', image: 'redis:7.2', trigger });
  const pod = (job as { spec: { template: { spec: Pod } } }).spec.template.spec;
  expect(volume(pod, 'database')).toBeUndefined();
  expect(envOf(pod)).toMatchObject({ DBBACKUP_SECRET: '', DBBACKUP_USERNAME_KEY: '', DBBACKUP_TLS_MODE: '' });
});

test('of all databases the dump is told by a variable, never by a name', () => {
  const { name: _, ...database } = backup().spec.database;
  const whole = backup();
  const trigger = { kind: 'Schedule', slot: window } as const;
  const spec = { ...whole.spec, database: { ...database, allDatabases: true as const } };
  const job = buildJob({ backup: { ...whole, spec }, settings, name: 'orders-1', image: 'postgres:16', trigger });
  const pod = (job as { spec: { template: { spec: Pod } } }).spec.template.spec;
  expect(envOf(pod)).toMatchObject({ PGDATABASE: 'postgres', DBBACKUP_ALL_DATABASES: 'true' });
});

test("what extraArgs holds are arguments of the script, which Kubernetes' own $(NAME) does not change", () => {
  const given = ['--ignore-table=$(PGHOST)', '--skip-events'];
  const { command = [] } = dumpOf(podOf({ engine: 'mariadb', extraArgs: given }));
  expect(command.slice(3)).toEqual(['dump', '--ignore-table=$$(PGHOST)', '--skip-events']);
});
