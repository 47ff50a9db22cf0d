// MongoDB, as far as it goes without its tools: the script's words for them, what it makes of their answers, and that half an archive is
// no snapshot. mongodump, mongorestore and mongosh are stand-ins here (test/executor/mongodump.ts).
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { engines } from '../../crds/rules/engines/table.ts';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { expectFailure } from '../executor/engine-outcome.ts';
import { EngineRuns, type Source } from '../executor/engine-run.ts';
import { archive, document } from '../executor/mongodb-archive.ts';
import { type StandIns, standIns } from '../executor/mongodump.ts';

const runs = new EngineRuns();
const password = `canary'pass"word: #$(x)`;
const documents = Array.from({ length: 200 }, (_, n) => document({ _id: n, text: 'x'.repeat(n) }));
const whole = archive([{ db: 'shop', collection: 'orders', documents }]);
const answers = { 'ask_facts.js': 'version 7.0.5\nidentity 65a1b2c3d4e5f60718293a4b\n', 'ask_rights.js': 'ok \n' };
const raw = { compression: { algorithm: 'none', level: 0 } } as const;

afterEach(() => runs.remove());

async function sourceWith(
  stand: Partial<StandIns>,
  over: Partial<Source> = {},
): Promise<{ source: Source; folder: string }> {
  const folder = await runs.folder();
  await standIns(folder, { archive: whole, answers, ...stand });
  const source: Source = {
    engine: 'mongodb',
    database: { host: 'shop-db', port: 27017, name: 'shop' },
    access: { secret: { name: 'shop-db', keys: { username: 'username', password: 'password' } } },
    keys: { username: 'backup user', password },
    tools: [folder],
    task: raw,
    ...over,
  };
  return { source, folder };
}

test('an archive is stored with the facts that mongosh tells, and the password is in a file only', async () => {
  const { source, folder } = await sourceWith({}, { arguments: ['--excludeCollection=log'] });
  const backup = await runs.backup(source);
  const facts = { outcome: 'Succeeded', engineVersion: '7.0.5', identity: '65a1b2c3d4e5f60718293a4b' };
  expect(backup.result?.run, backup.output).toMatchObject(facts);
  const words = (await readFile(join(folder, 'words'), 'utf8')).split('\n');
  expect(words).toEqual(
    expect.arrayContaining([
      ...['--host=shop-db', '--port=27017', '--username=backup user', '--authenticationDatabase=admin'],
      ...['--db=shop', '--excludeCollection=log', '--archive'],
    ]),
  );
  expect(`${words.join('\n')}${backup.output}`).not.toContain('canary');
  const login = await readFile(join(folder, 'login'), 'utf8');
  expect(parse(login)).toEqual({ password });
});

test('all databases, over TLS, without a login and without mongosh', async () => {
  const { answers: _none, ...rest } = { archive: whole, answers };
  const folder = await runs.folder();
  await standIns(folder, rest);
  const { source } = await sourceWith({});
  const { keys: _keys, ...open } = source;
  const backup = await runs.backup({
    ...open,
    tools: [folder],
    database: { host: 'shop-db', port: 27017, allDatabases: true },
    access: { tls: { mode: 'verify-ca', authorities: 'Secret "ca", key "ca.crt"' } },
    authorities: 'CERTIFICATE',
    arguments: ['--oplog'],
  });
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded', engineVersion: '', identity: '' });
  const words = await readFile(join(folder, 'words'), 'utf8');
  expect(words).toMatch(/--ssl\n--sslAllowInvalidHostnames\n--sslCAFile=.*ca\.crt\n--oplog\n--archive\n/);
  expect(words).not.toMatch(/--db|--username/);
});

test.each<[string, string, Reason, RegExp]>([
  ['a wrong password', 'login Authentication failed\n', 'DatabaseAuthFailed', /Authentication failed/],
  [
    'a login that may not read',
    'rights not authorized on shop\n',
    'DatabaseAuthFailed',
    /not authorized on shop; give it the role backup/,
  ],
  ['a certificate that is not trusted', 'tls not trusted\n', 'ConfigInvalid', /spec.database.tls: not trusted/],
  [
    'a server that is away',
    'away MongoServerSelectionError\n',
    'DatabaseUnreachable',
    /shop-db:27017: MongoServerSelectionError/,
  ],
  ['no answer at all', '', 'DatabaseUnreachable', /mongosh gave no answer/],
])('%s', async (_what, answer, reason, message) => {
  const { source } = await sourceWith({ answers: { ...answers, 'ask_facts.js': answer } });
  expectFailure(await runs.backup(source), reason, message);
});

test.each<[string, string, Reason, RegExp]>([
  ['writes nothing and says it went well', 'exit 0', 'DumpEmpty', /not a byte/],
  [
    'writes half an archive and says it went well',
    'head -c 10000 "$ARCHIVE"; exit 0',
    'DumpFailed',
    /it ends within a block/,
  ],
  ['leaves out the last byte', 'head -c -1 "$ARCHIVE"; exit 0', 'DumpFailed', /it ends within a block/],
  ['adds a byte', 'cat "$ARCHIVE"; echo', 'DumpFailed', /it ends within a block/],
  [
    'writes a whole archive and fails',
    'cat "$ARCHIVE"; echo "late failure" >&2; exit 1',
    'DumpFailed',
    /exit code 1: .*late failure/,
  ],
  ['is killed half way', 'head -c 10000 "$ARCHIVE"; kill -9 $$', 'DumpFailed', /exit code 137/],
])('a mongodump that %s', async (_what, dump, reason, message) => {
  const { source } = await sourceWith({ dump });
  expectFailure(await runs.backup(source), reason, message);
});

test('a restore hands the archive on as it is, and replays the log of changes where there is one', async () => {
  const withLog = archive([
    { db: 'oplog', collection: 'oplog', documents },
    { db: '', collection: 'oplog', documents },
  ]);
  const without = archive([{ db: 'oplog', collection: 'oplog', documents }]);
  for (const bytes of [withLog, without]) {
    const { source, folder } = await sourceWith({ answers: { ...answers, 'ask_count.js': 'ok 0\n' } });
    const ended = await runs.restore(source, bytes);
    expect(ended.exit, ended.output).toBe('0 -');
    expect(await readFile(join(folder, 'restored'))).toEqual(bytes);
    expect((await readFile(join(folder, 'words'), 'utf8')).includes('--oplogReplay')).toBe(bytes === withLog);
  }
  const { source } = await sourceWith({ answers: { ...answers, 'ask_count.js': 'ok 3\n' } });
  expect((await runs.restore(source, whole)).exit).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
});

test('an image without mongorestore costs a target nothing', async () => {
  const { source, folder } = await sourceWith({
    answers: { ...answers, 'ask_count.js': 'ok 3\n', 'ask_empty.js': 'ok \n' },
  });
  await rm(join(folder, 'mongorestore'));
  const ended = await runs.restore(source, whole, 'Overwrite');
  expect(ended.exit, ended.output).toBe(`${reasons.ConfigInvalid.exitCode} ConfigInvalid untouched`);
  expect(ended.error).toContain('run mongorestore: the image has no such program');
  expect(await readFile(join(folder, 'words'), 'utf8')).not.toContain('ask_empty');
});

test('a restore into a database of another name says so to mongorestore, in the words of its patterns', async () => {
  const empty = { answers: { ...answers, 'ask_count.js': 'ok 0\n' } };
  const named = async (name: string, dumped: string): Promise<string> => {
    const { source, folder } = await sourceWith(empty, { database: { host: 'shop-db', port: 27017, name } });
    const ended = await runs.restore(source, whole, 'Skip', { dumped });
    expect(ended.exit, ended.output).toBe('0 -');
    return readFile(join(folder, 'words'), 'utf8');
  };
  expect(await named('staging', 'shop')).toContain('--nsInclude=shop.*\n--nsFrom=shop.*\n--nsTo=staging.*\n');
  expect(await named('to*the\\left', 'a  *b ')).toContain('--nsFrom=a  \\*b .*\n--nsTo=to\\*the\\\\left.*\n');
  expect(await named('shop', 'shop')).not.toContain('--ns');
  const { source, folder } = await sourceWith(empty, {
    database: { host: 'shop-db', port: 27017, allDatabases: true },
  });
  expect((await runs.restore(source, whole)).exit).toBe('0 -');
  expect(await readFile(join(folder, 'words'), 'utf8')).not.toContain('--ns');
});

test("the manifest's lines hand the archive on as it is, into a target that mongosh calls empty", async () => {
  const { source, folder } = await sourceWith({ answers: { ...answers, count: '0\n' } });
  const backup = await runs.backup(source);
  const config = join(folder, 'target.yaml');
  await writeFile(config, 'uri: "mongodb://admin:canary-target@other-db:27017/?authSource=admin"\n');
  const env = { PATH: `${folder}:${process.env['PATH']}`, MONGO_CONFIG: config };
  await runs.restoreByHand(backup, env);
  expect(await readFile(join(folder, 'restored'))).toEqual(whole);
  const words = await readFile(join(folder, 'words'), 'utf8');
  expect(words).toContain(`--config=${config}\n`);
  expect(words).not.toMatch(/canary-target|--oplogReplay/);
  await writeFile(join(folder, 'count.answer'), '3\n');
  await expect(runs.restoreByHand(backup, env)).rejects.toThrow(/the target holds 3 collections/);
  const script = /'(const uri[^']*)'/.exec(backup.manifest?.restore.join('\n') ?? '')?.[1] ?? '';
  let printed = '';
  const server = {
    adminCommand: () => ({ databases: [{ name: 'admin' }, { name: 'shop' }, { name: 'other' }] }),
    getSiblingDB: (name: string) => ({ getCollectionNames: () => (name === 'shop' ? ['a', 'b'] : ['c']) }),
  };
  runInNewContext(script, {
    process: { env: { MONGO_CONFIG: config, MONGO_DATABASE: 'shop' } },
    require: () => ({ readFileSync: () => 'uri: "mongodb://admin:canary-target@other-db:27017/"\n' }),
    connect: (uri: string) => {
      expect(uri).toBe('mongodb://admin:canary-target@other-db:27017/');
      return server;
    },
    print: (text: number) => {
      printed += text;
    },
  });
  expect(printed).toBe('2');
});

/** Runs one of the scripts for mongosh against a server that is played here. */
function inMongosh(name: string, answer: (database: string, command: Record<string, unknown>) => object): string {
  const shell = `${engines.mongodb.shell}${engines.mongodb.restoreShell}`;
  const text = new RegExp(`"\\$TEMPORARY/${name}.js"\n([\\s\\S]*?)\nEND_OF_SCRIPT`).exec(shell)?.[1] ?? '';
  let printed = '';
  let address = '';
  const env = {
    ...{
      DBBACKUP_HOST: '::1',
      DBBACKUP_PORT: '27017',
      DBBACKUP_DATABASE: '',
      DBBACKUP_TLS_MODE: 'verify-ca',
      MONGO_KEYS: '/keys',
    },
    ...{
      DBBACKUP_USERNAME_KEY: 'user',
      DBBACKUP_PASSWORD_KEY: 'pass',
      MONGO_AUTHORITIES: '/ca',
      MONGO_AUTH_SOURCE: 'admin',
    },
  };
  runInNewContext(text, {
    process: { env },
    require: () => ({ readFileSync: (path: string) => (path === '/keys/user' ? 'a@b\n' : 'p/w:1\n') }),
    print: (line: string) => {
      printed += `${line}\n`;
    },
    connect: (uri: string) => {
      address = uri;
      return {
        getSiblingDB: (database: string) => ({
          runCommand: (command: Record<string, unknown>) => answer(database, command),
        }),
      };
    },
  });
  expect(address).toBe(
    'mongodb://a%40b:p%2Fw%3A1@[::1]:27017/?directConnection=true&serverSelectionTimeoutMS=20000&authSource=admin&tls=true&tlsCAFile=%2Fca&tlsAllowInvalidHostnames=true',
  );
  return printed;
}

test('the scripts for mongosh ask for what they say and tell errors by their code, not by their text', () => {
  const collections = {
    ok: 1,
    cursor: {
      firstBatch: [
        { name: 'orders', type: 'collection' },
        { name: 'sums', type: 'view' },
      ],
    },
  };
  const server = (database: string, command: Record<string, unknown>): object => {
    if ('buildInfo' in command) return { ok: 1, version: '7.0.5' };
    if ('replSetGetConfig' in command) throw Object.assign(new Error('canary text'), { code: 76 });
    if ('listDatabases' in command)
      return { ok: 1, databases: [{ name: 'admin' }, { name: 'local' }, { name: 'shop' }] };
    expect(database).toBe('shop');
    return 'listCollections' in command ? collections : { ok: 1 };
  };
  expect(inMongosh('ask_facts', server)).toBe('version 7.0.5\nidentity \n');
  expect(inMongosh('ask_rights', server)).toBe('ok \n');
  expect(inMongosh('ask_count', server)).toBe('ok 2\n');
  expect(inMongosh('ask_empty', server)).toBe('ok \n');
  // The first answer names some hundred collections at most.
  const looked: unknown[] = [];
  const pages = (database: string, command: Record<string, unknown>): object => {
    if ('find' in command) looked.push(command['find']);
    const page = (name: string) => [{ name, type: 'collection' }];
    if ('listCollections' in command)
      return { ok: 1, cursor: { id: 7n, ns: 'shop.$cmd.listCollections', firstBatch: page('first') } };
    if (command['getMore'] === 7n && command['collection'] === '$cmd.listCollections')
      return { ok: 1, cursor: { id: 8n, nextBatch: page('second') } };
    if (command['getMore'] === 8n) return { ok: 1, cursor: { id: 0n, nextBatch: page('third') } };
    return server(database, command);
  };
  expect(inMongosh('ask_rights', pages)).toBe('ok \n');
  expect(looked).toEqual(['first', 'second', 'third']);
  expect(inMongosh('ask_count', pages)).toBe('ok 3\n');
  const failing = (error: object) => () => {
    throw Object.assign(new Error('canary text'), error);
  };
  expect(inMongosh('ask_facts', failing({ code: 18 }))).toBe('login Authentication failed\n');
  expect(inMongosh('ask_facts', failing({ name: 'MongoServerSelectionError' }))).toBe(
    'away MongoServerSelectionError\n',
  );
  expect(inMongosh('ask_rights', failing({ code: 13, errmsg: 'not authorized on shop' }))).toBe(
    'rights not authorized on shop\n',
  );
});
