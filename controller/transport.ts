// HTTP to the API server: authentication of @kubernetes/client-node, JSON in and out, errors with their status. Nothing of dbbackup.
import type { KubeConfig } from '@kubernetes/client-node';
import { type Dispatcher, request as send } from 'undici';
import { type Access, Connections } from './connections.ts';
import type { Lane, Limiter } from './limit.ts';

/** The API server answered with an error. */
export class ApiError extends Error {
  readonly status: number;
  /** Seconds that the server asks to wait. */
  readonly retryAfter: number | undefined;
  constructor(action: string, status: number, message: string, retryAfter?: number) {
    super(`${action}: ${status} ${message}`);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  /** For PATCH; default is a merge patch. */
  contentType?: string;
  /** Forms of the answer; default is the object as JSON. */
  accept?: string;
  /** Gives the call up; plain calls have a limit of their own besides. */
  signal?: AbortSignal;
  /** What the call is for: who goes first when there are too many. */
  lane?: Lane;
}

type Answer = Dispatcher.ResponseData;

/** What holds for all calls of one user of the transport. */
export interface Use {
  lane?: Lane;
  /** Told of the time that each answer carries, and the steady time at which it was asked for. */
  heard?: (date: string | undefined, askedAt: number) => void;
  /** Gives up the calls that are under way when it aborts; asked for anew with each call. */
  signal?: () => AbortSignal;
}

/** No answer to a plain call within this is a failure: the server's own limit for it is 60 s. */
const callLimitMilliseconds = 65_000;

export class Transport {
  private readonly config: KubeConfig;
  private readonly limiter: Limiter | undefined;
  private readonly connections: Connections;
  private readonly use: Use;

  constructor(config: KubeConfig, limiter?: Limiter, connections = new Connections(), use: Use = {}) {
    this.config = config;
    this.limiter = limiter;
    this.connections = connections;
    this.use = use;
  }

  /** The same transport, limits and connections included, for calls of one kind. */
  for(use: Use): Transport {
    return new Transport(this.config, this.limiter, this.connections, { ...this.use, ...use });
  }

  /** A call with a JSON answer. Throws ApiError for an answer of 300 or more, other errors when there is none. */
  async call<T>(request: ApiRequest): Promise<T> {
    const end = new End([request.signal, this.use.signal?.()]);
    try {
      await this.limiter?.bucketOf(request.method).take(this.use.lane ?? request.lane ?? 'other', end.signal);
      // Counts from here: to wait for our own limits is no failure of the server's.
      end.within(callLimitMilliseconds);
      const { response, failed } = await this.send({ ...request, signal: end.signal });
      return (await response.body.json().catch(failed)) as T;
    } finally {
      end.forget();
    }
  }

  /** A call whose answer comes a line at a time. */
  async *lines(request: ApiRequest): AsyncGenerator<string> {
    const { response, failed } = await this.send(request);
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) if (line !== '') yield line;
      }
    } catch (error) {
      failed(error);
    }
  }

  /** Gives the answer's head, and whom to tell when its body fails. */
  private async send(request: ApiRequest): Promise<{ response: Answer; failed: (error: unknown) => never }> {
    const server = this.config.getCurrentCluster()?.server;
    if (server === undefined) throw new Error('call the API server: no current cluster: check the kubeconfig');
    const url = new URL(server.replace(/\/$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) url.searchParams.set(key, value);
    const access = await this.connections.access(this.config, server);
    const failed = (error: unknown): never => {
      this.connections.failed(access);
      throw error;
    };
    const askedAt = performance.now();
    // Not fetch, which takes several times its processor time.
    const response = await send(url, {
      method: request.method,
      headers: headersOf(access, request),
      ...(access.pool === undefined ? {} : { dispatcher: access.pool }),
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    }).catch(failed);
    this.use.heard?.(header(response, 'date'), askedAt);
    if (response.statusCode < 300) return { response, failed };
    // Certificates that have run out are found out here.
    if (response.statusCode === 401) this.connections.failed(access);
    const error = await apiError(request, response);
    if (error.retryAfter !== undefined && (error.status === 429 || error.status === 503))
      this.limiter?.bucketOf(request.method).pause(error.retryAfter * 1000);
    throw error;
  }
}

/** The signal of one call. AbortSignal.any and timeout would do, but what they make lives on for all of the time limit after the call. */
class End {
  private readonly controller = new AbortController();
  private readonly given: AbortSignal[];
  private timer: NodeJS.Timeout | undefined;
  private readonly abort = (event: Event): void => this.controller.abort((event.target as AbortSignal).reason);

  constructor(given: (AbortSignal | undefined)[]) {
    this.given = given.filter((signal) => signal !== undefined);
    for (const signal of this.given) {
      if (signal.aborted) this.controller.abort(signal.reason);
      signal.addEventListener('abort', this.abort);
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  within(milliseconds: number): void {
    this.timer = setTimeout(() => {
      this.controller.abort(new Error(`no answer within ${milliseconds / 1000} s`));
    }, milliseconds);
  }

  forget(): void {
    clearTimeout(this.timer);
    for (const signal of this.given) signal.removeEventListener('abort', this.abort);
  }
}

function headersOf({ headers }: Access, request: ApiRequest): Record<string, string> {
  return {
    ...headers,
    'User-Agent': 'dbbackup-controller',
    Accept: request.accept ?? 'application/json',
    ...(request.body === undefined ? {} : { 'Content-Type': contentType(request) }),
  };
}

function contentType(request: ApiRequest): string {
  return request.method === 'PATCH' ? (request.contentType ?? 'application/merge-patch+json') : 'application/json';
}

const header = ({ headers }: Answer, name: string): string | undefined => [headers[name]].flat()[0];

async function apiError(request: ApiRequest, response: Answer): Promise<ApiError> {
  const text = await response.body.text();
  let message = text.slice(0, 300);
  try {
    const status = JSON.parse(text) as { message?: unknown };
    if (typeof status.message === 'string') message = status.message.slice(0, 600);
  } catch {
    // Proxies answer in other forms; their text is all there is.
  }
  const wait = Number(header(response, 'retry-after') ?? Number.NaN);
  return new ApiError(
    `${request.method} ${request.path}`,
    response.statusCode,
    message,
    Number.isNaN(wait) ? undefined : wait,
  );
}
