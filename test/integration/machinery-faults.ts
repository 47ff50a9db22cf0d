// What can befall the way between the controller and its API server: a line that goes dead, requests that are held, a server that is
// killed and started again, a store that forgets its history.
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { apiOf } from '../rig/cluster/api.ts';
import { isAlive, killAll, type Recorded, recordedPrograms, startProgram } from '../rig/cluster/processes.ts';
import { kubeconfigFile, rigDirectory } from '../rig/cluster/state.ts';
import { waitFor } from '../wait.ts';

export interface Line {
  /** The rights of the kubeconfig, by way of this line. */
  config: KubeConfig;
  /** Connections so far. */
  opened(): number;
  /** Connections that are open forward nothing any more, in silence; new ones are as good as ever. */
  freeze(): void;
  stop(): Promise<void>;
}

/** A TCP proxy in front of the API server; TLS goes through it. */
export async function startLine(kubeconfig: string): Promise<Line> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  const upstream = new URL(cluster?.server ?? '');
  const pairs: [Socket, Socket][] = [];
  const server = createTcpServer((client) => {
    const onward = connect(Number(upstream.port), upstream.hostname);
    pairs.push([client, onward]);
    client.pipe(onward).pipe(client);
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const)
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  config.clusters = config.clusters.map((one) => ({ ...one, server: through }));
  return {
    config,
    opened: () => pairs.length,
    freeze: () => {
      for (const socket of pairs.flat()) socket.unpipe().pause();
    },
    stop: async () => {
      for (const socket of pairs.flat()) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Passage {
  method: string;
  url: URL;
  /** Of the answer, once there is one. */
  status?: number;
}

export interface Gate {
  config: KubeConfig;
  kubeconfig(file: string): Promise<void>;
  passages: Passage[];
  /** Awaited before a request is sent on. */
  before: (passage: Passage) => Promise<void>;
  /** Ends the watches that are open as a server does whose time for them is over. */
  endWatches(): void;
  stop(): Promise<void>;
}

/** An HTTP proxy in front of the API server, with the rights of the kubeconfig, that can hold each request. What was held is sent on even if its client has gone. */
export async function startGate(kubeconfig: string): Promise<Gate> {
  const upstream = new KubeConfig();
  upstream.loadFromFile(kubeconfig);
  const target = upstream.getCurrentCluster()?.server ?? '';
  const watches = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    void forward(request, response).catch(() => response.destroy());
  });

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = 'GET' } = request;
    const passage: Passage = { method, url: new URL(request.url ?? '', target) };
    gate.passages.push(passage);
    await gate.before(passage);
    const options: Parameters<typeof httpsRequest>[1] = { method };
    await upstream.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
    options.headers = { ...request.headers, ...options.headers, host: passage.url.host };
    const onward = httpsRequest(passage.url, options, (answer) => {
      passage.status = answer.statusCode ?? 0;
      response.writeHead(passage.status, answer.headers);
      if (passage.url.searchParams.get('watch') === 'true') watches.add(response);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => {
      watches.delete(response);
      if (method === 'GET') onward.destroy();
    });
    onward.end(Buffer.concat(chunks));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const text = kubeconfigText((server.address() as AddressInfo).port);
  const config = new KubeConfig();
  config.loadFromString(text);
  const gate: Gate = {
    config,
    kubeconfig: (file) => writeFile(file, text, { mode: 0o600 }),
    passages: [],
    before: async () => undefined,
    endWatches: () => {
      for (const response of watches) response.end();
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return gate;
}

function kubeconfigText(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'gate', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'gate', user: {} }],
    contexts: [{ name: 'gate', context: { cluster: 'gate', user: 'gate' } }],
    'current-context': 'gate',
  });
}

/** Kills the API server of a rig; what it gives starts it again as it was, and waits until it answers. */
export async function killApiServer(rig: string): Promise<() => Promise<void>> {
  const directory = rigDirectory(rig);
  const program = (await recordedPrograms(directory)).find((one) => one.program === 'kube-apiserver');
  if (program === undefined)
    throw new Error(`kill the API server of rig "${rig}": it has none that was put together here`);
  const argv = (await readFile(`/proc/${program.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  await killAll([program]);
  return async () => {
    const api = await apiOf(kubeconfigFile(rig));
    let started: Recorded | undefined;
    await waitFor('the API server is back', async () => {
      // It ends when a connection of somebody else's has its port for the moment.
      if (started === undefined || !(await isAlive(started)))
        started = await startProgram(directory, 'kube-apiserver', argv);
      return (await api('GET', '/readyz')).status === 200;
    });
  };
}

/** Makes etcd forget all that is older than now, as the API server has it do every five minutes. */
export async function compact(rig: string): Promise<void> {
  const socketPath = join(rigDirectory(rig), 'etcd.sock');
  const ask = (path: string, body: object): Promise<{ header: { revision: string } }> =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ socketPath, path, method: 'POST' }, async (answer) => {
        let text = '';
        for await (const chunk of answer.setEncoding('utf8')) text += chunk;
        if (answer.statusCode === 200) resolve(JSON.parse(text) as { header: { revision: string } });
        else reject(new Error(`${path}: ${answer.statusCode} ${text}`));
      });
      request.on('error', reject).end(JSON.stringify(body));
    });
  const { header } = await ask('/v3/kv/range', { key: Buffer.from('/').toString('base64') });
  await ask('/v3/kv/compaction', { revision: header.revision, physical: true });
}
