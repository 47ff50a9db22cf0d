// The connections of the webhook: room for the API server whoever else is there, and an end that fails no request.
import type { Server } from 'node:https';
import type { Socket } from 'node:net';

interface Connection {
  socket: Socket;
  /** It has had an answer of 200. */
  known: boolean;
  /** Requests that were begun and not answered yet. */
  open: number;
}

export class Connections {
  /** Those that were quiet for longest come first. */
  readonly #all = new Map<string, Connection>();

  /**
   * A newcomer beyond the limit takes the place of the stranger who is here longest, else of whoever had an answer longest ago. An idle
   * connection costs some tens of kilobytes.
   */
  constructor(server: Server, limit: number) {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket);
      if (this.#all.size >= limit) this.#displaceOne();
      const connection = { socket, known: false, open: 0 };
      this.#all.set(name, connection);
      socket.once('close', () => {
        if (this.#all.get(name) === connection) this.#all.delete(name);
      });
    });
    server.on('request', (request, response) => {
      // The socket of a request is the TLS around the one that connected; the client's address and port say which.
      const name = nameOf(request.socket);
      const connection = this.#all.get(name);
      if (connection === undefined) return;
      connection.open++;
      response.once('close', () => {
        connection.open--;
        if (response.statusCode !== 200 || this.#all.get(name) !== connection) return;
        connection.known = true;
        this.#all.delete(name);
        this.#all.set(name, connection);
      });
    });
  }

  /** Closes those in the middle of no request. */
  closeQuiet(): void {
    for (const { socket, open } of this.#all.values()) if (open === 0) socket.destroy();
  }

  closeAll(): void {
    for (const { socket } of this.#all.values()) socket.destroy();
  }

  #displaceOne(): void {
    for (const known of [false, true])
      for (const [name, connection] of this.#all) {
        if (connection.known !== known) continue;
        // Its close comes later, and the next newcomer must not find it again.
        this.#all.delete(name);
        connection.socket.destroy();
        return;
      }
  }
}

const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
