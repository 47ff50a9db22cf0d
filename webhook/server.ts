// The two servers: admission over HTTPS, which doubts every request, and health over HTTP.
import http from 'node:http';
import https from 'node:https';
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import type { Logger } from 'pino';
import { Connections } from './connections.ts';
import { type AnsweredReview, type Entry, entries, MalformedReview, review } from './review.ts';

/** The API server takes requests of 3 MiB, and two versions of an object that etcd can store, 1.5 MiB each. */
const maxBodyBytes = 3 * 1024 * 1024;
/** How long a client may take, in milliseconds. */
export interface Patience {
  headers: number;
  request: number;
  /** How often Node looks for those who took longer. */
  look: number;
}

/** The API server gives up after timeoutSeconds: 5; whoever is slower than twice that is not one. */
const patienceWithClients: Patience = { headers: 5_000, request: 10_000, look: 1_000 };
/** Longer than the API server keeps an idle connection (90 s), so that it is always the client who closes. */
const idleMilliseconds = 120_000;
/** A few API servers open at most some hundred at once, when as many objects are applied together. */
const maxConnections = 1_000;
/** Larger bodies are rare, and a few at a time: 40 × 3 MiB and 1,000 × 64 KiB of the others fit the pod's 512 MiB. */
const largeBytes = 64 * 1024;
const maxLargeBodies = 40;

/** The name that stands in a log for an object that could not be read. */
const unknown = '-';

export function application(log: Logger, decide: typeof review = review): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').enable('case sensitive routing').enable('strict routing');
  const body: RequestHandler[] = [
    isJson,
    fewLarge(),
    express.json({ limit: maxBodyBytes, inflate: false, strict: true }),
  ];
  for (const entry of entries) {
    app
      .route(`/${entry}`)
      .post(...body, (request: Request, response: Response) => {
        const answered = decide(entry, request.body, new Date());
        record(log, entry, request.body, answered);
        response.json(answered);
      })
      .all((_request, response) => {
        refuse(response.set('Allow', 'POST'), 405, 'only POST is answered here');
      });
  }
  app.use((_request, response) => refuse(response, 404, `there is /${entries.join(', /')}`));
  app.use(failure(log));
  return app;
}

const isJson: RequestHandler = (request, response, next) => {
  const type = request.headers['content-type'] ?? '';
  // The parser would read these too.
  if (/utf-?(16|32)/i.test(type)) refuse(response, 415, 'the body must be in UTF-8');
  else if (request.is('application/json') === 'application/json') next();
  else if (request.headers['transfer-encoding'] === undefined && Number(request.headers['content-length'] ?? 0) === 0)
    refuse(response, 400, 'the body is empty');
  else refuse(response, 415, 'the body must be application/json');
};

function fewLarge(): RequestHandler {
  let large = 0;
  return (request, response, next) => {
    // Without a length it may become large.
    const length = Number(request.headers['content-length'] ?? maxBodyBytes);
    if (length > maxBodyBytes) return refuse(response, 413, 'the body is larger than 3 MiB');
    if (length <= largeBytes) return next();
    if (large >= maxLargeBodies)
      return refuse(response, 503, `${maxLargeBodies} large bodies are being read: try again`);
    large++;
    response.once('close', () => large--);
    next();
  };
}

function refuse(response: Response, status: number, message: string): void {
  // What is left of a body that nobody wants must not be read as the next request.
  response.status(status).set('Connection', 'close').type('text/plain').send(`${message}\n`);
}

/** Every failure answers with an error status: under failurePolicy Fail that refuses. Four parameters make it Express's error handler. */
function failure(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (error instanceof MalformedReview) return refuse(response, 400, error.message);
    const status = clientError(error);
    if (status !== undefined) return refuse(response, status, reasons[status] ?? 'the request cannot be read');
    log.error({ err: error, path: request.path }, 'review failed');
    return refuse(response, 500, 'the review failed; the log of the webhook says why');
  };
}

const reasons: Record<number, string> = {
  400: 'the body is not JSON',
  413: 'the body is larger than 3 MiB',
  415: 'the body must be JSON in UTF-8 without content encoding',
};

/** The status of an error that Express's body parser blames on the client. */
function clientError(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('status' in error) || !('type' in error)) return undefined;
  const { status } = error;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

function record(log: Logger, entry: Entry, body: unknown, { response }: AnsweredReview): void {
  const { request } = body as { request: Record<string, unknown> };
  const { uid, operation, namespace, name = unknown } = request;
  const fields = { entry, uid, operation, namespace, name, allowed: response.allowed };
  if (response.allowed) log.debug(fields, 'reviewed');
  else log.info(fields, 'reviewed');
}

export interface AdmissionServer {
  /** Has no certificate until setSecureContext is called; do not listen before. */
  server: https.Server;
  connections: Connections;
}

export function admissionServer(app: Express, patience: Patience = patienceWithClients): AdmissionServer {
  const server = https.createServer(
    {
      minVersion: 'TLSv1.2',
      handshakeTimeout: patience.headers,
      connectionsCheckingInterval: patience.look,
      headersTimeout: patience.headers,
      requestTimeout: patience.request,
      keepAliveTimeout: idleMilliseconds,
    },
    app,
  );
  return { server, connections: new Connections(server, maxConnections) };
}

/** /healthz: the process runs; /readyz: it can be asked. */
export function healthServer(isReady: () => boolean): http.Server {
  return http.createServer((request, response) => {
    request.resume();
    const answers: Record<string, boolean> = { '/healthz': true, '/readyz': isReady() };
    const ok = answers[request.url ?? ''];
    if (ok === undefined) response.writeHead(404).end('not found\n');
    else response.writeHead(ok ? 200 : 503, { 'Content-Type': 'text/plain' }).end(ok ? 'ok\n' : 'not ready\n');
  });
}
