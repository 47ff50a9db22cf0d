// validate's reading of manifests held against kubectl's own, and its verdict against a real API server's where no rule of ours speaks.
import { beforeAll, describe, expect, it } from 'vitest';
import { objectsOf } from '../../plugin/validate/objects.ts';
import { good, validateFiles } from '../plugin/manifests.ts';
import { binary } from '../rig/binaries.ts';
import { run } from '../rig/command.ts';
import { cluster } from './cluster.ts';
import { createNamespace, installCrd, world } from './controller-world.ts';

let kubectl: string;

beforeAll(async () => {
  kubectl = await binary('kubectl', (line) => process.stderr.write(`[rig] ${line}\n`));
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
    } = JSON.parse(await run([kubectl, ...args], { input: config }));
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
    const { code } = await validateFiles({ 'a.yaml': text });
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
    const server = await run([kubectl, ...create], { input: text }).then(
      () => true,
      () => false,
    );
    expect({ offline: code === 0, server }).toEqual({ offline: accepted, server: accepted });
  });
});
