// A client that costs little, so that the server is what is measured: bytes made once, sent over connections that are kept.
import { connect, type TLSSocket } from 'node:tls';

export interface Connection {
  /** Resolves to the status once the whole answer is there. One at a time. */
  ask(request: Buffer): Promise<number>;
  close(): void;
}

export function requestBytes(path: string, body: string | Buffer): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: webhook', 'Content-Type: application/json'];
  const head = `${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

export async function openConnection(port: number, ca: string): Promise<Connection> {
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const made = connect({ host: '127.0.0.1', port, ca }, () => resolve(made)).on('error', reject);
  });
  socket.setNoDelay(true);
  let waiting: { resolve(status: number): void; reject(error: Error): void } | undefined;
  let received = '';
  socket.on('data', (part: Buffer) => {
    received += part.toString('latin1');
    const end = received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(received.slice(0, end))?.[1] ?? 0);
    if (received.length < end + 4 + length) return;
    const status = Number(received.slice(9, 12));
    received = received.slice(end + 4 + length);
    waiting?.resolve(status);
  });
  socket.on('error', (error) => waiting?.reject(error));
  socket.on('close', () => waiting?.reject(new Error('the server closed the connection')));
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(request);
      }),
    close: () => socket.destroy(),
  };
}
