// Addresses of a rig with a node: a private range nobody on this machine uses, and the cable between the host and the
// node's network namespace.
import { run } from '../command.ts';
import type { Network } from './state.ts';

/** 10.FIRST.0.0/16 and those after it; 40 is many more rigs than one machine carries. */
const FIRST = 200;
const RANGES = 40;

/** The first range that meets none of `routes`, given as prefixes such as 10.0.0.0/8. `id` is rigId's. */
export function freeNetwork(id: string, routes: readonly string[]): Network {
  for (let second = FIRST; second < FIRST + RANGES; second++) {
    if (!routes.some((route) => overlaps(`10.${second}.0.0/16`, route))) return networkIn(id, second);
  }
  throw new Error(
    `find addresses for a rig: routes of this machine meet all of 10.${FIRST}.0.0 to 10.${FIRST + RANGES - 1}.255.255; stop a rig or a VPN`,
  );
}

function networkIn(id: string, second: number): Network {
  const base = `10.${second}`;
  return {
    host: `${base}.0.1`,
    // 15 characters at most, which a rig's name may exceed.
    device: `dbb${id}`,
    node: `${base}.0.2`,
    pods: `${base}.64.0/18`,
    services: `${base}.128.0/18`,
    apiService: `${base}.128.1`,
  };
}

export function overlaps(one: string, other: string): boolean {
  const [a, b] = [bits(one), bits(other)];
  const length = Math.min(a.length, b.length);
  return a.address.slice(0, length) === b.address.slice(0, length);
}

function bits(prefix: string): { address: string; length: number } {
  const [address = '', length = '32'] = prefix.split('/');
  const octets = address.split('.').map((octet) => Number(octet).toString(2).padStart(8, '0'));
  return { address: octets.join(''), length: Number(length) };
}

/** Every IPv4 route of the host but the default one, which meets everything and forbids nothing. */
export async function hostRoutes(): Promise<string[]> {
  const routes = JSON.parse(await run(['ip', '-4', '-json', 'route', 'show', 'table', 'all'])) as Array<{
    dst: string;
  }>;
  return routes.map((route) => route.dst).filter((to) => to !== 'default');
}

/** Lays the cable into the namespaces of `pid`, and routes on the host to what is behind it. */
export async function connect(network: Network, pid: number): Promise<void> {
  const { device, host, node } = network;
  await run(['ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)]);
  await run(['ip', 'address', 'add', `${host}/30`, 'dev', device]);
  await run(['ip', 'link', 'set', device, 'up']);
  const inNode = ['nsenter', '--target', String(pid), '--net', '--', 'ip'] as const;
  await run([...inNode, 'address', 'add', `${node}/30`, 'dev', 'eth0']);
  await run([...inNode, 'link', 'set', 'eth0', 'up']);
  await run([...inNode, 'link', 'set', 'lo', 'up']);
  // Nothing forwards it further: kube-proxy needs a route before it can turn a Service address into another.
  await run([...inNode, 'route', 'add', 'default', 'via', host]);
  for (const range of [network.pods, network.services])
    await run(['ip', 'route', 'add', range, 'via', node, 'dev', device]);
}

/** The kernel removes the cable with the namespace, in its own time; a new rig may want the addresses sooner. */
export async function disconnect(network: Network): Promise<void> {
  await run(['ip', 'link', 'delete', network.device]).catch(() => {});
}
