// HTTP to the API server with the kubeconfig's login: text out, errors in the server's own words. The only file that loads the client.
import { HttpMethod, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { ApiError, CommandError } from './errors.ts';

export interface ConfigChoice {
  kubeconfig?: string | undefined;
  context?: string | undefined;
}

export interface ApiRequest {
  method: 'GET' | 'PATCH';
  path: string;
  query?: Record<string, string>;
  /** A merge patch. */
  body?: object;
}

export interface Transport {
  /** Namespace of the context, where it has one. */
  namespace: string | undefined;
  /** The body of a good answer. Throws ApiError for any other, and an Error with a cause when there is none. */
  call(request: ApiRequest): Promise<string>;
}

/** No answer within this is a failure: the server's own limit for a plain call is 60 s. */
const callLimitMilliseconds = 65_000;

function load({ kubeconfig, context }: ConfigChoice): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new CommandError(`read the kubeconfig: ${detail}`);
  }
  // The client's last resort, which is never what a user of ours means.
  if (config.getCurrentCluster()?.server === 'http://localhost:8080' && config.getCurrentContext() === 'loaded-context')
    throw new CommandError('no kubeconfig was found: set KUBECONFIG, or name a file with --kubeconfig');
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw new CommandError(`context "${context}" does not exist`);
    config.setCurrentContext(context);
  }
  return config;
}

export function openTransport(choice: ConfigChoice): Transport {
  const config = load(choice);
  const server = config.getCurrentCluster()?.server.replace(/\/$/, '');
  if (server === undefined)
    throw new CommandError(
      'the kubeconfig has no current context: choose one with --context or kubectl config use-context',
    );
  const library = new IsomorphicFetchHttpLibrary();
  let dispatcher: ReturnType<RequestContext['getDispatcher']>;
  const call = async ({ method, path, query, body }: ApiRequest): Promise<string> => {
    const request = new RequestContext(server + path, HttpMethod[method]);
    for (const [key, value] of Object.entries(query ?? {})) request.setQueryParam(key, value);
    // Each call logs in anew, since tokens expire while we wait; the connection stays.
    await config.applySecurityAuthentication(request);
    dispatcher ??= request.getDispatcher();
    if (dispatcher !== undefined) request.setDispatcher(dispatcher);
    request.setHeaderParam('User-Agent', 'kubectl-dbbackup');
    request.setHeaderParam('Accept', 'application/json, */*');
    request.setSignal(AbortSignal.timeout(callLimitMilliseconds));
    if (body !== undefined) {
      request.setHeaderParam('Content-Type', 'application/merge-patch+json');
      request.setBody(JSON.stringify(body));
    }
    const answer = await library.send(request).toPromise();
    const text = await answer.body.text();
    if (answer.httpStatusCode >= 300) throw refusal(answer.httpStatusCode, text);
    return text;
  };
  return { namespace: config.getContextObject(config.getCurrentContext())?.namespace, call };
}

function refusal(status: number, text: string): ApiError {
  try {
    const body = JSON.parse(text) as { message?: unknown; reason?: unknown } | null;
    if (typeof body?.message === 'string')
      return new ApiError(status, typeof body.reason === 'string' ? body.reason : '', body.message.slice(0, 2000));
  } catch {
    // Proxies and unknown paths answer in plain text; that is all there is.
  }
  return new ApiError(status, String(status), text.trim().slice(0, 500) || 'no further word');
}
