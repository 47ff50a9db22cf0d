// A second door to a team's store that lets bytes through at a known pace, so that a backup is under way for a known time on any machine.
import { deployment, service, store } from '../stage/manifests.ts';
import { storageOf } from '../stage/team.ts';
import type { World } from './world.ts';

const host = 'paced-store';
/** Towards the store, over all connections: the 100 MB that a dump here is stored in take 50 s. */
const bytesASecond = 2_000_000;

/** Runs in a container: what is sent on waits for its turn, and its connection is read no further meanwhile. */
const script = `
const net = require('node:net');
let turn = 0;
net.createServer((client) => {
  const server = net.connect(${store.port}, '${store.host}');
  const end = () => { client.destroy(); server.destroy(); };
  client.on('error', end).on('close', end);
  server.on('error', end).on('close', end).pipe(client);
  client.on('data', (piece) => {
    client.pause();
    turn = Math.max(turn, Date.now()) + (piece.length * 1000) / ${bytesASecond};
    setTimeout(() => { server.write(piece); client.resume(); }, turn - Date.now());
  });
}).listen(${store.port});
`;

export const pacedStorage = (namespace: string): object => storageOf(namespace, host);

export async function startPacedStore({ kubectl, images }: World, namespace: string): Promise<void> {
  const container = {
    image: images.executor.name,
    command: ['node', '-e', script],
    ports: [{ containerPort: store.port }],
    readinessProbe: { tcpSocket: { port: store.port }, periodSeconds: 1, failureThreshold: 60 },
  };
  await kubectl.apply([service(namespace, host, store.port), deployment(namespace, host, container, [])]);
  await kubectl(['-n', namespace, 'rollout', 'status', `deployment/${host}`, '--timeout=180s']);
}
