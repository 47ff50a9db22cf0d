// validate as a process: how it ends, what it loads, both tools that render, and what the project itself shows.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recipient } from '../crds/backup.ts';
import { goodManifest, writeOverlay, wrongManifest } from '../demo/overlay.ts';
import { good } from '../plugin/manifests.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';

const main = fileURLToPath(new URL('../../plugin/main.ts', import.meta.url));
const example = 'kustomize/examples/orders';
const log = (line: string) => process.stderr.write(`[rig] ${line}\n`);

let folder: string;
let tools: { kubectl: string; kustomize: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dbbackup-validate-test-'));
  tools = { kubectl: await binary('kubectl', log), kustomize: await binary('kustomize', log) };
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Surroundings {
  path?: string;
  input?: string;
  preload?: string;
}

async function plugin(args: string[], { path = '', input = '', preload }: Surroundings = {}): Promise<Ended> {
  const env = { PATH: path, HOME: folder, KUBECONFIG: join(folder, 'none') };
  const words = [...(preload === undefined ? [] : ['--import', preload]), main, ...args];
  const child = spawn(process.execPath, words, { env, stdio: 'pipe' });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
  // A command that does not read its input may have ended before it was written.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  await once(child, 'close');
  return { code: child.exitCode, ...written };
}

/** A PATH on which only these tools are. */
async function pathWith(...names: (keyof typeof tools)[]): Promise<string> {
  const path = join(folder, `bin-${names.join('-')}`);
  await mkdir(path, { recursive: true });
  for (const name of names) await symlink(tools[name], join(path, name)).catch(() => {});
  return path;
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text);
  return join(folder, name);
}

describe('it ends', () => {
  it('with 0 when all is well, with 1 when something is wrong, with 2 when it was called wrongly', async () => {
    const [right, wrong] = [
      await file('right.yaml', good()),
      await file('wrong.yaml', good().replace('keepLast: 3', '')),
    ];
    expect(await plugin(['validate', '-f', right])).toEqual({
      ...{ code: 0, stdout: '' },
      stderr: '0 errors, 0 warnings in 1 object; 0 documents of other kinds passed over\n',
    });
    expect(await plugin(['validate', '-f', right, '-f', wrong])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`${wrong}:19:3: error: spec.retention: keeps nothing; `),
      stderr: expect.stringMatching(/^error: 2 errors, 0 warnings in 2 objects; /),
    });
    for (const args of [
      [],
      ['-f'],
      ['-f', join(folder, 'none')],
      ['--no'],
      ['-o', 'xml', '-f', right],
      ['-k', folder],
      [right],
    ])
      expect([args, await plugin(['validate', ...args])]).toEqual([
        args,
        expect.objectContaining({ code: 2, stdout: '' }),
      ]);
  });

  it('with 1 where --strict makes a warning an error', async () => {
    const path = await file('risky.yaml', good().replace('postgres:16', 'postgres:latest'));
    expect(await plugin(['validate', '-f', path])).toMatchObject({ code: 0 });
    expect(await plugin(['validate', '-f', path, '--strict'])).toMatchObject({ code: 1 });
  });

  it('reads its input in any way to write that', async () => {
    for (const args of [['-'], ['-f', '-'], ['-f-'], ['--filename=-'], ['-o', 'json', '-'], ['--strict', '-']]) {
      const ended = await plugin(['validate', ...args], { input: good().replace('orders\n', 'ORDERS\n') });
      expect([args, ended.code, ended.stdout]).toEqual([args, 1, expect.stringMatching(/stdin(:4:3|",\n)/)]);
    }
  });

  it('reads a pipe that a shell made a path of', async () => {
    const line = `'${process.execPath}' '${main}' validate -f <(printf 'a: [')`;
    await expect(run(['bash', '-c', line])).rejects.toThrow(/\/dev\/fd\/\d+:1:5: error: is not YAML: /);
  });

  it('as JSON that is whole, however long', async () => {
    const input = Array.from({ length: 2000 }, (_, n) => good(`b${n}`, 'unknown: 1\n')).join('---\n');
    const ended = await plugin(['validate', '-o', 'json', '-'], { input });
    const report = JSON.parse(ended.stdout) as { objects: number; findings: unknown[] };
    expect([ended.code, report.objects, report.findings.length]).toEqual([1, 2000, 2000]);
  });
});

describe('-k', () => {
  it.each(['kustomize', 'kubectl'] as const)(
    'renders with %s, and leads to the file that can be mended',
    async (tool) => {
      const ended = await plugin(['validate', '-k', example], { path: await pathWith(tool) });
      const text = await readFile(`${example}/databasebackup.yaml`, 'utf8');
      const line = text.split('\n').findIndex((one) => one.trim() === '- age1...') + 1;
      expect(ended.code).toBe(1);
      expect(ended.stdout).toMatch(
        new RegExp(
          `^${example}/databasebackup\\.yaml:${line}:11: error: spec\\.encryption\\.age\\.recipients\\[0\\]: "age1\\.\\.\\.": [^\n]+\n$`,
        ),
      );
    },
  );

  it('speaks of the rendered stream where a transformer made the field', async () => {
    const overlay = join(folder, 'overlay');
    await mkdir(overlay, { recursive: true });
    const patch = '[{"op": "replace", "path": "/spec/schedule", "value": "61 * * * *"}]';
    const kustomization = `resources: [a.yaml]\nnamespace: shop\npatches: [{target: {kind: DatabaseBackup}, patch: '${patch}'}]\n`;
    await writeFile(join(overlay, 'kustomization.yaml'), kustomization);
    await writeFile(join(overlay, 'a.yaml'), good('orders', 'unknown: 1\n'));
    const { stdout } = await plugin(['validate', '-k', overlay], { path: await pathWith('kustomize', 'kubectl') });
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(`^${overlay}:\\d+:3: error: spec\\.schedule: "61 `),
      expect.stringContaining(`${overlay}/a.yaml:20:1: error: unknown: is not a known field; `),
      '',
    ]);
  });

  it('makes a finding of what cannot be rendered', async () => {
    const broken = join(folder, 'broken');
    await mkdir(broken, { recursive: true });
    await writeFile(join(broken, 'kustomization.yaml'), 'resources: [none.yaml]\n');
    const { code, stdout } = await plugin(['validate', '-k', broken, '-o', 'github'], {
      path: await pathWith('kustomize'),
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^::error file=[^\n]+,line=1,col=1::cannot be rendered: kustomize build: [^\n]+none\.yaml[^\n]+\n$/,
    );
  });

  it('names both tools when neither is there', async () => {
    const { code, stderr } = await plugin(['validate', '-k', example], { path: join(folder, 'nothing') });
    expect(code).toBe(2);
    expect(stderr).toContain('neither kustomize nor kubectl is on the PATH');
  });
});

describe('what the project itself shows', () => {
  const options = () => ({ folder, namespace: 'shop', image: 'postgres:16.4', recipient });

  it('the manifests of the demo', async () => {
    const path = await pathWith('kustomize');
    const right = await writeOverlay(options(), 'demo-right', goodManifest(options()));
    const wrong = await writeOverlay(options(), 'demo-wrong', wrongManifest(options()));
    expect(await plugin(['validate', '-k', right], { path })).toMatchObject({ code: 0 });
    const ended = await plugin(['validate', '-f', wrong]);
    expect(ended.stderr).toMatch(/^error: 5 errors, 1 warning in 1 object; 1 document /);
  });

  it('the example, once it has a key', async () => {
    const input = (await readFile(`${example}/databasebackup.yaml`, 'utf8')).replace('age1...', recipient);
    expect(await plugin(['validate', '-', '--strict'], { input })).toMatchObject({ code: 0, stdout: '' });
  });

  it('all that is installed is of other kinds', async () => {
    const { code, stdout } = await plugin(['validate', '-f', 'crds', 'kustomize/base', 'kustomize/overlays']);
    expect([code, stdout]).toEqual([0, '']);
  });
});

it('no other command loads what only this one needs, and this one no client', async () => {
  const hook = `import { registerHooks } from 'node:module';
    import { writeSync } from 'node:fs';
    registerHooks({ resolve(name, context, next) {
      const found = next(name, context);
      writeSync(2, 'loads ' + found.url + '\\n');
      return found;
    } });`;
  const preload = await file('loads.mjs', hook);
  const loads = async (...args: string[]): Promise<string> => {
    const { stderr } = await plugin(args, { preload });
    return stderr.replaceAll(/^(?!loads ).*\n/gm, '');
  };
  const own = /plugin\/validate\/|rules\/(validate|unknown-fields)\.ts|\.gen\.m?js|node_modules\/ajv\//;
  for (const command of ['version', '--help', 'describe a', 'trigger a', 'list-snapshots', 'restore-locate a']) {
    const loaded = await loads(...command.split(' '));
    expect(loaded).toContain('yargs');
    expect([command, own.exec(loaded)?.[0]]).toEqual([command, undefined]);
  }
  const loaded = await loads('validate', '-f', await file('loaded.yaml', good()));
  expect(loaded).toMatch(own);
  expect(loaded).not.toMatch(/client-node|undici/);
});
