// Clients that no API server is: they write bytes as they please, stall, and come in crowds.
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as secure } from 'node:tls';

export interface Target {
  port: number;
  /** PEM. */
  ca: string;
}

/** Everything that came before the server hung up. */
export function exchange(target: Target, request: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = secure({ host: '127.0.0.1', ...target }, () => socket.write(request));
    let text = '';
    const answered = () => resolve(text);
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    // A refusal may come, and the connection go, while a large body is still being sent.
    socket.on('error', answered).on('close', answered);
  });
}

export const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

/** One request; says Connection: close, so that the server hangs up after its answer. */
export function http(request: string, headers: Record<string, string | number>, body: string | Buffer = ''): Buffer {
  const all = { host: 'webhook', connection: 'close', 'content-length': Buffer.byteLength(body), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${request} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(body)]);
}

/** A TLS handshake that is expected to fail; gives the error's code. */
export function handshake({ port, ca }: Target, options: ConnectionOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = secure({ host: '127.0.0.1', port, ca, ...options }, () => {
      resolve(undefined);
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

/** So many connections that say hello, or write something, and then nothing more. Half of them have a TLS handshake behind them. */
export async function crowd({ port, ca }: Target, size: number, text = ''): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let count = 0; count < size; count++) {
    const plain = text === '' && count % 2 === 0;
    const socket = plain ? connect(port, '127.0.0.1') : secure({ host: '127.0.0.1', port, ca });
    sockets.push(socket);
    await new Promise((resolve) => {
      socket
        .on('error', resolve)
        .on('close', resolve)
        .once(plain ? 'connect' : 'secureConnect', resolve);
    });
    if (text !== '') socket.write(text);
  }
  return sockets;
}
