// A backup's pod outside a cluster: the real executor as a process, the real dump script in a process namespace of its own, and the
// folders that they share. What Kubernetes would do between them is done here.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  decodeResult,
  encodeTask,
  paths,
  type Result,
  type StorageTask,
  type Task,
} from '../../crds/rules/contract.ts';
import { dumpEnvironment } from '../../crds/rules/engines/environment.ts';
import { dumpScript, restoreScript } from '../../crds/rules/engines/script.ts';
import { engines } from '../../crds/rules/engines/table.ts';

const program = fileURLToPath(new URL('../../executor/main.ts', import.meta.url));

/** What the image gives Node before the program. */
async function imageFlags(): Promise<string[]> {
  const containerfile = await readFile(new URL('../../executor/Containerfile', import.meta.url), 'utf8');
  const [, ...rest] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(containerfile)?.[1] ?? '[]') as string[];
  return rest.slice(0, -1);
}
const flags = await imageFlags();

export interface Database {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  bin: string;
}

export function taskFor(storage: StorageTask, database: Partial<Database>, over: Partial<Task> = {}): Task {
  return {
    version: 1,
    owner: { clusterUid: '5f1d5a56-0000-4000-8000-000000000001', namespace: 'shop', name: 'orders' },
    cluster: 'orders-db',
    pathPrefix: 'postgres/daily',
    trigger: 'Schedule',
    time: '2026-03-01T01:00:00Z',
    engine: 'postgres',
    image: 'postgres:15',
    database: {
      host: database.host ?? '127.0.0.1',
      port: database.port ?? 5432,
      name: database.database ?? 'orders',
    },
    storage,
    compression: { algorithm: 'zstd', level: 3 },
    recipients: [],
    retention: { keepLast: 3, maxDeletesPerRun: 10 },
    limits: { firstByteSeconds: 60, stallSeconds: 60, deadlineSeconds: 3600 },
    ...over,
  };
}

/** One container: its process, what it printed, and how it ended. */
export interface Container {
  child: ChildProcess;
  output(): string;
  /** The exit code, 128 when a signal ended it. */
  ended: Promise<number>;
  kill(signal: NodeJS.Signals): void;
}

function start(command: string, args: string[], env: NodeJS.ProcessEnv): Container {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const ended = new Promise<number>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done(code ?? 128));
  });
  return { child, output: () => output, ended, kill: (signal) => child.kill(signal) };
}

export interface Ended {
  /** Exit code of the container that decided: prepare where it failed, else executor. */
  code: number;
  result: Result | undefined;
  /** Everything that any container printed, and the termination message. */
  output: string;
}

export class Pod {
  readonly root: string;
  readonly #task: Task;
  readonly #jobUid: string;
  readonly #containers: Container[] = [];

  private constructor(root: string, task: Task, jobUid: string) {
    this.root = root;
    this.#task = task;
    this.#jobUid = jobUid;
  }

  /**
   * @param keys files of the storage's Secret
   * @param volume a folder of another pod to be the claim's volume here too
   */
  static async create(task: Task, keys: Record<string, string>, jobUid = 'job-1', volume?: string): Promise<Pod> {
    const pod = new Pod(await mkdtemp(join(tmpdir(), 'dbbackup-pod-')), task, jobUid);
    for (const path of Object.values(paths)) await mkdir(pod.path(path), { recursive: true });
    if (volume !== undefined) {
      await rmdir(pod.path(paths.volume));
      await symlink(volume, pod.path(paths.volume));
    }
    await writeFile(pod.message, '');
    for (const [name, value] of Object.entries(keys)) await writeFile(join(pod.path(paths.storageSecret), name), value);
    return pod;
  }

  /** Where one of the pod's own paths is on this machine. */
  path(inside: string): string {
    return join(this.root, inside);
  }

  get message(): string {
    return join(this.root, 'termination-log');
  }

  /** @param env variables beside those of the task; @param main the executor as it was built, in place of its source */
  executor(command: string, env: NodeJS.ProcessEnv = {}, main = program): Container {
    const variables = encodeTask(this.#task, { lockEpoch: '', lastSize: '' });
    const task = variables.find(({ name }) => name === 'DBBACKUP_TASK')?.value?.replaceAll('$$', '$') ?? '';
    const container = start(process.execPath, [...flags, main, command], {
      PATH: process.env['PATH'],
      DBBACKUP_ROOT: this.root,
      DBBACKUP_STORE_MAY_BE_LOCAL: '1',
      TERMINATION_LOG: this.message,
      DBBACKUP_TASK: task,
      DBBACKUP_JOB_UID: this.#jobUid,
      ...env,
    });
    this.#containers.push(container);
    return container;
  }

  prepare(env: NodeJS.ProcessEnv = {}, main = program): Container {
    return this.executor('prepare', env, main);
  }

  backup(env: NodeJS.ProcessEnv = {}, main = program): Container {
    return this.executor('backup', env, main);
  }

  /** @param tools a folder searched before the database's own programs */
  dump(login: Pick<Database, 'user' | 'password' | 'bin'>, tools?: string): Promise<Container> {
    return this.#beside(login, dumpScript(engines[this.#task.engine], this.root), [], tools);
  }

  /** The restore container, see dump. */
  restore(login: Pick<Database, 'user' | 'password' | 'bin'>, args: string[] = [], tools?: string): Promise<Container> {
    return this.#beside(login, restoreScript(engines[this.#task.engine], this.root), args, tools);
  }

  /**
   * Starts a script as process 1 of its own namespace, as in a container: it ends its processes with `kill -1`, which must reach
   * nothing outside.
   */
  async #beside(
    { user, password, bin }: Pick<Database, 'user' | 'password' | 'bin'>,
    shell: string,
    programArgs: string[],
    tools?: string,
  ): Promise<Container> {
    await writeFile(join(this.path(paths.databaseSecret), 'username'), user);
    await writeFile(join(this.path(paths.databaseSecret), 'password'), password);
    const engine = engines[this.#task.engine];
    const secret = { name: 'orders-db', keys: { username: 'username', password: 'password' } };
    const variables = dumpEnvironment(engine, this.#task.database, { secret });
    const script = `[ "$$" -eq 1 ] || exit 99\n${shell}`;
    const asUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
    const args = [
      ...asUser,
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'sh',
      '-c',
      script,
      'sh',
      ...programArgs,
    ];
    const container = start('unshare', args, {
      PATH: [...(tools === undefined ? [] : [tools]), bin, process.env['PATH']].join(':'),
      ...Object.fromEntries(variables.map(({ name, value }) => [name, value])),
    });
    this.#containers.push(container);
    return container;
  }

  /** What the controller would read of the pod. */
  async conclude(decisive: Container): Promise<Ended> {
    const code = await decisive.ended;
    const message = await readFile(this.message, 'utf8');
    const output = [...this.#containers.map((one) => one.output()), message].join('\n');
    return { code, result: decodeResult(message), output };
  }

  /** The whole pod: prepare, then dump and executor side by side. */
  async run(database: Pick<Database, 'user' | 'password' | 'bin'>, tools?: string): Promise<Ended> {
    const prepare = this.prepare();
    if ((await prepare.ended) !== 0) return this.conclude(prepare);
    const dump = await this.dump(database, tools);
    const executor = this.backup();
    await Promise.all([dump.ended, executor.ended]);
    return this.conclude(executor);
  }

  async remove(): Promise<void> {
    for (const { child } of this.#containers) if (child.exitCode === null) child.kill('SIGKILL');
    await Promise.all(this.#containers.map(({ ended }) => ended.catch(() => {})));
    await rm(this.root, { recursive: true, force: true });
  }
}
