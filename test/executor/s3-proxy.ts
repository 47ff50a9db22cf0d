// A plain HTTP proxy between the executor and a real store that does what networks and stores do: lose an answer, refuse, cut, garble,
// keep another time, stand still. Requests keep their Host header, so their signatures hold.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request as onwardRequest, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Request {
  method: string;
  /** Path and query. */
  path: string;
  headers: IncomingMessage['headers'];
  /** How many with this method and path have come, this one included. */
  number: number;
  /** Digest of its body, hex. */
  sha256: string;
}

export type Fault =
  | 'pass'
  /** The server does it, the client never hears of it. */
  | 'lose-answer'
  /** The connection breaks before the server sees anything. */
  | 'reset'
  /** Nothing happens any more. */
  | 'hang'
  /** A bit of the body is turned round. */
  | 'flip'
  /** A bit of the answer's body is turned round. */
  | 'flip-answer'
  /** The connection breaks when half of the body has reached the server. */
  | 'break'
  /** The connection breaks when half of the answer has reached the client. */
  | 'cut'
  /** The second half of the body, of the request or of the answer, is left out, and its length told as it is now. */
  | 'shorten'
  | 'shorten-answer'
  /** Answered as the same request was answered last, by a cache that nobody told of what came since. */
  | 'stale'
  /** The server gets another request. */
  | {
      change: (
        headers: IncomingMessage['headers'],
        body: Buffer,
      ) => { headers: IncomingMessage['headers']; body: Buffer };
    }
  | { status: number; body: string; headers?: Record<string, string> };

export interface S3Proxy {
  endpoint: string;
  /** Asked for each request before it is sent on. */
  onRequest: (request: Request) => Fault | Promise<Fault>;
  /** Asked when the server has answered and the client has not heard of it yet. */
  onAnswer: (request: Request) => void | Promise<void>;
  /** Milliseconds added to the server's Date. */
  clockOffset: number;
  seen: Request[];
  stop(): Promise<void>;
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const halfOf = (body: Buffer): Buffer => body.subarray(0, body.length >> 1);

export async function startS3Proxy(upstream: string): Promise<S3Proxy> {
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const proxy: S3Proxy = {
    endpoint: '',
    onRequest: () => 'pass',
    onAnswer: () => {},
    clockOffset: 0,
    seen: [],
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };

  const answers = new Map<string, { status: number; headers: IncomingMessage['headers']; content: Buffer }>();

  function note(incoming: IncomingMessage, body: Buffer): Request {
    const { method = 'GET', url: path = '', headers } = incoming;
    const before = proxy.seen.filter((one) => one.method === method && one.path === path).length;
    const sha256 = createHash('sha256').update(body).digest('hex');
    const request = { method, path, headers, number: before + 1, sha256 };
    proxy.seen.push(request);
    return request;
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = await bodyOf(incoming);
    const request = note(incoming, body);
    let { headers } = incoming;
    const fault = await proxy.onRequest(request);
    if (fault === 'hang') return;
    if (fault === 'reset') return void response.destroy();
    if (typeof fault === 'object' && 'status' in fault)
      return void response.writeHead(fault.status, fault.headers).end(fault.body);
    if (typeof fault === 'object') ({ headers, body } = fault.change(headers, body));
    if (fault === 'break') return breakOff(incoming, body, response);
    if (fault === 'flip') body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
    if (fault === 'shorten') body = halfOf(body);
    if ('content-length' in headers) headers = { ...headers, 'content-length': String(body.length) };
    const answer = await ask(incoming, headers, body, fault === 'stale');
    await proxy.onAnswer(request);
    if (fault === 'lose-answer') return void response.destroy();
    const date = new Date(Date.parse(answer.headers.date ?? '') + proxy.clockOffset).toUTCString();
    const content = fault === 'shorten-answer' ? halfOf(answer.content) : Buffer.from(answer.content);
    const length = fault === 'shorten-answer' ? { 'content-length': String(content.length) } : {};
    if (fault === 'flip-answer') content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
    response.writeHead(answer.status, { ...answer.headers, ...length, date });
    if (fault !== 'cut') return void response.end(content);
    response.write(content.subarray(0, content.length >> 1), () => response.destroy());
  }

  function breakOff({ method, url, headers }: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const onward = onwardRequest(new URL(url ?? '', upstream), { method, headers });
    onward.on('error', () => {});
    onward.write(body.subarray(0, body.length >> 1), () => {
      onward.destroy();
      response.destroy();
    });
  }

  /** The server's answer, or the one before where that is asked for and there is one. Only listings are kept. */
  async function ask(incoming: IncomingMessage, headers: IncomingMessage['headers'], body: Buffer, stale: boolean) {
    const key = `${incoming.method} ${incoming.url}`;
    const before = stale ? answers.get(key) : undefined;
    if (before !== undefined) return before;
    const message = await forward(incoming, headers, body);
    const answer = { status: message.statusCode ?? 502, headers: message.headers, content: await bodyOf(message) };
    if (key.includes('list-type=2')) answers.set(key, answer);
    return answer;
  }

  function forward(
    { method, url }: IncomingMessage,
    headers: IncomingMessage['headers'],
    body: Buffer,
  ): Promise<IncomingMessage> {
    return new Promise((done, fail) => {
      const onward = onwardRequest(new URL(url ?? '', upstream), { method, headers }, done);
      onward.on('error', fail);
      onward.end(body);
    });
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  proxy.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}
