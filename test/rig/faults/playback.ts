// A server that answers as a vendor's documentation says its service does, for what no server here can say: who is refused what. Each test
// tells its answers; what nobody told is a failure of the test.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Played {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string | object;
}

export interface Playback {
  endpoint: string;
  /** What is answered; undefined for what the test did not expect. */
  answer: (request: Played) => Answer | undefined;
  /** Everything asked, the oldest first. */
  asked: Played[];
  stop(): Promise<void>;
}

export async function startPlayback(): Promise<Playback> {
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = 'GET', headers } = incoming;
    const url = new URL(incoming.url ?? '/', 'http://playback');
    const body = Buffer.concat(chunks).toString('utf8');
    const request = { method, path: url.pathname, query: url.searchParams, headers, body };
    playback.asked.push(request);
    const answer = playback.answer(request) ?? { status: 418, body: 'nobody told what to answer' };
    const text = typeof answer.body === 'object' ? JSON.stringify(answer.body) : (answer.body ?? '');
    response.writeHead(answer.status, answer.headers).end(text);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const playback: Playback = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: () => undefined,
    asked: [],
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return playback;
}
