// What validate makes of files: every way to write an object down, every way to get that wrong, and what nobody should be able to make it do.
import { describe, expect, it } from 'vitest';
import { good, validateFiles } from './manifests.ts';

async function lines(content: string | Buffer): Promise<string> {
  const { stdout, stderr } = await validateFiles({ 'a.yaml': content });
  return stdout === '' ? stderr : stdout;
}

const fine = (objects: number, passedOver = 0): string =>
  `0 errors, 0 warnings in ${objects} object${objects === 1 ? '' : 's'}; ${passedOver} document${passedOver === 1 ? '' : 's'} of other kinds passed over\n`;

const indented = (text: string, by: string): string => text.trimEnd().replaceAll('\n', `\n${by}`);

describe('one object in any writing', () => {
  it.each([
    ['with a byte order mark', `\ufeff${good()}`],
    ['with Windows line ends', good().replaceAll('\n', '\r\n')],
    ['between comments and markers', `# a\n---\n# b\n---\n${good()}...\n---\n# c\n`],
    ['with a directive', `%YAML 1.1\n---\n${good()}`],
    [
      'by anchor, alias and merge',
      good()
        .replace('auth: {secretRef: {name: orders-db}}', 'auth: &a {secretRef: &b {name: orders-db}}')
        .replace('auth: {secretRef: {name: s3-credentials}}', 'auth: {<<: *a, secretRef: *b}'),
    ],
    ['in a list', `apiVersion: v1\nkind: List\nitems:\n  - ${indented(good(), '    ')}\n`],
    [
      'in a typed list',
      `apiVersion: dbbackup.io/v1alpha1\nkind: DatabaseBackupList\nitems:\n  - ${indented(good().replace(/^api.*\nkind.*\n/, ''), '    ')}\n`,
    ],
    ['without a name, but with the start of one', good().replace('  name: orders', '  generateName: orders-')],
    ['with words that YAML 1.1 takes for true', good().replace('spec:\n', 'spec:\n  suspend: on\n')],
    ['with numbers that YAML 1.1 takes for octal', good().replace('keepLast: 3', 'keepLast: 010')],
    [
      'with labels of several parts',
      good().replace('  name: orders', '  name: orders\n  labels: {app.kubernetes.io/name: x}'),
    ],
  ])('%s', async (_how, text) => {
    expect(await lines(text)).toBe(fine(1));
  });

  it('as JSON, one after the other', async () => {
    const object = { apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup', metadata: { name: 'A' }, spec: {} };
    const text = `${JSON.stringify(object)}\n${JSON.stringify(object, null, '\t')}\n`;
    const { stdout } = await validateFiles({ 'a.json': text }, { output: 'json' });
    const { objects, findings } = JSON.parse(stdout) as {
      objects: number;
      findings: { line: number; column: number; field: string }[];
    };
    expect(objects).toBe(2);
    const names = findings.filter(({ field }) => field === 'metadata.name').map(({ line, column }) => [line, column]);
    expect(names.slice(0, 2)).toEqual([
      [1, 74],
      [6, 3],
    ]);
  });
});

describe('nothing of ours', () => {
  it.each([
    ['an empty file', '', 0],
    ['only comments', '# a\n---\n# b\n', 0],
    ['null', 'null\n---\n~\n', 0],
    ['a text', 'hello', 1],
    ['a list', '- a\n- b\n', 1],
    ['a kind of the same name of somebody else', 'apiVersion: other.example.com/v1\nkind: DatabaseBackup\n', 1],
    ['a list of other things', 'apiVersion: v1\nkind: List\nitems: [{kind: Pod}, 5]\n', 2],
    ['twice the same key in another kind', 'kind: A\nkind: B\n', 1],
  ])('%s', async (_what, text, passedOver) => {
    expect(await lines(text)).toBe(fine(0, passedOver));
  });

  it('ten thousand documents', async () => {
    const text = 'apiVersion: v1\nkind: ConfigMap\n---\n'.repeat(10_000);
    expect(await lines(`${text}${good()}`)).toBe(fine(1, 10_000));
  });
});

describe('what cannot be read is a finding with a place', () => {
  it.each([
    [
      'bytes that are no text',
      Buffer.from([0x89, 0x50, 0xff, 0xfe, 0]),
      '1:1: error: is not UTF-8 text; save it as UTF-8, or leave it out',
    ],
    ['a zero byte', good('a\0b'), '4:10: error: holds the control character U+0000; remove it'],
    [
      'a tab before a key',
      good().replace('  name: orders\n', '\tname: orders\n'),
      '4:1: error: is not YAML: Tabs are not allowed as indentation; correct it; nothing of this document was checked',
    ],
    ['a bracket without its other', 'a:\n  - [b\n', expect.stringMatching(/^2:\d+: error: is not YAML: /)],
    ['a template', '{{- if .Values.x }}\na: b\n{{- end }}\n', expect.stringMatching(/^1:\d+: error: is not YAML: /)],
    [
      'an anchor that is not there',
      'a: 1\nb: *nope\n',
      '2:4: error: refers to the unknown anchor "nope"; write &nope where its value stands, before this',
    ],
    [
      'an anchor that comes later',
      'a: *x\nb: &x 1\n',
      '1:4: error: refers to the unknown anchor "x"; write &x where its value stands, before this',
    ],
    [
      'more than 3 MiB',
      `# ${'x'.repeat(3 * 1024 * 1024)}\n`,
      '1:1: error: is larger than 3 MiB; split it; the API server takes no more',
    ],
    ['more than 64 MiB', Buffer.alloc(64 * 1024 * 1024 + 1, 'a'), '1:1: error: is larger than 64 MiB; split it'],
    ['brackets without end', '['.repeat(3_000_000), '1:1: error: is nested too deeply; flatten it'],
    ['dashes without end', `${'- '.repeat(1_000_000)}a`, '1:1: error: is nested too deeply; flatten it'],
    ['questions without end', `${'? '.repeat(1_000_000)}a`, '1:1: error: is nested too deeply; flatten it'],
    [
      'steps without end',
      Array.from({ length: 200 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
      '1:1: error: is nested too deeply; write it out, and shorter',
    ],
  ])('%s', async (_what, content, expected) => {
    const [first = '', ...more] = (await lines(content)).split('\n');
    expect(first.replace('a.yaml:', '')).toEqual(expected);
    expect(more).toEqual(['']);
  });

  it('and the other documents are judged all the same', async () => {
    const text = `${good('a')}---\n[\n---\n${good('B')}`;
    expect((await lines(text)).split('\n').map((line) => line.split(':').slice(0, 3).join(':'))).toEqual([
      'a.yaml:21:2',
      'a.yaml:26:3',
      '',
    ]);
  });

  it.each([
    [
      'aliases of aliases',
      `x0: &x0 [${'a,'.repeat(10)}]\n${Array.from({ length: 9 }, (_, n) => `x${n + 1}: &x${n + 1} [${`*x${n},`.repeat(10)}]\n`).join('')}`,
      'holds more than 50000 values once its aliases are unfolded',
    ],
    [
      'merges of merges',
      `x0: &x0 {a: 1}\n${Array.from({ length: 30 }, (_, n) => `x${n + 1}: &x${n + 1} {<<: [*x${n}, *x${n}]}\n`).join('')}`,
      'holds more than 50000 values once its aliases are unfolded',
    ],
    [
      'aliases of a long text',
      `x: &x "${'y'.repeat(1_000_000)}"\ny: [${'*x,'.repeat(100)}]\n`,
      'is larger than 3 MiB once its aliases are unfolded',
    ],
    ['an alias of itself', 'x: &x [*x]\n', 'contains itself by an alias'],
    ['a merge of itself', 'x: &x {<<: *x}\n', 'contains itself by an alias'],
  ])('%s', async (_what, more, message) => {
    expect(await lines(good('orders', more))).toBe(`a.yaml:1:1: error: ${message}; write it out, and shorter\n`);
  });
});

describe('what is read, but is not what it seems', () => {
  const one = async (more: string, replaced = ''): Promise<string> =>
    (await lines(good('orders', more).replace('  retention: {keepLast: 3}\n', replaced === '' ? '$&' : replaced)))
      .trimEnd()
      .replaceAll('a.yaml:', '');

  it.each([
    ['a key that is there twice', 'kind: DatabaseBackup\n', '20:1: error: kind: is there twice; keep one of them'],
    ['a key that is no text', '? [a]\n: b\n', '20:3: error: has a key that is no text; write a text before the colon'],
    ['a merge of no map', '<<: 5\n', '20:1: error: merges what is no map; let << refer to a map, or to a list of maps'],
    [
      'a key that is a boolean',
      'on: 1\n',
      '20:1: error: true: is not a known field; remove it; known here are apiVersion, kind, metadata, spec, status',
    ],
    [
      'a key that is a prototype',
      '__proto__: {a: 1}\n',
      '20:1: error: __proto__: is not a known field; remove it; known here are apiVersion, kind, metadata, spec, status',
    ],
  ])('%s', async (_what, more, expected) => {
    expect(await one(more)).toBe(expected);
  });

  it.each([
    [
      'not a number',
      '.nan',
      '19:25: error: spec.retention.keepLast: is no number that JSON can hold; put it in quotes if it is a text',
    ],
    [
      'a tag that does not fit',
      '!!int x',
      '19:31: error: spec.retention.keepLast: cannot be read as int; put it in quotes if it is a text',
    ],
  ])('%s', async (_what, value, expected) => {
    expect((await one('', `  retention: {keepLast: ${value}}\n`)).split('\n')[1] ?? '').toBe(expected);
  });

  it('an empty field counts as absent, and that is said', async () => {
    expect(await one('', '  retention: {keepLast: 3, keepWithin: }\n')).toBe(
      '19:28: warning: spec.retention.keepWithin: is empty, which is the same as absent; give it a value, or remove the line',
    );
    expect(await one('', '  retention:\n')).toBe(
      [
        '19:3: warning: spec.retention: is empty, which is the same as absent; give it a value, or remove the line',
        '19:3: error: spec.retention: is required; add it to spec',
      ].join('\n'),
    );
  });

  it('a thousand mistakes stay a page', async () => {
    const more = Array.from({ length: 40_000 }, (_, n) => `k${n}: 1\n`).join('');
    expect((await one(more)).split('\n')).toHaveLength(100);
    const long =
      (await one('')).length +
      (await lines(good().replace(/recipients: .*/, `recipients: [${'a,'.repeat(2000)}]}}`))).length;
    expect(long).toBeLessThan(300);
    // Six seconds of processor time, which a busy machine gives slowly.
  }, 120_000);

  it('escape sequences of a terminal are shown, not sent', async () => {
    expect(await lines(good('"a\\e[2J"'))).not.toMatch(new RegExp(String.fromCharCode(27)));
  });
});
