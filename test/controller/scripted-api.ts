// An API server that follows a script: each request is noted and answered by the next line of its kind.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { Transport } from '../../controller/transport.ts';

export type Answer = (response: ServerResponse, query: URLSearchParams) => void;

export interface Item {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    creationTimestamp: string;
    generation?: number;
  };
  spec?: object;
}

export function item(name: string, resourceVersion = '1', more: { spec?: object; generation?: number } = {}): Item {
  const { spec, ...rest } = more;
  const creationTimestamp = '2025-03-27T01:00:00Z';
  return {
    metadata: { name, namespace: 'shop', uid: name, resourceVersion, creationTimestamp, ...rest },
    ...(spec === undefined ? {} : { spec }),
  };
}

export const page =
  (items: Item[], resourceVersion: string, next = ''): Answer =>
  (response) =>
    response.end(JSON.stringify({ metadata: { resourceVersion, continue: next }, items }));

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end(JSON.stringify({ kind: 'Status', message: `scripted ${code}` }));

/** Events of a watch, a line each; then the end that is asked for. */
export const events =
  (list: object[], end: 'close' | 'reset' | 'silence' = 'close'): Answer =>
  (response) => {
    response.writeHead(200);
    response.write(list.map((event) => `${JSON.stringify(event)}\n`).join(''), () => {
      if (end === 'close') response.end();
      else if (end === 'reset') setTimeout(() => response.destroy(), 20);
    });
  };

export const bookmark = (resourceVersion: string): object => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion } },
});

export interface Request {
  kind: 'list' | 'watch';
  query: URLSearchParams;
  at: number;
}

export class ScriptedApi {
  readonly requests: Request[] = [];
  private readonly script: { list: Answer[]; watch: Answer[] } = { list: [], watch: [] };
  private readonly server: Server = createServer((request, response) => this.answer(request, response));

  async start(): Promise<Transport> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = this.server.address() as AddressInfo;
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'scripted', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
      users: [{ name: 'nobody' }],
      contexts: [{ name: 'scripted', cluster: 'scripted', user: 'nobody' }],
      currentContext: 'scripted',
    });
    return new Transport(config);
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** What comes next; the last answer of a kind is given again and again. */
  will(kind: Request['kind'], ...answers: Answer[]): this {
    this.script[kind].push(...answers);
    return this;
  }

  of(kind: Request['kind']): Request[] {
    return this.requests.filter((request) => request.kind === kind);
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { searchParams: query } = new URL(request.url ?? '', 'http://scripted');
    const kind = query.get('watch') === 'true' ? 'watch' : 'list';
    this.requests.push({ kind, query, at: performance.now() });
    const answers = this.script[kind];
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === undefined) throw new Error(`the script has no answer to a ${kind}`);
    answer(response, query);
  }
}
