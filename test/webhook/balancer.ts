// What a Service does: connections go to the replicas in turns, and stay with the one they went to.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Balancer {
  port: number;
  /** The ports that new connections go to from now on. */
  backends: number[];
  stop(): Promise<void>;
}

export async function startBalancer(...backends: number[]): Promise<Balancer> {
  const open = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    const backend = connect({ host: '127.0.0.1', port: balancer.backends[turn++ % balancer.backends.length] ?? 0 });
    for (const [from, to] of [
      [client, backend],
      [backend, client],
    ] as const) {
      open.add(from);
      from.pipe(to);
      // One end broken is both ends broken, as it would be without anyone between them.
      from.on('error', () => to.destroy()).on('close', () => open.delete(from));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const balancer: Balancer = {
    port: (server.address() as AddressInfo).port,
    backends,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
  return balancer;
}
