// One request over HTTP to servers that stand still: who is silent is given up in time, who is only read slowly is not.
import { Agent, createServer, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { exchange, readAll } from '../../executor/storage/http.ts';

/** @param idle is judged in this process, which serves too and may itself stand still: long where nobody is to be given up */
async function serve(
  answer: (response: ServerResponse) => void,
  idle = 20_000,
): Promise<() => ReturnType<typeof exchange>> {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const agents = { httpAgent: new Agent({ keepAlive: true }), httpsAgent: new HttpsAgent() };
  onTestFinished(() => {
    agents.httpAgent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return () => exchange(agents, { method: 'GET', url, headers: {} }, idle);
}

test('a server that never answers is given up', async () => {
  const ask = await serve(() => {}, 400);
  await expect(ask()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
});

test('a server that stops in the middle of its answer is given up', async () => {
  const begin = (response: ServerResponse) => void response.writeHead(200, { 'content-length': '100' }).write('begin');
  const ask = await serve(begin, 400);
  await expect(readAll(await ask())).rejects.toMatchObject({ code: 'ETIMEDOUT' });
});

test('an answer that ends too soon is an error', async () => {
  const ask = await serve((response) => {
    response.writeHead(200, { 'content-length': '100' }).write('begin', () => setTimeout(() => response.destroy(), 50));
  });
  await expect(readAll(await ask())).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('a reader that rests more than once for longer than that gets it all', async () => {
  const size = 4_000_000;
  const idle = 2000;
  const ask = await serve((response) => void response.end(Buffer.alloc(size, 1)), idle);
  const { body } = await ask();
  let [got, rests] = [0, 0];
  for await (const chunk of body as AsyncIterable<Buffer>) {
    got += chunk.length;
    rests += 1;
    if (rests <= 2) await pause(1.6 * idle);
  }
  expect(got).toBe(size);
});

test('an answer that is longer than anything that is read at once is refused', async () => {
  const ask = await serve((response) => void response.end(Buffer.alloc(1000)));
  await expect(readAll(await ask(), 999)).rejects.toThrow('more than 999 bytes');
});
