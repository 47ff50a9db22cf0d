// Engine command: a program's own dump comes back through its own way in, its exit code decides, and no shell reads its words.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { expectFailure } from '../executor/engine-outcome.ts';
import { EngineRuns, type Source } from '../executor/engine-run.ts';
import { run } from '../rig/command.ts';
import { debianPackages } from '../rig/debian.ts';

const runs = new EngineRuns();
const raw = { compression: { algorithm: 'none', level: 0 } } as const;

beforeAll(() => debianPackages(['sqlite3', 'tar'], (line) => console.error(line)));
afterEach(() => runs.remove());

const source = (command: string[], restoreCommand: string[], over: Partial<Source> = {}): Source => ({
  engine: 'command',
  database: { host: 'files.shop.svc', port: 0, restoreCommand },
  access: {},
  arguments: command,
  ...over,
});

test('a database of SQLite comes back by hand', async () => {
  const folder = await runs.folder();
  const [from, to] = [join(folder, "or'ders.db"), join(folder, 'new $(x) orders.db')];
  const content = `
    create table "Größe ""漢字""" (id integer primary key, text, blob);
    insert into "Größe ""漢字""" (text, blob) values ('it''s' || char(10, 13, 9) || '$(echo x) \`y\`', x'00ff01'), (null, zeroblob(3));
    create table empty (a); create view v as select 1; create index i on empty (a);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into empty select i from n;`;
  await run(['sqlite3', from], { input: content });
  const backup = await runs.backup(source(['sqlite3', from, '.dump'], ['sqlite3', '-bail', to]));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded', engineVersion: '', identity: '' });
  await runs.restoreByHand(backup, {});
  expect(await run(['sqlite3', to, '.dump'])).toBe(await run(['sqlite3', from, '.dump']));
});

test('a folder comes back by the script of a restore', async () => {
  const [from, to] = [await runs.folder(), await runs.folder()];
  await mkdir(join(from, 'a b'));
  await writeFile(join(from, 'a b', 'ü\n"c"'), Buffer.from([0, 1, 255, 10]));
  const dump = ['tar', '-C', from, '-cf', '-', '.'];
  const backup = await runs.backup(source(dump, ['tar', '-C', to, '-xf', '-'], { task: raw }));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const bytes = await readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '');
  const ended = await runs.restore(source(['tar', '-C', to, '-xf', '-'], ['tar']), bytes);
  expect(ended.exit, ended.output).toBe('0 -');
  expect(await readFile(join(to, 'a b', 'ü\n"c"'))).toEqual(Buffer.from([0, 1, 255, 10]));
});

test('no shell reads a word of the command, nor of the restore', async () => {
  const words = ['$(touch /tmp/dbbackup-e2)', '`id`', '; exit 7', "it's", '-n', '*', '$HOME', 'a\nb'];
  const folder = await runs.folder();
  const show = ['sh', '-c', 'cat > "$0"; printf "[%s]" "$@" >> "$0"', join(folder, 'seen')];
  const backup = await runs.backup(source(['printf', '[%s]', ...words], [...show, ...words], { task: raw }));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const expected = words.map((one) => `[${one}]`).join('');
  expect(await readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '', 'utf8')).toBe(expected);
  await runs.restoreByHand(backup, {});
  expect(await readFile(join(folder, 'seen'), 'utf8')).toBe(`${expected}${expected}`);
});

test('the command finds host, port, authorities and the keys of its Secret', async () => {
  const script =
    'printf "%s %s " "$DBBACKUP_HOST" "$DBBACKUP_PORT"; cat "$DBBACKUP_KEYS/api-key" "$DBBACKUP_AUTHORITIES"';
  const from = source(['sh', '-c', script], ['cat'], {
    task: raw,
    database: { host: 'files.shop.svc', port: 8443, restoreCommand: ['cat'] },
    access: {
      secret: { name: 'files', keys: {} },
      tls: { mode: 'verify-ca', authorities: 'Secret "ca", key "ca.crt"' },
    },
    keys: { 'api-key': 'canary-key' },
    authorities: ' CERTIFICATE',
  });
  const backup = await runs.backup(from);
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const dump = await readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '', 'utf8');
  expect(dump).toBe('files.shop.svc 8443 canary-key CERTIFICATE');
  expect(backup.output).not.toContain('canary-key');
});

test('a Secret that is missing, or has no keys, is told by its name', async () => {
  const access = { secret: { name: 'files-login', keys: {} } };
  const message = /read Secret "files-login": it is missing or has no keys$/;
  expectFailure(await runs.backup(source(['echo', 'x'], ['cat'], { access })), 'SecretInvalid', message);
  const restored = await runs.restore(source(['cat'], ['cat'], { access }), Buffer.from('x'));
  expect(restored.exit, restored.output).toBe(`${reasons.SecretInvalid.exitCode} SecretInvalid`);
  expect(restored.error.trim()).toMatch(message);
});

test.each<[string, string[], Reason, RegExp]>([
  [
    'is not in the image',
    ['no-such-program', 'x'],
    'ConfigInvalid',
    /"no-such-program", the first word of spec.database.command/,
  ],
  ['writes nothing', ['true'], 'DumpEmpty', /not a byte/],
  ['fails at once', ['sh', '-c', 'echo "no room for me" >&2; exit 3'], 'DumpFailed', /exit code 3: no room for me/],
  ['fails after its last byte', ['sh', '-c', 'head -c 3000000 /dev/zero; exit 1'], 'DumpFailed', /exit code 1/],
  ['is killed half way', ['sh', '-c', 'head -c 3000000 /dev/zero; kill -9 $$'], 'DumpFailed', /exit code 137/],
])('a command that %s', async (_what, command, reason, message) => {
  expectFailure(await runs.backup(source(command, ['cat'])), reason, message);
});

test.each(['Skip', 'Fail', 'Overwrite'])('a restore command is told ifNotEmpty: %s', async (ifNotEmpty) => {
  const seen = join(await runs.folder(), 'seen');
  const script = ['sh', '-c', 'cat > "$0"; printf " %s" "$DBBACKUP_IF_NOT_EMPTY" >> "$0"', seen];
  const ended = await runs.restore(source(script, ['sh']), Buffer.from('dump'), ifNotEmpty);
  expect(ended.exit, ended.output).toBe('0 -');
  expect(await readFile(seen, 'utf8')).toBe(`dump ${ifNotEmpty}`);
});

test('a restore command that is not there or fails, by its own reason', async () => {
  const gone = await runs.restore(source(['no-such-program'], ['no-such-program']), Buffer.from('x'));
  expect(gone.exit, gone.output).toBe(`${reasons.RestoreFailed.exitCode} RestoreFailed`);
  expect(gone.error).toMatch(/"no-such-program", the first word of spec.database.restoreCommand/);
  const failed = await runs.restore(
    source(['sh', '-c', 'cat > /dev/null; echo broken >&2; exit 4'], ['sh']),
    Buffer.from('x'),
  );
  expect(failed.exit, failed.output).toBe(`${reasons.RestoreFailed.exitCode} RestoreFailed`);
  expect(failed.error).toMatch(/exit code 4: broken/);
});
