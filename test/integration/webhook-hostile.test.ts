// The webhook's process against whoever can reach its port: each hostile request has its answer, and the API server's are answered all along.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request as send } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../webhook/certificate.ts';
import { run } from '../rig/command.ts';
import { type Child, startChild } from '../rig/servers/child.ts';
import { crowd, exchange, handshake, http, statuses, type Target } from '../webhook/hostile.ts';
import { backup, reviewOf } from '../webhook/objects.ts';
import { eventually } from '../webhook/processes.ts';

let directory: string;
let child: Child;
let target: Target;
let stopping = false;
let answered = 0;
let manners: Promise<string[]>;
const kept = new Agent({ keepAlive: true });

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-hostile-'));
  const { cert, key, authorities } = await makeCertificate(['127.0.0.1'], '', new Date());
  await writeFile(path.join(directory, 'tls.crt'), cert);
  await writeFile(path.join(directory, 'tls.key'), key);
  const main = path.join(import.meta.dirname, '..', '..', 'webhook', 'main.ts');
  const flags = ['--port=0', '--health-port=0', `--certificate-directory=${directory}`];
  child = await startChild([process.execPath, main, ...flags], { env: process.env });
  const port = await eventually('the webhook to listen', async () => {
    const line = child.output().match(/.*"msg":"listening".*/)?.[0];
    return line === undefined ? undefined : (JSON.parse(line) as { port: number }).port;
  });
  target = { port, ca: authorities };
  manners = behave();
});

afterAll(async () => {
  stopping = true;
  await manners;
  kept.destroy();
  await child?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Well-behaved requests, in turns on a connection that is kept and on a new one; gives what went wrong. */
async function behave(): Promise<string[]> {
  const failures: string[] = [];
  for (let turn = 0; !stopping; turn++) {
    const outcome = await new Promise<string>((resolve) => {
      const headers = { 'content-type': 'application/json' };
      const where = { host: '127.0.0.1', ...target, path: '/mutate?timeout=5s', agent: turn % 2 === 0 ? kept : false };
      const request = send({ ...where, method: 'POST', headers, timeout: 30_000 }, (response) => {
        response.resume().on('end', () => resolve(String(response.statusCode)));
      });
      request.on('timeout', () => request.destroy(new Error('no answer within 30 s')));
      request.on('error', (error) => resolve(error.message)).end(JSON.stringify(reviewOf({})));
    });
    if (outcome !== '200') failures.push(`request ${turn}: ${outcome}`);
    answered++;
    await sleep(25);
  }
  return failures;
}

const json = { 'content-type': 'application/json' };
const post = (body: string | Buffer, headers: Record<string, string | number> = json, path = '/validate') =>
  exchange(target, http(`POST ${path}`, headers, body));
const mebibytes = (count: number) => count * 1024 * 1024;
const good = JSON.stringify(reviewOf({}));
const wrong = reviewOf({ dryRun: true, object: backup({ schedule: '99 1 * * *' }) });

/** A review in which one place holds a text that JSON.stringify would not write. */
const crooked = (object: object, raw: string, request: Record<string, unknown> = {}) =>
  JSON.stringify(reviewOf({ object, ...request })).replace('"@@"', raw);
const nest = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

describe('has its answer:', () => {
  test.each<[string, number, () => Promise<string>]>([
    ['GET', 405, () => exchange(target, http('GET /validate', {}))],
    ['a path that is not there', 404, () => post(good, json, '/validate/all')],
    ['an empty body', 400, () => post('')],
    ['a body that is not JSON', 400, () => post('apiVersion: v1')],
    ['half of a body as JSON', 400, () => post(good.slice(0, -1))],
    ['3 MiB', 200, () => post(good.padEnd(mebibytes(3)))],
    ['3 MiB and a byte', 413, () => post(good.padEnd(mebibytes(3) + 1))],
    ['a length of a gigabyte', 413, () => post('', { ...json, 'content-length': 1e9 })],
    ['gzip', 415, () => post(gzipSync(good), { ...json, 'content-encoding': 'gzip' })],
    ['YAML', 415, () => post('a: b', { 'content-type': 'application/yaml' })],
    ['v1beta1', 400, () => post(JSON.stringify(reviewOf({}, { apiVersion: 'admission.k8s.io/v1beta1' })))],
    ['no request', 400, () => post(JSON.stringify(reviewOf({}, { request: undefined })))],
    ['no uid', 400, () => post(JSON.stringify(reviewOf({ uid: undefined })))],
    ['a uid of 10 KB', 400, () => post(JSON.stringify(reviewOf({ uid: 'u'.repeat(10_240) })))],
    ['a kind of another group', 400, () => post(JSON.stringify(reviewOf({ kind: { group: 'apps' } })))],
    ['a resource of another group', 400, () => post(JSON.stringify(reviewOf({ resource: { group: 'apps' } })))],
    ['CONNECT', 400, () => post(JSON.stringify(reviewOf({ operation: 'CONNECT' })))],
    ['the scale subresource', 400, () => post(JSON.stringify(reviewOf({ subResource: 'scale' })))],
    ['100,000 open brackets', 400, () => post('['.repeat(100_000))],
    ['a header of 1 MB', 431, () => post(good, { ...json, 'x-large': 'x'.repeat(1e6) })],
    ['plain HTTP inside of TLS that is none', 400, () => exchange(target, 'EHLO webhook\r\n\r\n')],
  ])('%s: %i', async (_what, status, ask) => {
    expect(statuses(await ask())).toEqual([status]);
  });

  test.concurrent.each<[string, () => Promise<string>]>([
    ['headers without end', () => exchange(target, 'POST /validate HTTP/1.1\r\nHost: x\r\n')],
    ['a body without end', () => post('{', { ...json, 'content-length': 9 })],
  ])('%s: 408', async (_what, ask) => {
    expect(statuses(await ask())).toEqual([408]);
  });
});

describe('is judged like any other:', () => {
  const schedule = (raw: string) => crooked(backup({ schedule: '@@' }), raw);
  const proto = '"99 1 * * *","__proto__":{"schedule":"0 1 * * *"},"constructor":{"prototype":{"polluted":1}}';
  test.each<[string, string, true | string]>([
    ['DELETE without an object', JSON.stringify(reviewOf({ operation: 'DELETE', object: null })), true],
    ['a dry run that is right', JSON.stringify(reviewOf({ dryRun: true })), true],
    ['a dry run that is wrong', JSON.stringify(wrong), 'minute "99" is out of range'],
    ['a status write', JSON.stringify(reviewOf({ subResource: 'status', object: null })), true],
    ['__proto__ and constructor', schedule(proto), 'spec.schedule: "99 1 * * *"'],
    ['a request inside __proto__', good.replace('"request"', '"__proto__":{"request":{}},"request"'), true],
    ['a key twice, the last one wrong', schedule('"0 1 * * *","schedule":"99 1 * * *"'), 'spec.schedule: "99'],
    ['a depth of 10,000', schedule(nest(10_000)), 'is nested deeper than 32 levels'],
    ['a number of 1e308', schedule('1e308'), 'spec.schedule: 1e+308'],
    ['a number beyond all numbers', schedule('-1e999'), 'spec.schedule: '],
    ['half a surrogate pair', schedule('"\\ud800"'), 'spec.schedule: "\\ud800"'],
    ['a name with half of one', crooked(backup({}, { name: '@@' }), '"\\udfff"'), 'metadata.name: '],
  ])('%s', async (_what, body, verdict) => {
    const answer = await post(body);
    expect(statuses(answer)).toEqual([200]);
    const { response } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as {
      response: { uid: string; allowed: boolean; status?: { message: string } };
    };
    expect([response.uid, response.allowed]).toEqual(['a-uid', verdict === true]);
    if (verdict !== true) expect(response.status?.message).toContain(verdict);
  });
});

test('TLS before 1.2 and no TLS at all get no answer', async () => {
  const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const)
    expect(await handshake(target, { ...old, maxVersion })).toMatch(/PROTOCOL_VERSION/);
  expect(await handshake(target, { maxVersion: 'TLSv1.2' })).toBeUndefined();
  await expect(fetch(`http://127.0.0.1:${target.port}/validate`)).rejects.toThrow();
});

const unfinished = (length: number, body: string) =>
  http('POST /validate', { ...json, connection: 'keep-alive', 'content-length': length }, body).toString();

test.each([
  ['2,000 that say nothing', 2_000, ''],
  ['100 that stop in their headers', 100, 'POST /validate HTTP/1.1\r\nHost: x\r\n'],
  ['100 that stop in their body', 100, unfinished(1_000, '{')],
  ['80 that stop near the end of 3 MiB', 80, unfinished(mebibytes(3), ' '.repeat(mebibytes(3) - 9))],
])('%s keep nobody out', async (_what, size, text) => {
  const sockets = await crowd(target, size, text);
  const until = answered + 20;
  await eventually('well-behaved requests', async () => answered >= until || undefined);
  for (const socket of sockets) socket.destroy();
});

test('after all that it is well, and no well-behaved request has failed', async () => {
  stopping = true;
  expect(await manners).toEqual([]);
  expect(answered).toBeGreaterThan(100);
  const kibibytes = Number(await run(['ps', '-o', 'rss=', '-p', String(child.pid)]));
  // The limit of its pod.
  expect(kibibytes).toBeLessThan(512 * 1024);
  await child.stop();
  expect(child.output()).toMatch(/"msg":"stopped"}$/);
});
