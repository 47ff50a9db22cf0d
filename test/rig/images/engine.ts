// Turns a Containerfile and its context into an archive a cluster can load: with docker or podman where one answers, otherwise with buildah.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from '../command.ts';
import { debianPackages } from '../debian.ts';
import type { Log } from '../progress.ts';

export type Engine = 'docker' | 'podman' | 'buildah';

/** A command line may be there without an engine behind it, so it is asked. */
export async function findEngine(): Promise<Engine> {
  for (const engine of ['docker', 'podman'] as const) {
    const answers = await run([engine, 'info'], { timeoutMs: 10_000 }).then(
      () => true,
      () => false,
    );
    if (answers) return engine;
  }
  if (process.getuid?.() === 0) return 'buildah';
  throw new Error(
    'build images: neither docker nor podman answers, and buildah needs root: start docker, or run as root',
  );
}

/** Builds `<context>/Containerfile` under this name and writes it as a docker archive. */
export async function buildArchive(engine: Engine, name: string, context: string, archive: string, log: Log) {
  if (engine !== 'buildah') {
    await run([engine, 'build', '--quiet', '--tag', name, '--file', path.join(context, 'Containerfile'), context]);
    await run([engine, 'save', '--output', archive, name]);
    return;
  }
  await debianPackages(['buildah'], log);
  // A storage of its own: nothing of other images on this machine is seen, and nothing stays.
  const storage = await mkdtemp(path.join(tmpdir(), 'dbbackup-buildah-'));
  const place = ['--root', path.join(storage, 'root'), '--runroot', path.join(storage, 'run')];
  const buildah = (...args: string[]) => run(['buildah', ...place, '--storage-driver', 'vfs', ...args]);
  try {
    // The same files give the same image, whenever they were written.
    const build = ['bud', '--quiet', '--isolation', 'chroot', '--timestamp', '0', '--tag', name];
    await buildah(...build, '--file', path.join(context, 'Containerfile'), context);
    await buildah('push', '--quiet', name, `docker-archive:${archive}:${name}`);
  } finally {
    await rm(storage, { recursive: true, force: true });
  }
}

/** Fetches a published image and writes it as an archive; only an engine with a network can. */
export async function pullArchive(engine: Engine, name: string, archive: string): Promise<void> {
  await run([engine, 'pull', '--quiet', name]);
  await run([engine, 'save', '--output', archive, name]);
}
