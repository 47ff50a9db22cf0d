// The HTTPS server against a hostile client: a real server, real TLS, requests that no API server would send.
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type RequestOptions, request as send } from 'node:https';
import { connect } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authorityOf, type Certificate, makeCertificate } from '../../webhook/certificate.ts';
import { drain, listen } from '../../webhook/listen.ts';
import { review } from '../../webhook/review.ts';
import {
  type AdmissionServer,
  admissionServer,
  application,
  healthServer,
  type Patience,
} from '../../webhook/server.ts';
import { backup, reviewOf } from './objects.ts';

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

const log = pino({ level: 'silent' });
const json = { 'content-type': 'application/json' };
const servers: AdmissionServer[] = [];
let certificate: Certificate;
let port: number;

async function serve(decide: typeof review = review, patience?: Patience): Promise<AdmissionServer & { port: number }> {
  const made = admissionServer(application(log, decide), patience);
  made.server.setSecureContext(certificate);
  servers.push(made);
  return { ...made, port: await listen(made.server, 0) };
}

function ask(options: RequestOptions, body?: string | Buffer, to = port): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: to, ca: authorityOf(certificate), agent: false };
    const request = send({ method: 'POST', path: '/validate', ...where, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    // A refusal may come, and the connection go, while a large body is still being sent.
    request.on('error', reject).end(body);
  });
}

const post = (body: unknown, path = '/validate') => ask({ path, headers: json }, JSON.stringify(body));

/** Writes this and then nothing more; resolves to all that comes back until the server hangs up. */
function stall(text: string, to = port): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ host: '127.0.0.1', port: to, ca: authorityOf(certificate) }, () => socket.write(text));
    socket.setEncoding('utf8').on('data', (part: string) => {
      answer += part;
    });
    socket.on('close', () => resolve(answer)).on('error', reject);
  });
}

beforeAll(async () => {
  certificate = await makeCertificate(['127.0.0.1'], '', new Date());
  ({ port } = await serve());
});

afterAll(async () => {
  for (const { server, connections } of servers) await drain(server, connections, { linger: 0, limit: 0 });
});

test('a review is answered on both paths, with the query that the API server adds', async () => {
  for (const path of ['/mutate?timeout=5s', '/validate?timeout=5s']) {
    const reply = await post(reviewOf({}), path);
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(JSON.parse(reply.body)).toMatchObject({
      kind: 'AdmissionReview',
      response: { uid: 'a-uid', allowed: true },
    });
  }
});

test('an object that is refused is still a reply of 200', async () => {
  const reply = await post(reviewOf({ object: backup({ retention: {} }) }));
  expect([reply.status, JSON.parse(reply.body).response.allowed]).toEqual([200, false]);
});

test.each(['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'])('method %s is not allowed', async (method) => {
  const reply = await ask({ method, path: '/mutate' });
  expect([reply.status, reply.headers['allow']]).toEqual([405, 'POST']);
});

test.each(['/', '/Mutate', '/validate/', '/mutate/x', '/healthz', '/%2e%2e/validate'])(
  '%s is not found',
  async (path) => {
    expect((await ask({ path, headers: json }, JSON.stringify(reviewOf({})))).status).toBe(404);
  },
);

test.each([
  ['text', { 'content-type': 'text/plain' }, '{}'],
  ['no type', {}, '{}'],
  ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'],
  ['YAML', { 'content-type': 'application/yaml' }, '{}'],
  ['a foreign charset', { 'content-type': 'application/json; charset=iso-8859-1' }, '{}'],
  ['a compressed body', { ...json, 'content-encoding': 'gzip' }, gzipSync(JSON.stringify(reviewOf({})))],
  ['an unknown encoding', { ...json, 'content-encoding': 'zip' }, '{}'],
])('%s is not supported', async (_what, headers, body) => {
  expect((await ask({ headers }, body)).status).toBe(415);
});

test.each([
  ['nothing', ''],
  ['half of an object', '{"kind":'],
  ['text', '"review"'],
  ['a number', '1'],
  ['null', 'null'],
  ['a list', '[]'],
  ['an object that is no review', '{}'],
  ['a review of the old version', JSON.stringify(reviewOf({}, { apiVersion: 'admission.k8s.io/v1beta1' }))],
  ['a review without uid', JSON.stringify(reviewOf({ uid: undefined }))],
  ['a nesting without end', '['.repeat(100_000)],
])('%s is a bad request', async (_what, body) => {
  expect((await ask({ headers: json }, body)).status).toBe(400);
});

test('members that JavaScript reads specially are data like any other', async () => {
  const text = JSON.stringify(reviewOf({})).replace('"operation"', '"__proto__":{"operation":"DELETE"},"operation"');
  const reply = await ask({ headers: json }, text);
  expect([reply.status, JSON.parse(reply.body).response.allowed]).toEqual([200, true]);
  expect(({} as Record<string, unknown>)['operation']).toBeUndefined();
});

test('a body of 3 MiB is read, a larger one is not', async () => {
  const limit = 3 * 1024 * 1024;
  const text = JSON.stringify(reviewOf({}));
  expect((await ask({ headers: json }, text.padEnd(limit))).status).toBe(200);
  expect((await ask({ headers: { ...json, 'content-length': limit + 1 } }, text.padEnd(limit + 1))).status).toBe(413);
});

test('a larger body without a length is cut off', async () => {
  const reply = await ask({ headers: { ...json, 'transfer-encoding': 'chunked' } }, '{'.padEnd(3 * 1024 * 1024 + 1));
  expect([reply.status, reply.headers['connection']]).toEqual([413, 'close']);
});

test('a failure inside is an error and never an admission, and keeps its cause to itself', async () => {
  const failing = await serve(() => {
    throw new TypeError('secret of the house');
  });
  const reply = await ask({ headers: json }, JSON.stringify(reviewOf({})), failing.port);
  expect(reply.status).toBe(500);
  expect(reply.body).not.toContain('secret');
});

test.each([
  ['headers', 'POST /validate HTTP/1.1\r\nHost: x\r\n'],
  ['a body', 'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{'],
])('a client that stops in the middle of %s is cut off', async (_what, text) => {
  const { port: impatient } = await serve(review, { headers: 1_000, request: 2_000, look: 100 });
  expect(await stall(text, impatient)).toMatch(/^HTTP\/1\.1 408 /);
});

test('what follows a body that was refused is not read as a request', async () => {
  const smuggled =
    'POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
  const answers = await stall(`POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde${smuggled}`);
  expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404']);
});

test('text that is not HTTP ends the connection', async () => {
  expect(await stall('EHLO webhook\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

test('a connection without TLS gets no answer', async () => {
  await expect(fetch(`http://127.0.0.1:${port}/validate`)).rejects.toThrow();
});

test('a new certificate is served to new connections without a restart', async () => {
  const { server, port: own } = await serve();
  const renewed = await makeCertificate(['127.0.0.1'], '', new Date());
  const body = JSON.stringify(reviewOf({}));
  expect((await ask({ headers: json }, body, own)).status).toBe(200);
  server.setSecureContext(renewed);
  await expect(ask({ headers: json }, body, own)).rejects.toThrow();
  expect((await ask({ headers: json, ca: authorityOf(renewed) }, body, own)).status).toBe(200);
});

test('draining finishes what is in flight, accepts nothing new and cuts off the rest', async () => {
  const { server, connections, port: own } = await serve();
  const body = JSON.stringify(reviewOf({}));
  const open = new Promise<number>((resolve, reject) => {
    const headers = { ...json, 'content-length': Buffer.byteLength(body) };
    const where = { host: '127.0.0.1', port: own, path: '/validate', ca: authorityOf(certificate) };
    const request = send({ method: 'POST', headers, ...where }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject).write(body.slice(0, 10));
    server.once('request', async () => {
      const drained = drain(server, connections, { linger: 0, limit: 5_000 });
      await expect(ask({ headers: json }, body, own)).rejects.toThrow();
      request.end(body.slice(10));
      await drained;
    });
  });
  expect(await open).toBe(200);
});

test('a request that never ends, and a client that never asks, do not hold up the end', async () => {
  const { server, connections, port: own } = await serve();
  const socket = connect({ host: '127.0.0.1', port: own, ca: authorityOf(certificate) });
  socket.on('error', () => {}).write('POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{');
  const silent = connect({ host: '127.0.0.1', port: own, ca: authorityOf(certificate) }).on('error', () => {});
  await Promise.all([once(server, 'request'), once(silent, 'secureConnect')]);
  await drain(server, connections, { linger: 0, limit: 50 });
  expect(server.listening).toBe(false);
});

test('while it lingers, who asks is answered and told to close', async () => {
  const { server, connections, port: own } = await serve();
  const agent = new Agent({ keepAlive: true });
  const body = JSON.stringify(reviewOf({}));
  expect((await ask({ headers: json, agent }, body, own)).headers['connection']).toBe('keep-alive');
  const drained = drain(server, connections, { linger: 2_000, limit: 0 });
  const reply = await ask({ headers: json, agent }, body, own);
  expect([reply.status, reply.headers['connection']]).toEqual([200, 'close']);
  await drained;
  agent.destroy();
});

test('health says that it runs, and whether it can be asked', async () => {
  let ready = false;
  const server = healthServer(() => ready);
  const base = `http://127.0.0.1:${await listen(server, 0)}`;
  const status = async (path: string) => (await fetch(base + path)).status;
  expect([await status('/healthz'), await status('/readyz'), await status('/x')]).toEqual([200, 503, 404]);
  ready = true;
  expect(await status('/readyz')).toBe(200);
  server.close().closeAllConnections();
});
