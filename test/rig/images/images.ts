// The images the end-to-end tests run: ours from the current sources, and the servers they work with. None is pulled unless
// docker or podman is there, so a machine that reaches nothing but package registries can build them all.
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from '../../../build.ts';
import { binary } from '../binaries.ts';
import { run } from '../command.ts';
import type { Log } from '../progress.ts';
import { cachedArchive, hashOf } from './archive.ts';
import { buildArchive, type Engine, findEngine, pullArchive } from './engine.ts';
import { addShell, filesBelow, nodeRootfs, postgresRootfs, versitygwRootfs } from './rootfs.ts';
import { debianComponents, nodeComponent, npmComponent, spdx } from './sbom.ts';

export interface Image {
  /** With a tag that is not "latest", so that a kubelet never tries to pull it. */
  name: string;
  /** A docker archive for Cluster.loadImage. */
  archive: string;
}

export type ImageName = 'controller' | 'executor' | 'postgres' | 'versitygw';
export type Images = Record<ImageName, Image>;

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

interface Recipe {
  name: string;
  containerfile: string;
  /** What the result depends on besides the Containerfile and how root file systems are made. */
  inputs: { texts?: string[]; files?: string[] };
  fill(context: string): Promise<void>;
}

async function make(id: ImageName, recipe: Recipe, engine: Engine, log: Log): Promise<Image> {
  const { texts = [], files = [] } = recipe.inputs;
  const hash = await hashOf(
    [engine, recipe.name, process.arch, ...texts],
    [...[recipe.containerfile, here('rootfs.ts'), here('sbom.ts'), here('engine.ts')], ...files],
  );
  const archive = await cachedArchive(id, hash, log, async (partial, context) => {
    await mkdir(path.join(context, 'rootfs'));
    await copyFile(recipe.containerfile, path.join(context, 'Containerfile'));
    await recipe.fill(context);
    await buildArchive(engine, recipe.name, context, partial, log);
  });
  return { name: recipe.name, archive };
}

/** What the image is made of, where scanners look for it. */
async function writeBill(root: string, id: string, programs: string[], dist: string, taken: string[]): Promise<void> {
  const components = [nodeComponent(process.versions.node), ...(await debianComponents(taken))];
  for (const one of programs) {
    const text = await readFile(path.join(dist, `packages-${one}.json`), 'utf8');
    components.push(...(JSON.parse(text) as { name: string; version: string }[]).map(npmComponent));
  }
  const { version } = JSON.parse(await readFile(here('../../../package.json'), 'utf8')) as { version: string };
  const unique = [...new Map(components.map((one) => [one.purl, one])).values()];
  const folder = path.join(root, 'usr/share/sbom');
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, `${id}.spdx.json`), spdx(`dbbackup-${id}`, version, unique));
}

/** One of our programs: Node and the bundle, whose file names all begin with the name of the program. */
async function program(id: 'controller' | 'executor', programs: string[], dist: string, engine: Engine, log: Log) {
  const files = (await filesBelow(dist)).filter((file) => programs.some((one) => path.basename(file).startsWith(one)));
  if (files.length < programs.length) throw new Error(`build image ${id}: ${id}/main.ts is missing`);
  const recipe: Recipe = {
    name: `ghcr.io/dbbackup/${id}:dev`,
    containerfile: here(`../../../${id}/Containerfile`),
    inputs: { texts: [process.version], files },
    async fill(context) {
      const root = path.join(context, 'rootfs');
      const taken = await nodeRootfs(root);
      if (id === 'executor') taken.push(...(await addShell(root, log)));
      await writeBill(root, id, programs, dist, taken);
      for (const file of files) await cp(file, path.join(context, 'app', path.basename(file)));
    },
  };
  return make(id, recipe, engine, log);
}

async function postgres(engine: Engine, log: Log): Promise<Image> {
  if (engine !== 'buildah') {
    const name = 'postgres:16';
    const archive = await cachedArchive('postgres', await hashOf([engine, name]), log, (partial) =>
      pullArchive(engine, name, partial),
    );
    return { name, archive };
  }
  // The version that would be unpacked; a new one makes a new image.
  const candidate = /Candidate: (\S+)/.exec(await run(['apt-cache', 'policy', 'postgresql-15']))?.[1] ?? 'unknown';
  const recipe: Recipe = {
    name: 'dbbackup.test/postgres:15',
    containerfile: here('postgres/Containerfile'),
    inputs: { texts: [candidate], files: [here('postgres/docker-entrypoint.sh')] },
    fill: (context) => postgresRootfs(path.join(context, 'rootfs'), log),
  };
  return make('postgres', recipe, engine, log);
}

async function versitygw(engine: Engine, log: Log): Promise<Image> {
  const recipe: Recipe = {
    name: 'dbbackup.test/versitygw:1.8',
    containerfile: here('versitygw/Containerfile'),
    inputs: { texts: [await binary('versitygw', log)] },
    fill: (context) => versitygwRootfs(path.join(context, 'rootfs'), log),
  };
  return make('versitygw', recipe, engine, log);
}

const all: ImageName[] = ['controller', 'executor', 'postgres', 'versitygw'];

export interface ImagesRequest<N extends ImageName> {
  /** All four when absent. */
  names?: N[];
  /** The one that answers when absent. */
  engine?: Engine;
}

/** Builds those that changed since the last time and gives all. One after the other: they would only fight for the disk. */
export async function buildImages<N extends ImageName = ImageName>(
  request: ImagesRequest<N>,
  log: Log,
): Promise<Pick<Images, N>> {
  const names: ImageName[] = request.names ?? all;
  const engine = request.engine ?? (await findEngine());
  const images: Partial<Images> = {};
  const dist = await mkdtemp(path.join(tmpdir(), 'dbbackup-dist-'));
  try {
    if (names.includes('controller') || names.includes('executor')) await build({ outdir: dist, log });
    for (const name of names) {
      if (name === 'controller') images.controller = await program(name, ['controller', 'webhook'], dist, engine, log);
      else if (name === 'executor') images.executor = await program(name, ['executor'], dist, engine, log);
      else images[name] = await { postgres, versitygw }[name](engine, log);
    }
    return images as Pick<Images, N>;
  } finally {
    await rm(dist, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const names = process.argv.slice(2).filter((word): word is ImageName => (all as string[]).includes(word));
  const images = await buildImages(names.length > 0 ? { names } : {}, (line) => console.error(line));
  console.log(JSON.stringify(images, null, 2));
}
