// Redis: what a real server holds comes back whole, by hand and by the script of a restore, and a dump that does not end well leaves nothing
// and says why.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { expectFailure, raw } from '../executor/engine-outcome.ts';
import { type Backup, EngineRuns, type Source } from '../executor/engine-run.ts';
import { Authority } from '../rig/cluster/certificates.ts';
import { run } from '../rig/command.ts';
import { withFreePort } from '../rig/servers/place.ts';
import { type Redis, startRedis } from '../rig/servers/redis.ts';

const log = (line: string) => console.error(line);
const runs = new EngineRuns();
let server: Redis;
const started: Redis[] = [];

async function another(options: { options?: string[]; directory?: string } = {}): Promise<Redis> {
  const one = await startRedis({ log, ...options });
  started.push(one);
  return one;
}

beforeAll(async () => {
  server = await startRedis({ log });
});
afterAll(async () => server?.stop());
afterEach(async () => {
  await runs.remove();
  for (const one of started.splice(0)) await one.stop();
  await server.cli('FLUSHALL');
});

const source = ({ host, port, password }: Redis, over: Partial<Source> = {}): Source => ({
  engine: 'redis',
  database: { host, port },
  access: { secret: { name: 'cache', keys: { username: 'username', password: 'password' } } },
  keys: { password },
  ...over,
});

/** All kinds of values, in two databases, with bytes that are no text; some with an end to their life. */
const awkward = `
SET plain value
SET "\\x00\\xff\\r\\n binary \\"key\\"" "\\x00\\x01\\xfe\\r\\n"
SET "schlüssel 漢字" "wert ü漢"
SET counter 9223372036854775807
RPUSH list a b "" "\\xff"
SADD set 1 2 3
SADD words one two "\\x00"
HSET hash field value "f\\x00" "v\\xff"
ZADD zset 1.5 a -inf b +inf c
XADD stream 1-1 name value
XADD stream 2-1 name "\\xff"
XGROUP CREATE stream readers 0
PFADD loglog a b c
SETBIT bits 100000 1
SET fading value PX 86400000
PEXPIREAT list 4102444800000
SELECT 9
SET plain "of another database"
`;

const library = "#!lua name=library\nredis.register_function('answer', function() return 42 end)";

/** The bytes of an uncompressed backup's dump. */
async function dumpOf(backup: Backup): Promise<Buffer> {
  return readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '');
}

test.each([
  ['as dump.rdb', 'no'],
  ['as an append-only file', 'yes'],
])('everything a server holds comes back in the folder of another, %s', async (_what, appendOnly) => {
  await server.pipe(awkward);
  await server.cli('FUNCTION', 'LOAD', library);
  const backup = await runs.backup(source(server));
  expect(backup.result?.run, backup.output).toMatchObject({
    outcome: 'Succeeded',
    engineVersion: server.version,
    identity: '',
  });
  expect(backup.output).not.toContain(server.password);

  const directory = await runs.folder();
  await runs.restoreByHand(backup, { REDIS_DIR: directory, REDIS_APPENDONLY: appendOnly });
  const target = await another({ directory, options: ['--appendonly', appendOnly] });
  expect(await target.cli('DEBUG', 'DIGEST')).toBe(await server.cli('DEBUG', 'DIGEST'));
  expect(await target.cli('-n', '9', 'GET', 'plain')).toBe('of another database');
  expect(await target.cli('PEXPIRETIME', 'list')).toBe('4102444800000');
  expect(Number(await target.cli('PTTL', 'fading'))).toBeGreaterThan(80_000_000);
  expect(await target.cli('FCALL', 'answer', '0')).toBe('42');
  await server.cli('FUNCTION', 'FLUSH');
});

test('a restore by hand leaves a folder alone that holds something', async () => {
  const backup = await runs.backup(source(server));
  const directory = await runs.folder();
  await runs.restoreByHand(backup, { REDIS_DIR: directory, REDIS_APPENDONLY: 'no' });
  await expect(runs.restoreByHand(backup, { REDIS_DIR: directory, REDIS_APPENDONLY: 'no' })).rejects.toThrow(
    /holds dump.rdb or an append-only file/,
  );
  await expect(runs.restoreByHand(backup, { REDIS_DIR: directory })).rejects.toThrow(
    /set REDIS_APPENDONLY to yes or no/,
  );
});

test('an empty server comes back empty', async () => {
  const backup = await runs.backup(source(server));
  const directory = await runs.folder();
  await runs.restoreByHand(backup, { REDIS_DIR: directory, REDIS_APPENDONLY: 'no' });
  const target = await another({ directory });
  expect(await target.cli('DBSIZE')).toBe('0');
});

test('200,000 keys go into a server that runs', async () => {
  await server.pipe(awkward);
  await server.cli('FUNCTION', 'LOAD', library);
  await server.cli('DEBUG', 'POPULATE', '200000', 'many', '64');
  const backup = await runs.backup(source(server, raw));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const target = await another();
  const ended = await runs.restore(source(target), await dumpOf(backup));
  expect(ended.exit, ended.output).toBe('0 -');
  expect(ended.output).not.toContain(target.password);
  expect(await target.cli('DEBUG', 'DIGEST')).toBe(await server.cli('DEBUG', 'DIGEST'));
  expect(await target.cli('FCALL', 'answer', '0')).toBe('42');
  await server.cli('FUNCTION', 'FLUSH');

  const again = await runs.restore(source(target), await dumpOf(backup));
  expect(again.exit, again.output).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
  const over = await runs.restore(source(target), await dumpOf(backup), 'Overwrite');
  expect(over.exit, over.output).toBe('0 -');
  expect(await target.cli('DEBUG', 'DIGEST')).toBe(await server.cli('DEBUG', 'DIGEST'));
}, 300_000);

test('a server that is filled after the first look at it is left alone', async () => {
  await server.pipe(awkward);
  const dump = await dumpOf(await runs.backup(source(server, raw)));
  const target = await another();
  const refill = { meanwhile: () => target.cli('SET', 'living', '1') };
  const failed = await runs.restore(source(target), dump, 'Fail', refill);
  expect(failed.exit, failed.output).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
  expect(failed.error).toBe('the target was empty and holds 1 things now: nothing was restored\n');
  await target.cli('FLUSHALL');
  const skipped = await runs.restore(source(target), dump, 'Skip', refill);
  expect([skipped.exit, skipped.code], skipped.output).toEqual(['0 TargetNotEmpty', 0]);
  expect(await target.cli('KEYS', '*')).toBe('living');
});

test('half a dump goes into no server', async () => {
  await server.cli('DEBUG', 'POPULATE', '20000', 'many', '64');
  const backup = await runs.backup(source(server, raw));
  const dump = await dumpOf(backup);
  const target = await another();
  const ended = await runs.restore(source(target), dump.subarray(0, dump.length / 2));
  expect(ended.exit, ended.output).toBe(`${reasons.RestoreFailed.exitCode} RestoreFailed`);
  expect(await target.cli('DBSIZE')).toBe('0');
});

test('an overwrite that cannot come about costs the server nothing', async () => {
  await server.cli('DEBUG', 'POPULATE', '1000', 'many', '64');
  const dump = await dumpOf(await runs.backup(source(server, raw)));
  const target = await another();
  await target.cli('SET', 'living', '1');
  const untouched = (reason: Reason): string => `${reasons[reason].exitCode} ${reason} untouched`;
  const expectLiving = async () => expect(await target.cli('KEYS', '*')).toBe('living');

  const half = await runs.restore(source(target), dump.subarray(0, dump.length / 2), 'Overwrite');
  expect(half.exit, half.output).toBe(untouched('RestoreFailed'));
  await expectLiving();
  const newer = Buffer.concat([Buffer.from('REDIS9999'), dump.subarray(9)]);
  const later = await runs.restore(source(target), newer, 'Overwrite');
  expect(later.exit, later.output).toBe(untouched('RestoreFailed'));
  expect(later.error).toMatch(/9999/);
  await expectLiving();
  await target.cli('ACL', 'SETUSER', 'modest', 'on', '>canary-word', '~*', '+@all', '-flushall');
  const keys = { username: 'modest', password: 'canary-word' };
  const modest = await runs.restore(source(target, { keys }), dump, 'Overwrite');
  expect(modest.exit, modest.output).toBe(untouched('DatabaseAuthFailed'));
  expect(modest.error).toMatch(/"modest" may not run FLUSHALL/);
  await expectLiving();
  await target.cli('ACL', 'SETUSER', 'modest', '+flushall');
  const over = await runs.restore(source(target, { keys }), dump, 'Overwrite');
  expect(over.exit, over.output).toBe('0 -');
  expect(await target.cli('DEBUG', 'DIGEST')).toBe(await server.cli('DEBUG', 'DIGEST'));
}, 120_000);

test('a server that sends from a file, one that keeps no sums, and one that compresses nothing', async () => {
  for (const options of [
    ['--repl-diskless-sync', 'no'],
    ['--rdbchecksum', 'no'],
    ['--rdbcompression', 'no'],
  ]) {
    const one = await another({ options });
    await one.pipe(awkward);
    const backup = await runs.backup(source(one));
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
    const directory = await runs.folder();
    await runs.restoreByHand(backup, { REDIS_DIR: directory, REDIS_APPENDONLY: 'yes' });
    const target = await another({ directory, options: ['--appendonly', 'yes'] });
    expect(await target.cli('DEBUG', 'DIGEST')).toBe(await one.cli('DEBUG', 'DIGEST'));
  }
}, 240_000);

test('a login with a name and full of signs, in and out', async () => {
  const password = String.raw`a b:c\d'e"f$g%h#*`;
  const quoted = JSON.stringify(`>${password}`);
  const username = 'odd"$user';
  await server.pipe(`ACL SETUSER ${JSON.stringify(username)} on ${quoted} ~* +@all\nSET key value\n`);
  const keys = { username, password };
  const backup = await runs.backup(source(server, { ...raw, keys }));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const target = await another();
  await target.pipe(`ACL SETUSER ${JSON.stringify(username)} on ${quoted} ~* +@all\n`);
  const ended = await runs.restore(source(target, { keys }), await dumpOf(backup));
  expect(ended.exit, ended.output).toBe('0 -');
  expect(await target.cli('GET', 'key')).toBe('value');
  expect(`${backup.output}${ended.output}`).not.toContain('c\\d');
});

test('a server without a login', async () => {
  const open = await another({ options: ['--requirepass', ''] });
  const backup = await runs.backup({ engine: 'redis', database: { host: open.host, port: open.port }, access: {} });
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
});

test('the least that a login needs is to ask INFO and to be sent the data', async () => {
  await server.cli(
    'ACL',
    'SETUSER',
    'least',
    'on',
    '>least-password',
    '+ping',
    '+info',
    '+sync',
    '+psync',
    '+replconf',
  );
  const backup = await runs.backup(source(server, { keys: { username: 'least', password: 'least-password' } }));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
});

test.each<[string, Partial<Source>, Reason, RegExp]>([
  ['a wrong password', { keys: { password: 'canary-wrong' } }, 'DatabaseAuthFailed', /WRONGPASS/],
  ['an unknown user', { keys: { username: 'nobody', password: 'canary-wrong' } }, 'DatabaseAuthFailed', /WRONGPASS/],
  ['no login where one is needed', { access: {} }, 'DatabaseAuthFailed', /NOAUTH/],
  ['no password in the Secret', { keys: {} }, 'SecretInvalid', /Secret "cache": key "password" is missing or empty/],
  ['a port where nobody listens', { database: { host: '127.0.0.1', port: 9 } }, 'DatabaseUnreachable', /refused/i],
  [
    'a name that does not resolve',
    { database: { host: 'cache.invalid', port: 6379 } },
    'DatabaseUnreachable',
    /cache\.invalid/,
  ],
])('%s', async (_what, over, reason, message) => {
  const ended = await runs.backup(source(server, over));
  expectFailure(ended, reason, message);
  expect(ended.output).not.toContain('canary-wrong');
});

test('a login that may not be sent the data, by name', async () => {
  await server.cli('ACL', 'SETUSER', 'reader', 'on', '>reader-password', '~*', '+@all', '-sync');
  const keys = { username: 'reader', password: 'reader-password' };
  expectFailure(await runs.backup(source(server, { keys })), 'DatabaseAuthFailed', /"reader" may not run SYNC.*\+sync/);
  await server.cli('ACL', 'SETUSER', 'reader', '-acl');
  expectFailure(await runs.backup(source(server, { keys })), 'DumpFailed', /NOPERM.*sync/);
  await server.cli('ACL', 'SETUSER', 'reader', '-info');
  expectFailure(await runs.backup(source(server, { keys })), 'DatabaseAuthFailed', /NOPERM.*info/);
});

test('a replica whose server is gone', async () => {
  const replica = await another({ options: ['--replicaof', '127.0.0.1', '9'] });
  expectFailure(await runs.backup(source(replica)), 'DumpFailed', /replica whose link to its master is down/);
});

test('TLS: the authority is asked, where one is named, and no plain word is spoken', async () => {
  const folder = await runs.folder();
  const authority = await Authority.create(join(folder, 'ca'));
  const { cert, key } = await authority.sign('server', { commonName: 'server', names: ['127.0.0.1'] });
  await run(['chmod', '-R', 'a+rX', folder]);
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', authority.cert];
  const { port, one } = await withFreePort(async (port) => {
    const options = ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files];
    return { port, one: await another({ options }) };
  });
  const words = 'ConfigMap "cache-ca", key "ca.crt"';
  const over = (mode: 'require' | 'verify-ca', authorities?: string): Partial<Source> => ({
    database: { host: one.host, port },
    access: { ...source(one).access, tls: { mode, ...(authorities === undefined ? {} : { authorities: words }) } },
    ...(authorities === undefined ? {} : { authorities }),
  });
  const ours = await readFile(authority.cert, 'utf8');
  const others = await readFile((await Authority.create(await runs.folder())).cert, 'utf8');
  for (const right of [over('require'), over('verify-ca', ours)]) {
    const backup = await runs.backup(source(one, right));
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  }
  await one.cli('SET', 'living', '1');
  const ended = await runs.restore(source(one, over('require')), Buffer.from('x'), 'Overwrite');
  expect(ended.exit, ended.output).toBe(`${reasons.ConfigInvalid.exitCode} ConfigInvalid untouched`);
  expect(ended.error).toMatch(/a restore over TLS is not possible/);
  expect(await one.cli('GET', 'living')).toBe('1');
  expectFailure(
    await runs.backup(source(one, over('verify-ca', others))),
    'ConfigInvalid',
    /spec\.database\.tls: .*certificate/,
  );
  expectFailure(
    await runs.backup(source(one, over('verify-ca', ''))),
    'SecretInvalid',
    /ConfigMap "cache-ca", key "ca.crt"/,
  );
  // A server that is spoken to in TLS and knows none waits for the end of a line.
  const plain = { ...over('require'), database: { host: one.host, port: one.port } };
  expectFailure(await runs.backup(source(one, plain)), 'DatabaseUnreachable', /no answer within 20 s/);
  const { tls: _tls, ...open } = over('require').access ?? {};
  expectFailure(
    await runs.backup(source(one, { database: { host: one.host, port }, access: open })),
    'DatabaseUnreachable',
    /127\.0\.0\.1/,
  );
}, 240_000);

test('a mode of TLS that redis-cli cannot keep', async () => {
  const access = { ...source(server).access, tls: { mode: 'verify-full' } } as const;
  expectFailure(await runs.backup(source(server, { access })), 'ConfigInvalid', /checks no host name: use verify-ca/);
});

test.each<[string, string, Reason, RegExp]>([
  ['writes nothing and says it went well', 'exit 0', 'DumpEmpty', /not a byte/],
  [
    'writes half a dump and says it went well',
    '"$REAL" "$@" | head -c 200000; exit 0',
    'DumpFailed',
    /do not end with the end code/,
  ],
  ['leaves out the last byte', '"$REAL" "$@" | head -c -1; exit 0', 'DumpFailed', /do not end with the end code/],
  ['writes text', 'echo "ERR unknown"', 'DumpFailed', /does not begin with REDIS/],
  [
    'writes a whole dump and fails',
    '"$REAL" "$@"; echo "late failure" >&2; exit 1',
    'DumpFailed',
    /exit code 1: .*late failure/,
  ],
  ['is killed half way', '"$REAL" "$@" | head -c 200000; kill -9 $$', 'DumpFailed', /exit code 137/],
])('a redis-cli that %s', async (_what, body, reason, message) => {
  await server.cli('DEBUG', 'POPULATE', '20000', 'many', '64');
  const tools = [
    await runs.tool('redis-cli', '/usr/bin/redis-cli', `case "$*" in *--rdb*) ${body} ;; *) exec "$REAL" "$@" ;; esac`),
  ];
  expectFailure(await runs.backup(source(server, { tools })), reason, message);
});

test('a server that is killed while it sends', async () => {
  const one = await another();
  await one.cli('DEBUG', 'POPULATE', '200000', 'many', '200');
  // Slow reading keeps most of it in the server.
  const body =
    'case "$*" in *--rdb*) "$REAL" "$@" > "$0.fifo" & pid=$!; exec 3< "$0.fifo"; dd bs=65536 count=16 iflag=fullblock <&3 2> /dev/null; : > "$0.half"; while [ ! -e "$0.go" ]; do sleep 0.1; done; cat <&3; wait $pid; exit $? ;; *) exec "$REAL" "$@" ;; esac';
  const tools = await runs.tool('redis-cli', '/usr/bin/redis-cli', body);
  await run(['mkfifo', join(tools, 'redis-cli.fifo')]);
  const ended = await runs.backup(source(one, { tools: [tools] }), async () => {
    while (!(await readdir(tools)).includes('redis-cli.half')) await new Promise((done) => setTimeout(done, 50));
    await one.stop('SIGKILL');
    await run(['touch', join(tools, 'redis-cli.go')]);
  });
  expectFailure(ended, 'DumpFailed', /exit code 1/);
});

test('the password stands in no argument of any program', async () => {
  const seen = 'tr "\\000" " " < /proc/$$/cmdline >> "$0.seen"; exec "$REAL" "$@"';
  const tools = await runs.tool('redis-cli', '/usr/bin/redis-cli', seen);
  const backup = await runs.backup(source(server, { tools: [tools] }));
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  const file = join(tools, 'redis-cli.seen');
  expect((await stat(file)).size).toBeGreaterThan(0);
  expect(await readFile(file, 'utf8')).not.toContain(server.password);
});
