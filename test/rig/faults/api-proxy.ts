// A proxy between a client and the real API server: the place where crash tests pull the plug, lose, delay and refuse.

import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';

export interface Write {
  /** Counts the writes of the client, from 1. */
  number: number;
  method: string;
  path: string;
  body: string;
  /** Status of the server's answer; absent before it has come. */
  status?: number;
}

/** What befalls a write. The client sees a reset connection where it gets no answer. */
export type Fault = (
  | { kind: 'drop' }
  /** The server does it, the client is not told. */
  | { kind: 'lose' }
  /** The server gets it this much later. */
  | { kind: 'delay'; milliseconds: number }
  /** The client is cut off at once, and yet the server gets it this much later. */
  | { kind: 'late'; milliseconds: number }
  /** The server gets nothing, the client this answer. */
  | { kind: 'answer'; status: number; retryAfterSeconds?: number }
) & {
  /** Called when the fault has happened, for the client before it can notice. */
  done?: () => void;
};

export interface ApiProxy {
  port: number;
  /** What befalls a write that counts; asked once for each, before the server gets anything. */
  fault: (write: Write) => Fault | undefined;
  /** Which writes count. */
  counts: (method: string, path: string) => boolean;
  /** By how many ms what a watch tells comes late; asked for each piece, which are never put out of order. */
  lag: () => number;
  writes: Write[];
  /** A kubeconfig, in JSON, that leads through the proxy. */
  kubeconfig(): string;
  writeKubeconfig(file: string): Promise<void>;
  /** Cuts all that is open. What is to arrive late still does. */
  stop(): Promise<void>;
}

/** The API server behind the proxies, with connections that are kept. */
export interface Upstream {
  url: URL;
  options: RequestOptions;
}

export async function upstreamOf(kubeconfig: string): Promise<Upstream> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const { ca, cert, key } = options;
  const agent = new Agent({ keepAlive: true, ca, cert, key });
  return { url: new URL(config.getCurrentCluster()?.server ?? ''), options: { ...options, agent } };
}

/** Starts on loopback in front of an API server, with the rights of its kubeconfig. */
export async function startApiProxy(upstream: Upstream): Promise<ApiProxy> {
  const server = createServer((request, response) => void serve(request, response));
  const proxy: ApiProxy = {
    port: 0,
    fault: () => undefined,
    counts: () => true,
    lag: () => 0,
    writes: [],
    kubeconfig: () => kubeconfigOf(proxy.port),
    writeKubeconfig: (file) => writeFile(file, kubeconfigOf(proxy.port), { mode: 0o600 }),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The client is gone before it has said all.
      return;
    }
    const path = (request.url ?? '').split('?')[0] ?? '';
    const method = request.method ?? 'GET';
    const call = { upstream, request, body: Buffer.concat(chunks) };
    if (method === 'GET' && /[?&]watch=/.test(request.url ?? '')) return passLate(call, response, proxy);
    if (method === 'GET' || !proxy.counts(method, path)) return pass(call, response);
    const write: Write = { number: proxy.writes.length + 1, method, path, body: call.body.toString() };
    proxy.writes.push(write);
    const fault = proxy.fault(write);
    if (fault === undefined) pass(call, response, write);
    else await befall(call, response, write, fault);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.port = (server.address() as AddressInfo).port;
  return proxy;
}

interface Call {
  upstream: Upstream;
  request: IncomingMessage;
  body: Buffer;
}

async function befall(call: Call, response: ServerResponse, write: Write, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'drop':
      fault.done?.();
      response.destroy();
      return;
    case 'lose':
      write.status = await sent(call);
      fault.done?.();
      response.destroy();
      return;
    case 'delay':
      await sleep(fault.milliseconds);
      fault.done?.();
      pass(call, response, write);
      return;
    case 'late':
      fault.done?.();
      response.destroy();
      await sleep(fault.milliseconds);
      write.status = await sent(call);
      return;
    case 'answer': {
      fault.done?.();
      const { status, retryAfterSeconds } = fault;
      const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, message: 'said by the proxy' };
      const wait = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) };
      response.writeHead(status, { 'Content-Type': 'application/json', ...wait }).end(JSON.stringify(body));
    }
  }
}

function onwards({ upstream, request }: Call, answered: (answer: IncomingMessage) => void) {
  const { url, options } = upstream;
  const headers = { ...request.headers, ...options.headers, host: url.host };
  return httpsRequest(
    new URL(request.url ?? '', url),
    { ...options, method: request.method ?? 'GET', headers },
    answered,
  );
}

/** Sends it on and the answer back. */
function pass(call: Call, response: ServerResponse, write?: Write): void {
  const onward = onwards(call, (answer) => {
    if (write !== undefined) write.status = answer.statusCode ?? 0;
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  onward.end(call.body);
}

/** As pass, and all that comes back comes late. */
function passLate(call: Call, response: ServerResponse, { lag }: ApiProxy): void {
  const onward = onwards(call, (answer) => {
    let before = Promise.resolve();
    const after = (act: () => void): void => {
      const wait = sleep(lag());
      before = Promise.all([before, wait]).then(act);
    };
    response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
    answer.on('data', (piece: Buffer) => after(() => response.write(piece)));
    answer.on('end', () => after(() => response.end()));
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  onward.end(call.body);
}

/** Sends it on and gives the status of the answer, 0 where there was none. */
function sent(call: Call): Promise<number> {
  return new Promise((resolve) => {
    const onward = onwards(call, (answer) => {
      answer.resume();
      answer.on('close', () => resolve(answer.statusCode ?? 0));
    });
    onward.on('error', () => resolve(0));
    onward.end(call.body);
  });
}

function kubeconfigOf(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    // The client refuses plain HTTP unless it is told that TLS does not matter here.
    clusters: [{ name: 'proxy', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'proxy', user: {} }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    'current-context': 'proxy',
  });
}
