// OpenBao: a real server's snapshot goes into another real server, by hand and by the script of a restore; both ways to log in; and what
// does not end well leaves nothing and says why.
import { createSign, generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Reason, reasons } from '../../crds/rules/reasons.ts';
import { expectFailure } from '../executor/engine-outcome.ts';
import { EngineRuns, type Source } from '../executor/engine-run.ts';
import { Authority } from '../rig/cluster/certificates.ts';
import { run } from '../rig/command.ts';
import { type Openbao, startOpenbao } from '../rig/servers/openbao.ts';
import { waitFor } from '../wait.ts';

const log = (line: string) => console.error(line);
const runs = new EngineRuns();
let server: Openbao;
const started: Openbao[] = [];
const raw = { compression: { algorithm: 'none', level: 0 } } as const;
const keyPair = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** A service account token as a kubelet would hand it out. */
function serviceAccountToken(audience: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'rig', sub: 'system:serviceaccount:shop:backup', aud: [audience], iat: now, exp: now + 600 };
  const text = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(keyPair.privateKey, 'base64url')}`;
}

beforeAll(async () => {
  server = await startOpenbao({ log });
  await server.bao('secrets', 'enable', '-path=kv', 'kv');
  // Some megabytes that pack badly, so that a snapshot can be cut in its middle.
  const filler = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 2654435761) >>> 13)).toString(
    'base64',
  );
  for (let index = 0; index < 10; index++)
    await server.bao('kv', 'put', `kv/filler/${index}`, `value=${filler.slice(0, 90_000)}`);
  await server.bao('kv', 'put', 'kv/orders', 'password=schlüssel 漢字 "quoted"');
  const policy = join(await runs.folder(), 'policy.hcl');
  await writeFile(policy, 'path "sys/storage/raft/snapshot" { capabilities = ["read"] }\n');
  await server.bao('policy', 'write', 'backup', policy);
  await server.bao('auth', 'enable', 'jwt');
  const publicKey = keyPair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  await server.bao('write', 'auth/jwt/config', `jwt_validation_pubkeys=${publicKey}`, 'bound_issuer=rig');
  const role = ['role_type=jwt', 'user_claim=sub', 'bound_audiences=openbao', 'token_policies=backup', 'token_ttl=15m'];
  await server.bao('write', 'auth/jwt/role/backup', ...role);
}, 300_000);
afterAll(async () => {
  await runs.remove();
  await server?.stop();
});
afterEach(async () => {
  await runs.remove();
  for (const one of started.splice(0)) await one.stop();
});

const byToken = (token = server.rootToken, over: Partial<Source> = {}): Source => ({
  engine: 'openbao',
  database: { host: server.host, port: server.port },
  access: { secret: { name: 'bao-token', keys: { token: 'token' } }, tls: { mode: 'disable' } },
  keys: { token },
  tools: [server.bin],
  task: raw,
  ...over,
});

const byJwt = (token = serviceAccountToken('openbao'), over: Partial<Source> = {}): Source => {
  const { keys: _keys, ...rest } = byToken();
  return { ...rest, access: { jwt: { role: 'backup', mount: 'jwt' }, tls: { mode: 'disable' } }, token, ...over };
};

async function clusterOf(one: Openbao): Promise<string> {
  return JSON.parse(await one.bao('status', '-format=json')).cluster_id;
}

async function another(): Promise<Openbao> {
  const one = await startOpenbao({ log });
  started.push(one);
  return one;
}

test('a snapshot by token comes back by hand in a new server, which then has the keys of the old one', async () => {
  const backup = await runs.backup(byToken());
  const identity = await clusterOf(server);
  expect(backup.result?.run, backup.output).toMatchObject({
    outcome: 'Succeeded',
    engineVersion: server.version,
    identity,
  });
  expect(backup.output).not.toContain(server.rootToken);

  const target = await another();
  const env = {
    PATH: `${target.bin}:${process.env['PATH']}`,
    HOME: '/tmp',
    BAO_ADDR: target.address,
    BAO_TOKEN: target.rootToken,
  };
  await runs.restoreByHand(backup, env);
  const old = { ...env, BAO_TOKEN: server.rootToken };
  let found = '';
  await waitFor('the restored server to answer to the old token', async () => {
    await target.unseal(server.unsealKey).catch(() => {});
    found = await run(['bao', 'kv', 'get', '-field=password', 'kv/orders'], { env: old }).catch(() => '');
    return found !== '';
  });
  expect(found.trim()).toBe('schlüssel 漢字 "quoted"');
  await expect(runs.restoreByHand(backup, old)).rejects.toThrow(/is in use, it has 2 secret engines/);
}, 240_000);

test('a snapshot by service account token, whose token is revoked afterwards', async () => {
  const before = await server.bao('list', '-format=json', 'auth/token/accessors');
  const backup = await runs.backup(byJwt());
  expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded', engineVersion: server.version });
  const after = await server.bao('list', '-format=json', 'auth/token/accessors');
  expect(JSON.parse(after)).toHaveLength(JSON.parse(before).length);
});

test('a snapshot goes back by the script of a restore', async () => {
  const backup = await runs.backup(byJwt());
  const dump = await readFile(backup.names.find((name) => name.endsWith('.snap')) ?? '');
  const target = await another();
  const into = byToken(target.rootToken, { database: { host: target.host, port: target.port } });
  const ended = await runs.restore(into, dump);
  expect(ended.exit, ended.output).toBe('0 -');
  await waitFor('the restored server to be the old one', async () => {
    await target.unseal(server.unsealKey).catch(() => {});
    return (await clusterOf(target).catch(() => '')) === (await clusterOf(server));
  });
}, 240_000);

test('a server that is in use is not restored over', async () => {
  const ended = await runs.restore(byToken(), Buffer.from('nothing'));
  expect(ended.exit, ended.output).toBe(`${reasons.TargetNotEmpty.exitCode} TargetNotEmpty`);
});

test.each<[string, () => Source, Reason, RegExp]>([
  ['a wrong token', () => byToken('s.canary-wrong'), 'DatabaseAuthFailed', /Code: 403/],
  [
    'no token in the Secret',
    () => byToken(undefined, { keys: {} }),
    'SecretInvalid',
    /Secret "bao-token": key "token"/,
  ],
  ['a token for another audience', () => byJwt(serviceAccountToken('vault')), 'DatabaseAuthFailed', /Code: 400/],
  ['a token that nobody signed', () => byJwt('a.b.c'), 'DatabaseAuthFailed', /Code: 400/],
  ['no service account token', () => byJwt(''), 'SecretInvalid', /service account token/],
  [
    'a role that is not there',
    () => byJwt(undefined, { access: { jwt: { role: 'missing', mount: 'jwt' }, tls: { mode: 'disable' } } }),
    'DatabaseAuthFailed',
    /role "missing" could not be found/,
  ],
  [
    'a mount that is not there',
    () => byJwt(undefined, { access: { jwt: { role: 'backup', mount: 'k8s' }, tls: { mode: 'disable' } } }),
    'DatabaseAuthFailed',
    /Code: 403/,
  ],
  [
    'a port where nobody listens',
    () => byToken(undefined, { database: { host: '127.0.0.1', port: 9 } }),
    'DatabaseUnreachable',
    /refused/,
  ],
  [
    'https to a server that speaks http',
    () => byToken(undefined, { access: { secret: { name: 'bao-token', keys: { token: 'token' } } } }),
    'ConfigInvalid',
    /spec.database.tls.*HTTP response to HTTPS client/,
  ],
])('%s', async (_what, from, reason, message) => {
  const ended = await runs.backup(from());
  expectFailure(ended, reason, message);
  expect(ended.output).not.toContain('canary-wrong');
});

test('a token that may not take a snapshot, by the policy that it lacks', async () => {
  const token = await server.bao('token', 'create', '-policy=default', '-field=token');
  expectFailure(
    await runs.backup(byToken(token)),
    'DatabaseAuthFailed',
    /may not read sys\/storage\/raft\/snapshot: give its policy/,
  );
});

test('https: the authority and the name are asked', async () => {
  const authority = await Authority.create(await runs.folder());
  const { cert, key } = await authority.sign('server', { commonName: 'server', names: ['127.0.0.1'] });
  const one = await startOpenbao({ log, tls: { certificate: cert, key } });
  started.push(one);
  const secret = { name: 'bao-token', keys: { token: 'token' } };
  const over = (mode: 'require' | 'verify-full', authorities?: string, host = one.host): Partial<Source> => ({
    database: { host, port: one.port },
    access: {
      secret,
      tls: { mode, ...(authorities === undefined ? {} : { authorities: 'Secret "ca", key "ca.crt"' }) },
    },
    ...(authorities === undefined ? {} : { authorities }),
  });
  const ours = await readFile(authority.cert, 'utf8');
  for (const right of [over('require'), over('verify-full', ours)]) {
    const backup = await runs.backup(byToken(one.rootToken, right));
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
  }
  for (const wrong of [over('verify-full'), over('verify-full', ours, 'localhost')])
    expectFailure(await runs.backup(byToken(one.rootToken, wrong)), 'ConfigInvalid', /spec\.database\.tls: .*x509/);
}, 240_000);

test('a server that is sealed', async () => {
  const sealed = await another();
  await sealed.bao('operator', 'seal');
  const database = { host: sealed.host, port: sealed.port };
  expectFailure(await runs.backup(byToken(sealed.rootToken, { database })), 'DatabaseUnreachable', /is sealed/);
});

test.each<[string, string, Reason, RegExp]>([
  ['writes nothing and says it went well', 'exit 0', 'DumpEmpty', /not a byte/],
  [
    'writes half a snapshot and says it went well',
    '"$REAL" "$@" | head -c 20000; exit 0',
    'DumpFailed',
    /not whole as gzip/,
  ],
  ['writes text', 'echo "Error making API request"', 'DumpFailed', /not whole as gzip/],
  [
    'writes a whole snapshot and fails',
    '"$REAL" "$@"; echo "late failure" >&2; exit 1',
    'DumpFailed',
    /exit code 1: .*late failure/,
  ],
  ['is killed half way', '"$REAL" "$@" | head -c 20000; kill -9 $$', 'DumpFailed', /exit code 137/],
])('a bao that %s', async (_what, body, reason, message) => {
  const tools = await runs.tool(
    'bao',
    join(server.bin, 'bao'),
    `case "$*" in *snapshot\\ save*) ${body} ;; *) exec "$REAL" "$@" ;; esac`,
  );
  expectFailure(await runs.backup(byToken(undefined, { tools: [tools] })), reason, message);
});

test('tokens stand in no argument of any program', async () => {
  const tools = await runs.tool(
    'bao',
    join(server.bin, 'bao'),
    'tr "\\000" " " < /proc/$$/cmdline >> "$0.seen"; exec "$REAL" "$@"',
  );
  const token = serviceAccountToken('openbao');
  expect((await runs.backup(byJwt(token, { tools: [tools] }))).result?.run).toMatchObject({ outcome: 'Succeeded' });
  expect((await runs.backup(byToken(undefined, { tools: [tools] }))).result?.run).toMatchObject({
    outcome: 'Succeeded',
  });
  const seen = await readFile(join(tools, 'bao.seen'), 'utf8');
  expect(seen).toContain('snapshot save');
  expect(seen).not.toContain(token);
  expect(seen).not.toContain(server.rootToken);
}, 240_000);
