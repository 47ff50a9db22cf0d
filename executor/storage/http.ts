// One request to a store over HTTP, with bounded waiting: for the stores that are spoken to without a vendor's client.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Agents } from './agents.ts';

const connectMilliseconds = 10_000;
/** Without a byte in either direction. A request that makes progress may take as long as it wants. */
const idleMilliseconds = 60_000;
/** Of an answer that is read whole: a listing of 1,000 names of 1 KiB, each with its properties, is under 4 MiB. */
const largestAnswer = 8 * 1_048_576;

export interface HttpRequest {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  url: URL;
  headers: Record<string, string>;
  /** Sent one after the other; together they are the body. */
  body?: readonly Buffer[];
  signal?: AbortSignal;
}

export interface HttpAnswer {
  status: number;
  /** Empty where there is none. */
  header(name: string): string;
  /** The body, which must be read to its end or destroyed. */
  body: IncomingMessage;
}

function timedOut(): Error {
  return Object.assign(new Error('nothing came for too long'), { code: 'ETIMEDOUT' });
}

/**
 * Resolves when the answer's head is there, whatever its status. Rejects with what the network said.
 * @param idle ms without a byte after which it is given up
 */
export function exchange(
  agents: Agents,
  { method, url, headers, body = [], signal }: HttpRequest,
  idle = idleMilliseconds,
): Promise<HttpAnswer> {
  return new Promise((done, fail) => {
    const secure = url.protocol === 'https:';
    const length = body.reduce((sum, piece) => sum + piece.length, 0);
    const sized = method === 'PUT' || method === 'POST' ? { 'content-length': String(length) } : {};
    const sending = (secure ? httpsRequest : httpRequest)(url, {
      method,
      agent: secure ? agents.httpsAgent : agents.httpAgent,
      headers: { ...headers, ...sized },
      ...(signal === undefined ? {} : { signal }),
    });
    let answer: IncomingMessage | undefined;
    sending.setTimeout(idle);
    sending.on('timeout', () => {
      // What has come and was not read yet: then it is the reader who is slow, and not the store.
      if ((answer?.readableLength ?? 0) > 0) sending.setTimeout(idle);
      else (answer ?? sending).destroy(timedOut());
    });
    sending.on('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => sending.destroy(timedOut()), connectMilliseconds);
      for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer));
    });
    sending.on('error', fail);
    sending.on('response', (message) => {
      answer = message;
      const header = (name: string): string => {
        const value = message.headers[name];
        return typeof value === 'string' ? value : '';
      };
      done({ status: message.statusCode ?? 0, header, body: message });
    });
    for (const piece of body) sending.write(piece);
    sending.end();
  });
}

/** The whole body. Rejects when it breaks off, or is longer than anything that is read at once. */
export async function readAll({ body }: HttpAnswer, limit = largestAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new Error(`read an answer: it has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
