// A backup of any engine into a folder, outside a cluster: the real executor and the engine's own script in a process namespace of its own;
// then its restore, by the manifest's lines or by the script of a restore's pod.
import { spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { paths, runFiles, type Task } from '../../crds/rules/contract.ts';
import type { Verdict } from '../../crds/rules/contract-commands.ts';
import type { Access, DatabaseTask } from '../../crds/rules/engines/engine.ts';
import { dumpEnvironment } from '../../crds/rules/engines/environment.ts';
import { dumpScript, restoreScript } from '../../crds/rules/engines/script.ts';
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import { decodeManifest, type Manifest } from '../../crds/rules/manifest.ts';
import { run } from '../rig/command.ts';
import { type Ended, Pod, taskFor } from './pod.ts';

export interface Source {
  engine: EngineName;
  database: DatabaseTask;
  access: Access;
  /** Keys of the database's Secret. */
  keys?: Record<string, string>;
  /** The service account token, where the engine logs in with one. */
  token?: string;
  /** Text of the file of authorities. */
  authorities?: string;
  /** Folders searched before the machine's own programs. */
  tools?: string[];
  /** Arguments of the dump, or of the restore. */
  arguments?: string[];
  task?: Partial<Task>;
}

export interface Backup extends Ended {
  pod: Pod;
  /** Names in the store. */
  names: string[];
  /** Of the snapshot, where there is one. */
  manifest: Manifest | undefined;
}

interface Process {
  output: string;
  code: number;
}

async function folders(root: string, source: Source): Promise<void> {
  for (const [name, value] of Object.entries(source.keys ?? {}))
    await writeFile(join(root, paths.databaseSecret, name), value);
  if (source.token !== undefined) await writeFile(join(root, paths.databaseToken, 'token'), source.token);
  if (source.authorities !== undefined)
    await writeFile(join(root, paths.databaseAuthorities, 'ca.crt'), source.authorities);
}

/** Runs a script as process 1 of its own namespace, as in a container: it ends its processes with `kill -1`. */
function contain(script: string, source: Source, env: NodeJS.ProcessEnv = {}): Promise<Process> {
  const variables = dumpEnvironment(engines[source.engine], source.database, source.access);
  const asUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const inside = ['sh', '-c', `[ "$$" -eq 1 ] || exit 99\n${script}`, 'dump', ...(source.arguments ?? [])];
  const child = spawn('unshare', [...asUser, '--pid', '--fork', '--kill-child', '--mount-proc', ...inside], {
    env: {
      PATH: [...(source.tools ?? []), process.env['PATH']].join(':'),
      ...Object.fromEntries(variables.map(({ name, value }) => [name, value])),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done({ output, code: code ?? 128 }));
  });
}

const verdicts: Record<string, Verdict> = { Fail: 'refuse', Skip: 'skip', Overwrite: 'overwrite' };

export interface Restoring {
  /** Name of the database that was dumped, where it is another than that of the target. */
  dumped?: string;
  /** Version of the tool that dumped, as a manifest has it. */
  tool?: string;
  /** What happens after the first look at the target. */
  meanwhile?: () => Promise<unknown>;
}

/** What the executor does in a restore's pod: it looks at what the target holds, says what to do, gives the dump, and says that it was all. */
async function conduct(
  folder: string,
  file: string,
  details: [ifNotEmpty: string, dumped: string, tool: string],
  meanwhile: Restoring['meanwhile'],
  signal: AbortSignal,
): Promise<void> {
  let facts = '';
  while (facts === '' && !signal.aborted) {
    facts = await readFile(join(folder, runFiles.facts), 'utf8').catch(() => '');
    await pause(50);
  }
  const isEmpty = /^contents=\s*0\s*$/m.test(facts);
  await meanwhile?.();
  const verdict = isEmpty ? 'restore' : (verdicts[details[0]] ?? 'refuse');
  await writeFile(join(folder, `${runFiles.verdict}.part`), `${[verdict, ...details].join('\n')}\n`);
  await rename(join(folder, `${runFiles.verdict}.part`), join(folder, runFiles.verdict));
  const feeder = spawn('sh', ['-c', 'cat "$1" > "$2"', 'feed', file, join(folder, runFiles.fifo)], { stdio: 'ignore' });
  const stop = () => feeder.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  await new Promise((done) => feeder.once('close', done));
  await writeFile(join(folder, runFiles.complete), '');
}

export class EngineRuns {
  readonly #pods: Pod[] = [];
  readonly #folders: string[] = [];

  /** @param whileItRuns with the pod's root, once both containers run */
  async backup(source: Source, whileItRuns?: (root: string) => Promise<void>): Promise<Backup> {
    const storage = { kind: 'directory', claimName: 'backups' } as const;
    const task = taskFor(storage, {}, { engine: source.engine, database: source.database, ...source.task });
    const pod = await Pod.create(task, {});
    this.#pods.push(pod);
    await folders(pod.root, source);
    await pod.prepare().ended;
    const dumping = contain(dumpScript(engines[source.engine], pod.root), source);
    const executor = pod.backup();
    await whileItRuns?.(pod.root);
    const [dump] = await Promise.all([dumping, executor.ended]);
    const ended = await pod.conclude(executor);
    const volume = pod.path(paths.volume);
    const files = await readdir(volume, { recursive: true, withFileTypes: true });
    const names = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
    const record = names.find((name) => name.endsWith('.snap.json'));
    const manifest =
      record === undefined
        ? undefined
        : decodeManifest(await readFile(record, 'utf8'), record.slice(volume.length + 1).replace(/\.json$/, ''));
    return { ...ended, output: `${ended.output}\n${dump.output}`, pod, names, manifest };
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'dbbackup-restore-'));
    this.#folders.push(folder);
    return folder;
  }

  /** Runs the manifest's own lines in a folder that holds the snapshot. What they print. */
  async restoreByHand({ names, manifest }: Backup, env: NodeJS.ProcessEnv): Promise<string> {
    const folder = await this.folder();
    for (const name of names.filter((one) => one.endsWith('.snap')))
      await copyFile(name, join(folder, `${manifest?.id}.snap`));
    const script = `exec 2>&1\n${manifest?.restore.join('\n')}`;
    return run(['sh', '-c', script], { cwd: folder, env: { PATH: process.env['PATH'], ...env } });
  }

  /** Runs the script of a restore's pod over the bytes of a dump. */
  async restore(
    source: Source,
    dump: Buffer,
    ifNotEmpty = 'Fail',
    { dumped = source.database.name ?? '', tool = '', meanwhile }: Restoring = {},
  ): Promise<Process & { exit: string; error: string }> {
    const root = await this.folder();
    for (const path of Object.values(paths)) await mkdir(join(root, path), { recursive: true });
    await folders(root, source);
    const fifo = join(root, paths.run, runFiles.fifo);
    await run(['mkfifo', fifo]);
    const file = join(root, 'dump');
    await writeFile(file, dump);
    const running = contain(restoreScript(engines[source.engine], root), source);
    const feeder = new AbortController();
    const conducting = conduct(join(root, paths.run), file, [ifNotEmpty, dumped, tool], meanwhile, feeder.signal);
    const ended = await running;
    feeder.abort();
    await conducting;
    const read = (name: string) => readFile(join(root, paths.run, name), 'utf8').catch(() => '');
    return { ...ended, exit: (await read(runFiles.exit)).trim(), error: await read(runFiles.error) };
  }

  /**
   * A folder with a program of its own to stand before the real one.
   * @param body POSIX shell; "$REAL" is the real program
   */
  async tool(name: string, real: string, body: string): Promise<string> {
    const folder = await this.folder();
    await writeFile(join(folder, name), `#!/bin/sh\nREAL=${real}\n${body}\n`);
    await chmod(join(folder, name), 0o755);
    return folder;
  }

  async remove(): Promise<void> {
    for (const pod of this.#pods.splice(0)) await pod.remove();
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
}
