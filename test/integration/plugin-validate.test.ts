// validate as a process: how it ends, what it loads, both tools that render. And its reading of YAML held against kubectl and a real API server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectsOf } from '../../plugin/validate/objects.ts';
import { recipient } from '../crds/backup.ts';
import { goodManifest, writeOverlay, wrongManifest } from '../demo/overlay.ts';
import { good } from '../plugin/manifests.ts';
import { binary } from '../rig/binaries.ts';
import { run as runProgram } from '../rig/command.ts';
import { cluster } from './cluster.ts';
import { createNamespace, installCrd, world } from './controller-world.ts';

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
  const own = /plugin\/validate\/|rules\/(validate|unknown-fields)\.ts|node_modules\/ajv\//;
  for (const command of ['version', '--help', 'describe a', 'trigger a', 'list-snapshots', 'restore-locate a']) {
    const loaded = await loads(...command.split(' '));
    expect(loaded).toContain('yargs');
    expect([command, own.exec(loaded)?.[0]]).toEqual([command, undefined]);
  }
  const loaded = await loads('validate', '-f', await file('loaded.yaml', good()));
  expect(loaded).toMatch(/node_modules\/ajv\//);
  expect(loaded).not.toMatch(/client-node|undici/);
});

describe('reads as kubectl does', () => {
  const scalars = [
    ...[
      'yes',
      'Yes',
      'YES',
      'yEs',
      'y',
      'Y',
      'no',
      'NO',
      'n',
      'on',
      'On',
      'off',
      'OFF',
      'true',
      'True',
      'tRUE',
      'False',
    ],
    ...[
      '~',
      'null',
      'Null',
      'nUll',
      '',
      '017',
      '0o17',
      '0O17',
      '0x1F',
      '0X1f',
      '+0x1f',
      '0b11',
      '-0b11',
      '0b2',
      '0x',
      '00',
      '08',
      '09.5',
    ],
    ...[
      '1_000',
      '1__0',
      '_1',
      '-_5',
      '._5',
      '.1_0',
      '0_7',
      '0x_1F',
      '1:30',
      '190:20:30',
      '1e3',
      '1E5',
      '1e+3',
      '1.5e3',
      '1e',
      '1e400',
      '1e-400',
    ],
    ...[
      '.5',
      '-.5',
      '+.5',
      '5.',
      '0.',
      '.',
      '...',
      '+',
      '-0',
      '-0.0',
      '+5',
      '-5',
      '1.2.3',
      '2020-01-01',
      '2020-01-01T00:00:00Z',
      '=',
      '<<',
    ],
    ...[
      '99999999999999999999',
      '9223372036854775808',
      '0x10000000000000000',
      '0777777777777777777777777',
      '12345678901234',
    ],
    ...[
      '!!str 5',
      '!!str yes',
      '!!str',
      '! 5',
      '!!int "5"',
      '!!float 3',
      '!!bool yes',
      "!!null ''",
      '!foo bar',
      '!!binary aGk=',
      '!!timestamp 2020-01-01',
    ],
    ...[
      "'yes'",
      '"5"',
      '""',
      "'it''s'",
      '"a\\tb\\x41\\u00e9"',
      'a b # c',
      '[a, ]',
      '{a: b, c}',
      '[a: b]',
      '|\n  a\n  b',
      '>-\n  a\n  b\n\n  c',
    ],
  ];
  const documents = [
    ...['on: 1', 'yes: {no: 1}', '1: 2', '1.5: 2', '0x10: 1', '1_0: z', '1e3: 1', '"on": 1', '? a', '2020-01-01: a'],
    ...['b: &x 5\nc: *x', 'b: &x\nc: *x', 'b: &x 1\nc: &x 2\nd: *x', 'c: {"<<": {a: 1}}', 'c: {<<: {<<: {z: 1}}}'],
    ...['b: &b {q: 1}\nc: {<<: *b, r: 2}', 'b: &b {q: 1}\nc: {<<: *b, q: 2}', 'b: &b {q: 1}\nc: {q: 2, <<: *b}'],
    ...['b: &b {q: 1}\nb2: &b2 {q: 2}\nc: {<<: [*b, *b2]}', 'b: &b {q: 1}\nb2: &b2 {q: 2}\nc:\n  <<: *b\n  <<: *b2'],
    ...['a: 1\nb:\tc', 'a: "x\n  y"', 'a: x\n  y', 'a:\n- 1\n-  - 2\n   - 3', '__proto__: {a: 1}', 'a: !!set {x, z}'],
  ];
  // What is refused there must be refused here; the words are ours.
  const refused = [
    ...[
      'a: .inf',
      'a: -.Inf',
      'a: .nan',
      'a: !!int x',
      'a: !!int 1.5',
      'a: !!bool x',
      'a: !!null x',
      'a: !!float abc',
      '~: 1',
      '[a]: 1',
    ],
    ...[
      '? {a: b}\n: c',
      'a: *b',
      'a: &a [*a]',
      'c: {<<: 5}',
      'c: {<<: [5]}',
      'c: {<<: }',
      'a: @x',
      'a: `x',
      'a: x: y',
      "a: 'b' c",
      'a: {b: c',
      'a: *',
    ],
    ...['a: - b', 'a: |\n  x\n y', '\ta: b', 'a: "\\q"'],
  ];
  const document = (text: string): string =>
    `apiVersion: dbbackup.io/v1alpha1\nkind: DatabaseBackup\nmetadata: {name: a, annotations: {x: z}}\n${text}\n`;

  /** What kubectl would send; --local asks no server, and knows only kinds of its own. */
  async function sent(text: string): Promise<unknown> {
    const args = ['annotate', '--local', '-f', '-', '-o', 'json', 'x=z'] as const;
    const config = document(text).replace('dbbackup.io/v1alpha1', 'v1').replace('DatabaseBackup', 'ConfigMap');
    const {
      apiVersion: _a,
      kind: _k,
      metadata: _m,
      ...rest
    } = JSON.parse(await runProgram([tools.kubectl, ...args], { input: config }));
    return rest;
  }

  function read(text: string): { value: unknown; problems: number } {
    const [found] = [...objectsOf(document(text))];
    if (found === undefined || found === 'foreign' || 'at' in found) return { value: undefined, problems: 1 };
    const problems = found.findings.length;
    const { apiVersion: _a, kind: _k, metadata: _m, ...rest } = { ...(found.value as Record<string, unknown>) };
    return { value: JSON.parse(JSON.stringify(rest)), problems };
  }

  it('every scalar', async () => {
    const list = scalars.map((scalar, n) => `k${n}: ${scalar}`).join('\n');
    expect(read(list)).toEqual({ value: await sent(list), problems: 0 });
  });

  it.each(documents)('%j', async (text) => {
    expect(read(text)).toEqual({ value: await sent(text), problems: 0 });
  });

  it.each(refused)('refused: %j', async (text) => {
    expect(read(text).problems).toBeGreaterThan(0);
    await expect(sent(text)).rejects.toThrow(/error/);
  });
});

describe('agrees with the API server about what no rule of ours says', () => {
  const namespace = 'validate-test';
  let kubeconfig: string;

  beforeAll(async () => {
    kubeconfig = (await cluster()).kubeconfig;
    const api = world(kubeconfig);
    await installCrd(api);
    await createNamespace(api, namespace);
  });

  const named = (text: string): string => good().replace('  name: orders\n', text);
  it.each([
    ['as it is', true, good()],
    ['a field that is null', true, good().replace('spec:\n', 'spec:\n  timeZone:\n')],
    ['a required field that is null', false, good().replace('retention: {keepLast: 3}', 'retention:')],
    ['an unknown field', false, good('orders', 'unknown: 1\n')],
    ['an unknown field in depth', false, good().replace('{name: orders-db}', '{name: orders-db, namespace: x}')],
    ['an unknown field of metadata', false, named('  name: orders\n  lable: {}\n')],
    ['an unknown field of status', false, good('orders', 'status: {x: 1}\n')],
    ['a status of a wrong shape, which nobody stores', true, good('orders', 'status: {phase: 5}\n')],
    ['no name', false, named('  labels: {}\n')],
    ['a generated name', true, named('  generateName: orders-\n')],
    ['a name in capitals', false, named('  name: Orders\n')],
    ['a name with dots', true, named('  name: orders.daily\n')],
    ['a name that is a number', false, named('  name: 5\n')],
    ['a label that is a number', false, named('  name: orders\n  labels: {a: 1}\n')],
    ['a label that is null', true, named('  name: orders\n  labels: {a: }\n')],
    ['a label with a space', false, named('  name: orders\n  labels: {a: "b c"}\n')],
    ['labels that are a list', false, named('  name: orders\n  labels: [a]\n')],
    ['an annotation without a name', false, named('  name: orders\n  annotations: {a/: b}\n')],
    ['annotations that are too large', false, named(`  name: orders\n  annotations: {a: ${'x'.repeat(270_000)}}\n`)],
    ['a word for true', true, good().replace('spec:\n', 'spec:\n  suspend: on\n')],
    ['a text for true', false, good().replace('spec:\n', 'spec:\n  suspend: "true"\n')],
    ['no spec', false, good().slice(0, good().indexOf('spec:'))],
    ['another version', false, good().replace('v1alpha1', 'v1')],
    ['another kind', false, good().replace('DatabaseBackup', 'DatabaseBackups')],
  ])('%s', async (_what, accepted, text) => {
    const { code } = await plugin(['validate', '-'], { input: text });
    const create = [
      'create',
      '--kubeconfig',
      kubeconfig,
      '-n',
      namespace,
      '--dry-run=server',
      '--validate=strict',
      '-f',
      '-',
    ] as const;
    const server = await runProgram([tools.kubectl, ...create], { input: text }).then(
      () => true,
      () => false,
    );
    expect({ offline: code === 0, server }).toEqual({ offline: accepted, server: accepted });
  });
});
