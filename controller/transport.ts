// HTTP to the API server: authentication of @kubernetes/client-node, JSON in and out, errors with their status. Nothing of dbbackup.
import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node';
import { type Dispatcher, fetch, type Response } from 'undici';

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
  /** Gives the call up; plain calls have a limit of their own besides. */
  signal?: AbortSignal;
}

/** No answer to a plain call within this is a failure: the server's own limit for it is 60 s. */
const callLimitMilliseconds = 65_000;

export class Transport {
  private readonly config: KubeConfig;
  constructor(config: KubeConfig) {
    this.config = config;
  }

  /** A call with a JSON answer. Throws ApiError for an answer of 300 or more, other errors when there is none. */
  async call<T>(request: ApiRequest): Promise<T> {
    const limit = AbortSignal.timeout(callLimitMilliseconds);
    const signal = request.signal === undefined ? limit : AbortSignal.any([limit, request.signal]);
    const response = await this.send({ ...request, signal });
    return (await response.json()) as T;
  }

  /** A call whose answer comes a line at a time. */
  async *lines(request: ApiRequest): AsyncGenerator<string> {
    const response = await this.send(request);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of response.body ?? []) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) if (line !== '') yield line;
    }
  }

  private async send(request: ApiRequest): Promise<Response> {
    const server = this.config.getCurrentCluster()?.server;
    if (server === undefined) throw new Error('call the API server: no current cluster: check the kubeconfig');
    const url = new URL(server.replace(/\/$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) url.searchParams.set(key, value);
    const context = new RequestContext(url.toString(), HttpMethod.GET);
    await this.config.applySecurityAuthentication(context);
    const dispatcher = context.getDispatcher() as unknown as Dispatcher | undefined;
    const response = await fetch(url, {
      method: request.method,
      headers: {
        ...context.getHeaders(),
        'User-Agent': 'dbbackup-controller',
        Accept: 'application/json',
        ...(request.body === undefined ? {} : { 'Content-Type': contentType(request) }),
      },
      ...(dispatcher === undefined ? {} : { dispatcher }),
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
    if (response.status >= 300) throw await apiError(request, response);
    return response;
  }
}

function contentType(request: ApiRequest): string {
  return request.method === 'PATCH' ? (request.contentType ?? 'application/merge-patch+json') : 'application/json';
}

async function apiError(request: ApiRequest, response: Response): Promise<ApiError> {
  const text = await response.text();
  let message = text.slice(0, 300);
  try {
    const status = JSON.parse(text) as { message?: unknown };
    if (typeof status.message === 'string') message = status.message.slice(0, 600);
  } catch {
    // Proxies answer in other forms; their text is all there is.
  }
  const wait = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new ApiError(
    `${request.method} ${request.path}`,
    response.status,
    message,
    Number.isNaN(wait) ? undefined : wait,
  );
}
