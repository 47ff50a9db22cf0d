// `npm run build`: the release files in dist/, one bundle a program, each started once to see that it stands on its own.
// controller.mjs, webhook.mjs and executor.mjs (with its chunks) go into the images; kubectl-dbbackup and its completion onto a PATH.
import { execFile } from 'node:child_process';
import { access, chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build as bundle } from 'esbuild';

const START_MS = 20_000;

interface Program {
  entry: string;
  output: string;
  options: BuildOptions;
}

const images: BuildOptions = {
  format: 'esm',
  target: 'node24',
  // Packages that are still CommonJS ask for require, which an ES module does not have.
  banner: {
    js: "import { createRequire as bundledCreateRequire } from 'node:module'; const require = bundledCreateRequire(import.meta.url);",
  },
};

/**
 * One file without extension, to be copied anywhere: the package.json that happens to be near decides whether Node takes it for
 * CommonJS or for an ES module, so it is written to be both. process.getBuiltinModule stands in where there is no require.
 */
const anywhere: BuildOptions = {
  format: 'iife',
  target: 'node22',
  banner: {
    js: [
      '#!/usr/bin/env node',
      // The HTTP client inside fails on an older one, with a message that helps nobody.
      'if (Number.parseInt(process.versions.node, 10) < 22) {',
      '  console.error(`kubectl-dbbackup needs Node 22.19 or newer, this is ${process.versions.node}: install a newer Node.js`);',
      '  process.exit(1);',
      '}',
      "var require = typeof require === 'function' ? require : (name) => process.getBuiltinModule(name);",
      "const __url = require('node:url').pathToFileURL(process.argv[1]).href;",
    ].join('\n'),
  },
  define: { 'import.meta.url': '__url', 'import.meta.main': 'true' },
};

/** What becomes of every source. */
export const release: BuildOptions = {
  bundle: true,
  platform: 'node',
  minify: true,
  // Logs and reasons name error classes.
  keepNames: true,
  // import() of a CommonJS package would give its default export only.
  mainFields: ['module', 'main'],
  legalComments: 'eof',
  logLevel: 'warning',
};

const programs: Program[] = [
  { entry: 'controller/main.ts', output: 'controller.mjs', options: images },
  { entry: 'webhook/main.ts', output: 'webhook.mjs', options: images },
  // A backup to one kind of storage does not pay for the SDKs of the others: each is a chunk, loaded by import().
  { entry: 'executor/main.ts', output: 'executor.mjs', options: { ...images, splitting: true } },
  { entry: 'plugin/main.ts', output: 'kubectl-dbbackup', options: anywhere },
];
const completion = 'kubectl_complete-dbbackup';

export interface BuildRequest {
  outdir?: string;
  log: (line: string) => void;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** Names and versions of the npm packages that a bundle holds something of, for its bill of materials. */
async function packagesOf(inputs: readonly string[]): Promise<{ name: string; version: string }[]> {
  const folders = inputs.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  const unique = [...new Set(folders)].filter((folder) => folder !== undefined);
  const read = async (folder: string) => {
    const { name, version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    return { name: name ?? folder, version: version ?? '' };
  };
  // The same version may be installed in two places.
  const found = (await Promise.all(unique.map(read))).map((one) => [`${one.name}@${one.version}`, one] as const);
  return [...new Map(found.sort(([a], [b]) => (a < b ? -1 : 1))).values()];
}

async function bundleOne({ entry, output, options }: Program, outdir: string, version: string): Promise<void> {
  const extension = output.endsWith('.mjs') ? '.mjs' : '';
  const name = output.slice(0, output.length - extension.length);
  const { metafile } = await bundle({
    ...release,
    ...options,
    metafile: true,
    entryPoints: { [name]: entry },
    outdir,
    outExtension: { '.js': extension === '' ? '.js' : extension },
    chunkNames: `${name}-[name]-[hash]`,
    define: { ...options.define, 'process.env.DBBACKUP_VERSION': JSON.stringify(version) },
  });
  const packages = await packagesOf(Object.keys(metafile.inputs));
  await writeFile(join(outdir, `packages-${name}.json`), `${JSON.stringify(packages, null, 2)}\n`);
  if (extension === '') {
    await copyFile(join(outdir, `${name}.js`), join(outdir, output));
    await rm(join(outdir, `${name}.js`));
    await chmod(join(outdir, output), 0o755);
  }
}

/** Asks a program for its version where nothing of this repository is near, which finds what was left out of the bundle. */
async function start(outdir: string, output: string, version: string): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), 'dbbackup-build-'));
  try {
    const name = output.replace(/\.mjs$/, '');
    const files = (await readdir(outdir)).filter((file) => file === output || file.startsWith(`${name}-`));
    // With and without a package.json that makes plain files ES modules.
    for (const [folder, settings] of [
      ['module', '{"type":"module"}'],
      ['plain', '{}'],
    ] as const) {
      await mkdir(join(place, folder));
      await writeFile(join(place, folder, 'package.json'), settings);
      for (const file of files) await copyFile(join(outdir, file), join(place, folder, file));
      const { stdout } = await promisify(execFile)(process.execPath, [join(place, folder, output), '--version'], {
        timeout: START_MS,
        env: { PATH: process.env['PATH'] },
      });
      if (!stdout.includes(version)) throw new Error(`it printed ${JSON.stringify(stdout)}, not ${version}`);
    }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(`start ${output} --version: it must print its version within ${START_MS / 1000} s: ${detail}`);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** Builds what there is into `outdir` and gives the names of the programs. Throws when one cannot be built or does not start. */
export async function build({ outdir = 'dist', log }: BuildRequest): Promise<string[]> {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  await rm(outdir, { recursive: true, force: true });
  await mkdir(outdir, { recursive: true });
  const built: string[] = [];
  for (const program of programs) {
    if (!(await exists(program.entry))) continue;
    const started = performance.now();
    await bundleOne(program, outdir, version);
    await start(outdir, program.output, version);
    const size = (await stat(join(outdir, program.output))).size / 1024 / 1024;
    log(`built ${program.output}, ${size.toFixed(1)} MB, ${((performance.now() - started) / 1000).toFixed(1)} s`);
    built.push(program.output);
  }
  if (await exists(join('plugin', completion))) {
    await copyFile(join('plugin', completion), join(outdir, completion));
    await chmod(join(outdir, completion), 0o755);
    built.push(completion);
  }
  return built;
}

if (import.meta.main) {
  try {
    const built = await build({ log: (line) => console.log(line) });
    if (built.length === 0) console.log('nothing to build yet');
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
