// validate as transcripts: what it prints in each form, where it points, how it ends.
import { expect, it } from 'vitest';
import { good, validateFiles } from './manifests.ts';

const counted = (count: string, rest = '0 documents of other kinds passed over'): string => `${count}; ${rest}\n`;

const wrong = good()
  .replace('"0 1 * * *"', '"61 * * * *"')
  .replace('postgres:16', 'postgres:latest')
  .replace('retention:', 'retentoin:')
  .replace('      bucket: backups\n', '');

it('one finding a line, with its place, and the counts beside them', async () => {
  const { stdout, stderr, code } = await validateFiles({ 'a.yaml': `# ours\n---\n${wrong}` });
  expect(stdout).toMatchInlineSnapshot(`
    "a.yaml:7:1: error: spec.retention: is required; add it to spec
    a.yaml:8:3: error: spec.schedule: "61 * * * *": minute "61" is out of range 0-59; use 0 to 59
    a.yaml:11:5: warning: spec.database.image: "postgres:latest": its version may change under the dump; name a version or a digest
    a.yaml:16:5: error: spec.storage.s3.bucket: is required; add it to spec.storage.s3
    a.yaml:20:3: error: spec.retentoin: is not a known field; did you mean retention?
    "
  `);
  expect(stderr).toBe(`error: ${counted('4 errors, 1 warning in 1 object')}`);
  expect(code).toBe(1);
});

it('nothing to say', async () => {
  const foreign = 'apiVersion: v1\nkind: ConfigMap\n---\nreplicas: 3\n';
  expect(
    await validateFiles({ 'a.yaml': good(), 'b/c.yml': foreign, 'd.json': '{"kind": "Pod"}', 'e.txt': '[' }),
  ).toEqual({
    stdout: '',
    stderr: counted('0 errors, 0 warnings in 1 object', '3 documents of other kinds passed over'),
    code: 0,
  });
});

it('warnings end well, and with --strict they are errors', async () => {
  const files = { 'a.yaml': good().replace('postgres:16', 'postgres:latest') };
  expect(await validateFiles(files)).toMatchObject({ code: 0, stdout: expect.stringContaining(':9:5: warning: ') });
  expect(await validateFiles(files, { strict: true })).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(':9:5: error: spec.database.image: "postgres:latest": '),
    stderr: `error: ${counted('1 error, 0 warnings in 1 object')}`,
  });
});

it('as JSON, with these members and no others', async () => {
  const { stdout, code } = await validateFiles(
    {
      'a.yaml': `${good().replace('name: orders\n', 'name: orders\n  namespace: shop\n').replace('keepLast: 3', 'keepLast: 0')}---\n[`,
    },
    { output: 'json' },
  );
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    objects: 1,
    passedOver: 0,
    findings: [
      {
        ...{ file: 'a.yaml', line: 20, column: 15, kind: 'DatabaseBackup', namespace: 'shop', name: 'orders' },
        ...{ field: 'spec.retention.keepLast', severity: 'error', message: '0: must be >= 1' },
        fix: expect.stringContaining('Keeps this many'),
      },
      {
        ...{ file: 'a.yaml', line: 22, column: 2, kind: '', namespace: '', name: '', field: '', severity: 'error' },
        message: expect.stringContaining('is not YAML: '),
        fix: 'correct it; nothing of this document was checked',
      },
    ],
  });
});

it('as JSON, empty', async () => {
  const { stdout } = await validateFiles({ 'a.yaml': '' }, { output: 'json' });
  expect(JSON.parse(stdout)).toEqual({ objects: 0, passedOver: 0, findings: [] });
});

it('as SARIF 2.1.0', async () => {
  const { stdout, code } = await validateFiles({ 'ä b.yaml': wrong }, { output: 'sarif' });
  const log: unknown = JSON.parse(stdout);
  expect(code).toBe(1);
  expect(log).toMatchObject({
    $schema: expect.stringContaining('sarif-2.1.0'),
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'kubectl-dbbackup', version: '1.2.3' } }, columnKind: 'utf16CodeUnits' }],
  });
  const [run] = (log as { runs: { tool: { driver: { rules: { id: string }[] } }; results: Result[] }[] }).runs;
  expect(run?.results).toHaveLength(5);
  for (const { ruleId, ruleIndex, level, message, locations } of run?.results ?? []) {
    expect(run?.tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
    expect(['error', 'warning']).toContain(level);
    expect(message.text).toMatch(/^[\w.]+: .+; .+|did you mean/);
    const [place] = locations;
    expect(decodeURIComponent(place?.physicalLocation.artifactLocation.uri ?? '')).toMatch(/ä b\.yaml$/);
    expect(place?.physicalLocation.artifactLocation.uri).toMatch(/^file:\/\/[^ ]+$/);
    expect(place?.physicalLocation.region.startLine).toBeGreaterThan(4);
    expect(place?.physicalLocation.region.startColumn).toBeGreaterThan(0);
  }
});

interface Result {
  ruleId: string;
  ruleIndex: number;
  level: string;
  message: { text: string };
  locations: {
    physicalLocation: { artifactLocation: { uri: string }; region: { startLine: number; startColumn: number } };
  }[];
}

it('as workflow commands, with what GitHub would misread escaped', async () => {
  const manifest = good().replace('postgres:16', '"postgres:16%0A::error::x\\r\\n"');
  const { stdout } = await validateFiles({ 'a,b:c%.yaml': manifest }, { output: 'github' });
  expect(stdout).toMatchInlineSnapshot(`
    "::error file=a%2Cb%3Ac%25.yaml,line=9,col=5::spec.database.image: "postgres:16%250A::error::x\\r\\n": is malformed; Image that the dump runs in. Use the database's own image, so that the tools fit the server. It needs sh and the engine's client tools, see docs/engines.md.
    "
  `);
});

it('reads standard input, as an option and as a word', async () => {
  const stdin = good().replace('0 1 *', '0 99 *');
  for (const options of [{ filename: ['-'] }, { filename: [], input: '-' }])
    expect(await validateFiles({}, { ...options, stdin })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^stdin:6:3: error: spec\.schedule: "0 99 \* \* \*": /),
    });
});

it('a file named twice is one', async () => {
  expect(await validateFiles({ 'a.yaml': good() }, { filename: ['a.yaml', '.', './a.yaml'] })).toMatchObject({
    code: 0,
    stderr: counted('0 errors, 0 warnings in 1 object'),
  });
});

it('passes by what is no part of the manifests', async () => {
  const files = { 'a.yaml': good(), '.git/b.yaml': '[', 'node_modules/c.json': '[', 'd.md': '[' };
  expect(await validateFiles(files)).toMatchObject({ code: 0 });
});

it.each([
  ['no input', { filename: [] }, 'name what to validate: -f FILE or FOLDER, -k FOLDER, or - for standard input'],
  ['a path that is not there', { filename: ['b.yaml'] }, 'read "b.yaml": there is no such file or folder'],
  ['a path through a file', { filename: ['a.yaml/b'] }, 'read "a.yaml/b": a part of the path is no folder'],
  ['a folder without manifests', { filename: ['empty'] }, 'read "empty": it holds no *.yaml, *.yml or *.json file'],
  [
    'a file as an argument',
    { filename: [], input: 'a.yaml' },
    'unknown argument "a.yaml": files and folders are named by -f',
  ],
])('refuses %s', async (_what, options, message) => {
  expect(await validateFiles({ 'a.yaml': good(), 'empty/a.txt': '' }, options)).toEqual({
    ...{ stdout: '', code: 2 },
    stderr: `error: ${message}\n`,
  });
});

it('two of one name: the second is wrong', async () => {
  const other = good().replace('orders-db\n', 'other-db\n');
  const { stdout, code } = await validateFiles({ 'a.yaml': good(), 'b.yaml': other });
  expect(stdout).toBe(
    'b.yaml:4:3: error: metadata.name: "orders": is there already, in a.yaml:4; rename or remove one of them\n',
  );
  expect(code).toBe(1);
  const elsewhere = other.replace('  name: orders\n', '  name: orders\n  namespace: shop\n');
  expect(await validateFiles({ 'a.yaml': good(), 'b.yaml': elsewhere })).toMatchObject({ code: 0, stdout: '' });
});

it('two that write to one place: both are told', async () => {
  const second = good('second').replace('second-db', 'orders-db.shop.svc');
  expect(await validateFiles({ 'a.yaml': `${good()}---\n${second}` })).toEqual({
    code: 0,
    stderr: counted('0 errors, 2 warnings in 2 objects'),
    stdout: [
      'a.yaml:13:3: warning: spec.storage: has the storage, prefix and cluster of second (a.yaml:24); set another pathPrefix or database.cluster on one of them\n',
      'a.yaml:33:3: warning: spec.storage: has the storage, prefix and cluster of orders (a.yaml:4); set another pathPrefix or database.cluster on one of them\n',
    ].join(''),
  });
  const apart = [
    second.replace('  storage:\n', '  storage:\n    pathPrefix: b\n'),
    second.replace('bucket: backups', 'bucket: others'),
    second.replace('    host:', '    cluster: second\n    host:'),
    second.replace('  name: second\n', '  name: second\n  namespace: shop\n'),
  ];
  for (const one of apart)
    expect(await validateFiles({ 'a.yaml': good(), 'b.yaml': one })).toMatchObject({ stdout: '' });
});
