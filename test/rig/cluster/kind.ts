// A cluster made by kind, for machines with a container engine. Tested against recorded programs only: no engine was at
// hand where this was written, so it has not been run for real.
import { access, constants, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { binary } from '../binaries.ts';
import { run } from '../command.ts';
import { withLock } from '../lock.ts';
import { type Log, withProgress } from '../progress.ts';
import type { Cluster } from './cluster.ts';
import { kubeconfigFile, lockFile, readState, rigDirectory, writeState } from './state.ts';

export interface Kind {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
}

/** An engine's client may be there without its daemon, and then waits for it. */
const ENGINE_MS = 10_000;

const clusterName = (name: string): string => `dbbackup-${name}`;

/** The program to call, or an error saying which part is missing. */
export async function kindAvailable(log: Log, env: NodeJS.ProcessEnv = process.env): Promise<Kind> {
  const silent: string[] = [];
  for (const engine of ['docker', 'podman']) {
    try {
      await run([engine, 'info'], { env, timeoutMs: ENGINE_MS });
    } catch (error) {
      const missing = error instanceof Error && error.message.includes('ENOENT');
      silent.push(`${engine} ${missing ? 'is not installed' : 'does not answer'}`);
      continue;
    }
    const program = (await onPath('kind', env)) ?? (await binary('kind', log, env));
    return { program, env: engine === 'podman' ? { ...env, KIND_EXPERIMENTAL_PROVIDER: 'podman' } : env };
  }
  throw new Error(`no container engine: ${silent.join(', ')}`);
}

async function onPath(program: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  for (const directory of (env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(directory, program);
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return null;
}

export async function startKind(name: string, kind: Kind, log: Log): Promise<Cluster> {
  const started = await withLock(lockFile(name), `starting or stopping the rig "${name}"`, log, async () => {
    const names = (await run([kind.program, 'get', 'clusters'], { env: kind.env })).split('\n');
    const there = names.includes(clusterName(name));
    if (there && (await readState(name))?.phase === 'ready') return false;
    if (there) await deleteKind(name, kind);
    await rm(rigDirectory(name), { recursive: true, force: true });
    await mkdir(rigDirectory(name), { recursive: true });
    const state = { provider: 'kind', name, hasNode: true } as const;
    await writeState({ ...state, phase: 'starting' });
    const create = ['create', 'cluster', '--name', clusterName(name), '--kubeconfig', kubeconfigFile(name)];
    try {
      await withProgress(`kind create cluster "${clusterName(name)}"`, log, () =>
        run([kind.program, ...create, '--wait', '180s'], { env: kind.env }),
      );
    } catch (error) {
      await deleteKind(name, kind).catch(() => {});
      await rm(rigDirectory(name), { recursive: true, force: true });
      throw error;
    }
    await writeState({ ...state, phase: 'ready' });
    return true;
  });
  return kindCluster(name, kind, started, log);
}

function kindCluster(name: string, kind: Kind, started: boolean, log: Log): Cluster {
  const load = [kind.program, 'load', 'image-archive', '--name', clusterName(name)] as const;
  return {
    provider: 'kind',
    name,
    kubeconfig: kubeconfigFile(name),
    hasNode: true,
    exec: [],
    hostAddress: null,
    async loadImage(archive) {
      await run([...load, path.resolve(archive)], { env: kind.env });
    },
    async stop() {
      if (started) await stopKind(name, kind, log);
    },
  };
}

export async function stopKind(name: string, kind: Kind, log: Log): Promise<void> {
  await withLock(lockFile(name), `starting or stopping the rig "${name}"`, log, async () => {
    await deleteKind(name, kind);
    await rm(rigDirectory(name), { recursive: true, force: true });
  });
}

async function deleteKind(name: string, kind: Kind): Promise<void> {
  await run([kind.program, 'delete', 'cluster', '--name', clusterName(name), '--kubeconfig', kubeconfigFile(name)], {
    env: kind.env,
  });
}
