// Archives of images in the per-user cache, each named after a hash of what it is made from, so that an unchanged image is never built again.
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cacheDirectory } from '../binaries.ts';
import { withLock } from '../lock.ts';
import { type Log, withProgress } from '../progress.ts';

/** Older builds stay for clusters that still load them, and so that going back to an older commit is quick. */
const KEPT = 3;

/** A hash over texts and over the contents of files, in this order. */
export async function hashOf(texts: string[], files: string[] = []): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(texts));
  for (const file of files) hash.update(path.basename(file)).update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
}

/** Gives the archive of this name and hash. `make` writes it, with an empty directory to work in, when it is not there yet. */
export async function cachedArchive(
  name: string,
  hash: string,
  log: Log,
  make: (archive: string, work: string) => Promise<void>,
): Promise<string> {
  const directory = path.join(path.dirname(cacheDirectory()), 'images');
  const archive = path.join(directory, `${name}-${hash}.tar`);
  const there = () =>
    access(archive).then(
      () => true,
      () => false,
    );
  if (await there()) return archive;
  await mkdir(directory, { recursive: true });
  await withLock(path.join(directory, `.${name}.lock`), `building image ${name}`, log, async () => {
    if (await there()) return;
    const started = performance.now();
    const work = await mkdtemp(path.join(tmpdir(), `dbbackup-image-${name}-`));
    try {
      const partial = `${archive}.partial`;
      // buildah refuses to write over an archive, which a killed run may have left.
      await rm(partial, { force: true });
      await withProgress(`building image ${name}`, log, () => make(partial, work));
      await rename(partial, archive);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    const megabytes = Math.round((await stat(archive)).size / 1e6);
    log(`built image ${name}, ${megabytes} MB, ${((performance.now() - started) / 1000).toFixed(1)} s`);
    await removeOld(directory, name);
  });
  return archive;
}

async function removeOld(directory: string, name: string): Promise<void> {
  const names = (await readdir(directory)).filter((file) => file.startsWith(`${name}-`) && file.endsWith('.tar'));
  const aged = await Promise.all(
    names.map(async (file) => ({ file, at: (await stat(path.join(directory, file))).mtimeMs })),
  );
  for (const { file } of aged.sort((a, b) => b.at - a.at).slice(KEPT))
    await rm(path.join(directory, file), { force: true });
}
