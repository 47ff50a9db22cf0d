// The images by themselves: each starts in a pod as a user nobody has heard of, with a read-only root, and never pulled.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { cluster, images } from './cluster.ts';

const namespace = 'images';
let kubectl: (args: string[], input?: string) => Promise<string>;

interface Container {
  args?: readonly string[];
  command?: readonly string[];
  env?: Record<string, string>;
}

function pod(name: string, image: string, { env = {}, ...container }: Container): object {
  const mounts = { '/tmp': 'tmp', '/var/lib/postgresql/data': 'db', '/data': 'objects' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: { runAsUser: 12345, runAsGroup: 12345, fsGroup: 12345, runAsNonRoot: true },
      containers: [
        {
          name,
          image,
          ...container,
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
          imagePullPolicy: 'IfNotPresent',
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: Object.entries(mounts).map(([mountPath, subPath]) => ({ name: 'scratch', mountPath, subPath })),
        },
      ],
      volumes: [{ name: 'scratch', emptyDir: {} }],
    },
  };
}

const server = ['--for=condition=Ready', '--timeout=120s'];
const program = ['--for=jsonpath={.status.phase}=Succeeded', '--timeout=120s'];

beforeAll(async () => {
  const { exec, kubeconfig } = await cluster();
  const file = await binary('kubectl', () => {});
  kubectl = (args, input = '') => {
    const [first = file, ...rest] = [...exec, file, `--kubeconfig=${kubeconfig}`, `--namespace=${namespace}`, ...args];
    return run([first, ...rest], { input });
  };
  await kubectl(['create', 'namespace', namespace]);
});

afterAll(async () => {
  await kubectl(['delete', 'namespace', namespace, '--wait=false', '--ignore-not-found']);
});

async function start(name: string, image: string, container: Container, until: string[]): Promise<void> {
  await kubectl(['create', '-f', '-'], JSON.stringify(pod(name, image, container)));
  await kubectl(['wait', `pod/${name}`, ...until]);
}

test.each([
  ['controller', 'controller', { args: ['/app/controller.mjs', '--version'] }, /^\d+\.\d+\.\d+/],
  ['webhook', 'controller', { args: ['/app/webhook.mjs', '--version'] }, /^\d+\.\d+\.\d+/],
  ['executor', 'executor', { args: ['--version'] }, /^\d+\.\d+\.\d+/],
  ['fifo', 'executor', { command: ['/bin/sh', '-c', 'mkfifo /tmp/fifo && echo made'] }, /^made/],
] as const)('%s says what it is asked', async (name, image, container, expected) => {
  await start(name, images()[image].name, container, program);
  expect(await kubectl(['logs', name])).toMatch(expected);
});

test('the database makes its data directory, asks for the password and answers', async () => {
  const env = {
    POSTGRES_USER: 'shop',
    POSTGRES_PASSWORD: 'secret',
    POSTGRES_DB: 'orders',
    PGDATA: '/var/lib/postgresql/data/pgdata',
  };
  await start('postgres', images().postgres.name, { env }, server);
  // Ready says that the process runs; the first start takes a moment more.
  const where = 'host=127.0.0.1 user=shop dbname=orders connect_timeout=2';
  const until = `i=0; until pg_isready -q -d '${where}' || [ $i -ge 60 ]; do sleep 1; i=$((i + 1)); done`;
  const ask = (password: string) =>
    kubectl([
      'exec',
      'postgres',
      '--',
      'sh',
      '-c',
      `${until}; psql 'password=${password} ${where}' -Atc 'select 6 * 7'`,
    ]);
  expect((await ask('secret')).trim()).toBe('42');
  await expect(ask('wrong')).rejects.toThrow('password authentication failed');
});

test('the object store listens', async () => {
  const env = { ROOT_ACCESS_KEY: 'rig', ROOT_SECRET_KEY: 'rig-secret' };
  await start('versitygw', images().versitygw.name, { env }, server);
  await expect.poll(() => kubectl(['logs', 'versitygw']), { timeout: 60_000 }).toContain(':7070');
});
