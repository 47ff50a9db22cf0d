// A proxy between one controller and the real API server that makes the network and the server fail as a test asks. It can narrow
// what a controller sees to one namespace, so that many controllers, each with its own faults, share a control plane.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Agent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';

export interface Asked {
  method: string;
  path: string;
  watch: boolean;
  /** Steady time in ms. */
  at: number;
  /** Of the answer, where it came. */
  status?: number;
}

export type Fault =
  /** The client sees its connection break: before the server has the request, or after it has done what was asked. */
  | { lose: 'request' | 'answer' }
  | { answer: number; retryAfter?: number }
  /** The request waits here. */
  | { hold: Promise<unknown> }
  /** The server is asked something else. */
  | { query: Record<string, string> };

export interface FaultProxy {
  /** Where a kubeconfig of it is. */
  url: string;
  /** Everything asked, the oldest first. */
  asked: Asked[];
  /** What befalls a request; undefined for nothing. */
  fault: (asked: Asked) => Fault | undefined;
  /** Watches of paths that end so keep their news back until thaw(), those opened meanwhile too. */
  freeze(...ends: string[]): void;
  thaw(): void;
  /** Open watches never tell anything again, and stay open. */
  deafen(): void;
  /** Breaks every connection and takes no new one. */
  down(): Promise<void>;
  up(): Promise<void>;
}

interface Stream {
  path: string;
  response: ServerResponse;
  kept: Buffer[];
  deaf: boolean;
}

const kinds = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(databasebackups|jobs|pods|leases)$/;

/** @param namespace all that the client gets to see of the kinds that it follows; everything without it */
export async function startFaultProxy(kubeconfig: string, namespace?: string): Promise<FaultProxy> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const upstream = new URL(config.getCurrentCluster()?.server ?? '');
  // One for all: the client's certificate does not change.
  const access: { headers: Record<string, string>; agent?: Agent } = { headers: {} };
  await config.applyToHTTPSOptions(access as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const server = createServer((request, response) => {
    forward(request, response).catch(() => response.destroy());
  });
  const streams = new Set<Stream>();
  let frozen: string[] = [];
  const listen = (port: number): Promise<void> =>
    new Promise((done) => {
      const attempt = () => server.listen(port, '127.0.0.1');
      // A connection of somebody else's may have the port for the moment.
      const again = () => setTimeout(attempt, 100);
      server.on('error', again).once('listening', () => {
        server.off('error', again);
        done();
      });
      attempt();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const isFrozen = ({ path }: Stream): boolean => frozen.some((end) => path.endsWith(end));
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${port}`,
    asked: [],
    fault: () => undefined,
    freeze: (...ends) => {
      frozen = ends;
    },
    thaw: () => {
      frozen = [];
      for (const { response, kept } of streams) for (const chunk of kept.splice(0)) response.write(chunk);
    },
    deafen: () => {
      for (const stream of streams) stream.deaf = true;
    },
    down: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
    up: () => listen(port),
  };

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', upstream);
    const asked: Asked = {
      method: request.method ?? 'GET',
      path: url.pathname,
      watch: url.searchParams.get('watch') === 'true',
      at: performance.now(),
    };
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    proxy.asked.push(asked);
    const fault = proxy.fault(asked);
    if (fault !== undefined && 'hold' in fault) await fault.hold;
    if (fault !== undefined && 'answer' in fault) return refuse(response, fault.answer, fault.retryAfter);
    if (fault !== undefined && 'lose' in fault && fault.lose === 'request') return void response.destroy();
    if (fault !== undefined && 'query' in fault)
      for (const [key, value] of Object.entries(fault.query)) url.searchParams.set(key, value);
    if (namespace !== undefined) url.pathname = url.pathname.replace(kinds, `$1/namespaces/${namespace}/$2`);
    const headers = { ...request.headers, ...access.headers, host: upstream.host };
    const onward = httpsRequest(url, { ...access, method: asked.method, headers }, (answer) => {
      asked.status = answer.statusCode ?? 0;
      if (fault !== undefined && 'lose' in fault) {
        answer.resume();
        response.destroy();
        return;
      }
      response.writeHead(asked.status, answer.headers);
      if (asked.watch) follow({ path: asked.path, response, kept: [], deaf: false }, answer);
      else answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    // An answer that is to be lost is one to a request that was done, though its client is dead already.
    if (fault === undefined || !('lose' in fault)) response.on('close', () => onward.destroy());
    onward.end(Buffer.concat(chunks));
  }

  function follow(stream: Stream, answer: IncomingMessage): void {
    const { response, kept } = stream;
    streams.add(stream);
    response.on('close', () => streams.delete(stream));
    response.flushHeaders();
    answer.on('data', (chunk: Buffer) => {
      if (stream.deaf) return;
      if (isFrozen(stream)) kept.push(chunk);
      else response.write(chunk);
    });
    answer.on('end', () => {
      if (!stream.deaf) response.end();
    });
  }

  return proxy;
}

function refuse(response: ServerResponse, code: number, retryAfter: number | undefined): void {
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) };
  response
    .writeHead(code, { ...headers, 'content-type': 'application/json' })
    .end(JSON.stringify({ kind: 'Status', status: 'Failure', message: 'a fault of the test', code }));
}
