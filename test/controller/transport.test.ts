// The way to the API server: connections that last, limits that are kept, calls that can be given up, errors that say what the server said.
import { getEventListeners } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { kubeOf } from '../../controller/kube.ts';
import { Limiter } from '../../controller/limit.ts';
import { ApiError, Transport } from '../../controller/transport.ts';
import { backup, lease } from './builders.ts';

let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
/** The connection of each request. */
let sockets: Socket[];
let config: KubeConfig;
let limiter: Limiter;
let transport: Transport;
const get = { method: 'GET', path: '/thing' } as const;

beforeEach(async () => {
  sockets = [];
  answer = (_request, response) => void response.end('{"metadata":{}}');
  server = createServer((request, response) => {
    sockets.push(request.socket);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  config = new KubeConfig();
  config.loadFromOptions({
    clusters: [
      { name: 'c', server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    ],
    users: [{ name: 'nobody' }],
    contexts: [{ name: 'c', cluster: 'c', user: 'nobody' }],
    currentContext: 'c',
  });
  limiter = new Limiter(1000, 1000);
  transport = new Transport(config, limiter);
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('connections', () => {
  const well = (_request: IncomingMessage, response: ServerResponse): void => void response.end('{}');
  /** Whether the next call goes over a connection that was there before it. */
  const keeps = async (): Promise<boolean> => {
    const known = new Set(sockets);
    answer = well;
    await transport.call(get);
    return known.has(sockets.at(-1) as Socket);
  };

  test('last from call to call', async () => {
    for (let count = 0; count < 20; count++) await transport.call(get);
    // One is free again a moment after its answer is read, so that two take turns.
    expect(new Set(sockets).size).toBeLessThanOrEqual(2);
  });

  test('are shared with who uses the transport for something', async () => {
    const leader = transport.for({ lane: 'leader' });
    for (let count = 0; count < 10; count++) await (count % 2 === 0 ? transport : leader).call(get);
    expect(new Set(sockets).size).toBeLessThanOrEqual(2);
  });

  test('are new after a call that had no answer: the others may be as dead', async () => {
    await Promise.all([transport.call(get), transport.call(get), transport.call(get)]);
    answer = () => undefined;
    await expect(transport.call({ ...get, signal: AbortSignal.timeout(20) })).rejects.toThrow();
    expect(await keeps()).toBe(false);
  });

  test('are new after an answer that breaks off', async () => {
    for (let count = 0; count < 3; count++) await transport.call(get);
    answer = (_request, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('{', () => response.destroy());
    };
    await expect(transport.call(get)).rejects.toThrow();
    expect(await keeps()).toBe(false);
  });

  test('are new after a watch that breaks off', async () => {
    for (let count = 0; count < 3; count++) await transport.call(get);
    answer = (_request, response) => {
      response.writeHead(200);
      response.write('one\n', () => response.destroy());
    };
    const lines = transport.lines(get);
    await expect(lines.next().then(() => lines.next())).rejects.toThrow();
    expect(await keeps()).toBe(false);
  });

  test('are new after a 401: the certificate they were made with may have run out', async () => {
    for (let count = 0; count < 3; count++) await transport.call(get);
    answer = (_request, response) => void response.writeHead(401).end('{}');
    await expect(transport.call(get)).rejects.toMatchObject({ status: 401 });
    expect(await keeps()).toBe(false);
  });

  test('need one proof of who calls for many calls, and a new one after a 401', async () => {
    const proofs = vi.spyOn(config, 'applySecurityAuthentication');
    for (let count = 0; count < 5; count++) await transport.call(get);
    expect(proofs).toHaveBeenCalledTimes(1);
    answer = (_request, response) => void response.writeHead(401).end('{}');
    await expect(transport.call(get)).rejects.toMatchObject({ status: 401 });
    answer = well;
    await transport.call(get);
    expect(proofs).toHaveBeenCalledTimes(2);
  });

  test('outlive an error of the server', async () => {
    for (let count = 0; count < 3; count++) await transport.call(get);
    answer = (_request, response) => void response.writeHead(500).end('{}');
    await expect(transport.call(get)).rejects.toThrow(ApiError);
    expect(await keeps()).toBe(true);
  });
});

describe('the deletion of a Job', () => {
  const answered = async (found: string | undefined): Promise<number> => {
    answer = ({ method }, response) => {
      if (method === 'DELETE') response.writeHead(409).end('{}');
      else if (found === undefined) response.writeHead(404).end('{}');
      else response.end(JSON.stringify({ metadata: { uid: found } }));
    };
    return await kubeOf(transport)
      .deleteJob('shop', 'orders', 'uid-1')
      .then(
        () => 200,
        (error: unknown) => (error instanceof ApiError ? error.status : 0),
      );
  };

  test('that meets a conflict is done when the Job is gone or another has its name, and not when it is there', async () => {
    expect(await answered(undefined)).toBe(200);
    expect(await answered('uid-2')).toBe(200);
    expect(await answered('uid-1')).toBe(409);
  });
});

describe('limits', () => {
  test('are taken by the bucket of the method and the lane of the call, of its user, or the last', async () => {
    const reads = vi.spyOn(limiter.reads, 'take');
    const writes = vi.spyOn(limiter.writes, 'take');
    await transport.call(get);
    await transport.call({ method: 'PATCH', path: '/job', body: {}, lane: 'start' });
    await transport.for({ lane: 'leader' }).call({ method: 'PUT', path: '/lease', body: {}, lane: 'lock' });
    expect(reads.mock.calls.map(([lane]) => lane)).toEqual(['other']);
    expect(writes.mock.calls.map(([lane]) => lane)).toEqual(['start', 'leader']);
  });

  test('let each write of a launch go in its lane', async () => {
    const writes = vi.spyOn(limiter.writes, 'take');
    const kube = kubeOf(transport);
    await kube.createJob('shop', {});
    await kube.createLease('shop', {});
    await kube.putLease(lease(undefined));
    await kube.putBackupStatus(backup(), true);
    await kube.patchJob('shop', 'orders', {});
    await kube.putBackupStatus(backup());
    await kube.deleteJob('shop', 'orders', 'uid');
    await kube.createEvent('shop', {});
    const lanes = ['create', 'lock', 'lock', 'claim', 'start', 'status', 'other', 'other'];
    expect(writes.mock.calls.map(([lane]) => lane)).toEqual(lanes);
  });

  test('do not count a watch', async () => {
    const reads = vi.spyOn(limiter.reads, 'take');
    answer = (_request, response) => void response.end('one\ntwo\n');
    const lines: string[] = [];
    for await (const line of transport.lines(get)) lines.push(line);
    expect(lines).toEqual(['one', 'two']);
    expect(reads).not.toHaveBeenCalled();
  });

  test.each([429, 503])('stand still for as long as a %d asks, in its bucket alone', async (code) => {
    const reads = vi.spyOn(limiter.reads, 'pause');
    const writes = vi.spyOn(limiter.writes, 'pause');
    answer = (_request, response) => void response.writeHead(code, { 'Retry-After': '3' }).end('{}');
    const write = transport.call({ method: 'POST', path: '/jobs', body: {} });
    await expect(write).rejects.toMatchObject({ status: code, retryAfter: 3 });
    expect(writes.mock.calls).toEqual([[3000]]);
    expect(reads).not.toHaveBeenCalled();
  });

  test.each([
    [429, {}],
    [500, { 'Retry-After': '3' }],
  ])('do not for a %d with %j', async (code, headers) => {
    const pause = vi.spyOn(limiter.reads, 'pause');
    answer = (_request, response) => void response.writeHead(code, headers).end('{}');
    await expect(transport.call(get)).rejects.toMatchObject({ status: code });
    expect(pause).not.toHaveBeenCalled();
  });

  test('are obeyed by a watch that is refused', async () => {
    const pause = vi.spyOn(limiter.reads, 'pause');
    answer = (_request, response) => void response.writeHead(429, { 'Retry-After': '1' }).end('{}');
    await expect(transport.lines(get).next()).rejects.toMatchObject({ status: 429 });
    expect(pause).toHaveBeenCalledWith(1000);
  });
});

describe('a call', () => {
  test('is given up with its user, while it waits for an answer', async () => {
    const ending = new AbortController();
    const user = transport.for({ signal: () => ending.signal });
    answer = () => ending.abort(new Error('the end'));
    await expect(user.call(get)).rejects.toThrow('the end');
  });

  test('is given up with its user, while it waits for its turn', async () => {
    const ending = new AbortController();
    limiter.reads.pause(30_000);
    const call = transport.for({ signal: () => ending.signal }).call(get);
    ending.abort(new Error('the end'));
    await expect(call).rejects.toThrow('the end');
    expect(sockets).toEqual([]);
  });

  test('asks for the signal of its user each time: one term has ended, another begun', async () => {
    const terms = [AbortSignal.abort(new Error('the end')), new AbortController().signal];
    const user = transport.for({ signal: () => terms.shift() ?? AbortSignal.abort() });
    await expect(user.call(get)).rejects.toThrow('the end');
    await expect(user.call(get)).resolves.toEqual({ metadata: {} });
  });

  test('leaves nothing on a signal that outlives it', async () => {
    const { signal } = new AbortController();
    for (let count = 0; count < 20; count++) await transport.for({ signal: () => signal }).call({ ...get, signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
