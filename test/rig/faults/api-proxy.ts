// A proxy between a client and the real API server that can stop time around a write: the place where crash tests pull the plug.

import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';

export interface Write {
  /** Counts the writes of the client, from 1. */
  number: number;
  method: string;
  path: string;
  /** Status of the server's answer; absent before it is sent on. */
  status?: number;
}

export interface ApiProxy {
  port: number;
  /** Called before a write is sent on and after it is answered. True: the client gets no answer; before: the server no request. */
  onWrite: (write: Write, when: 'before' | 'after') => boolean;
  /** Which writes count. */
  counts: (method: string, path: string) => boolean;
  writes: Write[];
  /** Writes a kubeconfig that leads through the proxy. */
  kubeconfig(file: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts on loopback in front of the API server of a kubeconfig, with that kubeconfig's rights. */
export async function startApiProxy(kubeconfig: string): Promise<ApiProxy> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const upstream = new URL(config.getCurrentCluster()?.server ?? '');
  const server = createServer((request, response) => void forward(request, response));
  const proxy: ApiProxy = {
    port: 0,
    onWrite: () => false,
    counts: () => true,
    writes: [],
    kubeconfig: (file) => writeKubeconfig(file, proxy.port),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const method = request.method ?? 'GET';
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const counted = method !== 'GET' && proxy.counts(method, path);
    const write: Write = { number: proxy.writes.length + 1, method, path };
    if (counted) proxy.writes.push(write);
    if (counted && proxy.onWrite(write, 'before')) return void response.destroy();
    const options: Parameters<typeof httpsRequest>[1] = {
      method,
      headers: { ...request.headers, host: upstream.host },
    };
    await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
    options.headers = { ...request.headers, ...options.headers, host: upstream.host };
    const onward = httpsRequest(new URL(request.url ?? '', upstream), options, (answer) => {
      write.status = answer.statusCode ?? 0;
      if (counted && proxy.onWrite(write, 'after')) {
        answer.resume();
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(Buffer.concat(chunks));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.port = (server.address() as AddressInfo).port;
  return proxy;
}

async function writeKubeconfig(file: string, port: number): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    // The client refuses plain HTTP unless it is told that TLS does not matter here.
    clusters: [{ name: 'proxy', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'proxy', user: {} }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    'current-context': 'proxy',
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
}
