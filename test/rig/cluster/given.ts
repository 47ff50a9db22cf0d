// A cluster somebody else runs, named by DBBACKUP_KUBECONFIG. It is used as it is and never stopped.
import path from 'node:path';
import { binary } from '../binaries.ts';
import { run } from '../command.ts';
import type { Log } from '../progress.ts';
import type { Cluster } from './cluster.ts';

export interface Given {
  readonly name: string;
  readonly node: boolean;
  readonly kubeconfig: string;
  /** A shell command that loads an archive, whose path is appended; DBBACKUP_IMAGE_LOAD. */
  readonly imageLoad: string | undefined;
  readonly log: Log;
}

export async function givenCluster({ name, node, kubeconfig, imageLoad, log }: Given): Promise<Cluster> {
  const file = path.resolve(kubeconfig);
  // Not requests of our own: such a kubeconfig may ask a cloud's program who we are, which kubectl knows how to do.
  const kubectl = await binary('kubectl', log);
  const nodes = await run([kubectl, '--kubeconfig', file, 'get', 'nodes', '-o', 'name', '--request-timeout=15s']).catch(
    (error: Error) => {
      throw new Error(`use the cluster of DBBACKUP_KUBECONFIG "${file}": ${error.message}`);
    },
  );
  const hasNode = nodes.trim() !== '';
  if (node && !hasNode) {
    throw new Error(
      `use the cluster of DBBACKUP_KUBECONFIG "${file}": it has no node, and pods must run; name another cluster`,
    );
  }
  log(`cluster: the one of DBBACKUP_KUBECONFIG "${file}"`);
  return {
    provider: 'kubeconfig',
    name,
    kubeconfig: file,
    hasNode,
    exec: [],
    hostAddress: null,
    async loadImage(archive) {
      if (imageLoad) await run(['sh', '-c', `${imageLoad} "$1"`, 'sh', path.resolve(archive)]);
      else log(`image "${archive}" is taken as already there; DBBACKUP_IMAGE_LOAD names a command that loads it`);
    },
    async stop() {},
  };
}
