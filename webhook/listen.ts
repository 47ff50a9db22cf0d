// A server's first and last moments: it listens, and it goes without failing a request.
import type http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connections } from './connections.ts';

/** Resolves to the port, once it listens. */
export function listen(server: http.Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/** Milliseconds. */
export interface Drain {
  /** How long connections are still served, each told to close with its next answer. */
  linger: number;
  /** How long requests that are open after that may take. */
  limit: number;
}

/**
 * A client may send its next request at the very moment in which an idle connection is closed, and the API server sends none twice. So those
 * that are in use end with an answer that says so, and only those that stayed quiet all along are closed.
 */
export async function drain(server: http.Server, connections: Connections, { linger, limit }: Drain): Promise<void> {
  if (!server.listening) return;
  server.prependListener('request', (_request, response) => response.setHeader('Connection', 'close'));
  if (linger > 0) await sleep(linger);
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  connections.closeQuiet();
  const look = setInterval(() => connections.closeQuiet(), 50);
  const cut = setTimeout(() => connections.closeAll(), limit);
  await closed;
  clearInterval(look);
  clearTimeout(cut);
}
