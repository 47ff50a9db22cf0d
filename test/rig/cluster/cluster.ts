// One real cluster for tests and the demo, from whatever this machine has: the cluster a kubeconfig names, kind where a
// container engine answers, or one put together from its programs.
import type { Log } from '../progress.ts';
import { builtCluster, startBuilt, stopBuilt } from './built.ts';
import { givenCluster } from './given.ts';
import { kindAvailable, startKind, stopKind } from './kind.ts';
import { checkRigName, DEFAULT_NAME, readState } from './state.ts';

export interface Cluster {
  readonly provider: 'kubeconfig' | 'kind' | 'built';
  readonly name: string;
  /** Absolute path; gives every right. */
  readonly kubeconfig: string;
  readonly hasNode: boolean;
  /** Put before a command that must reach the API server and the pods; empty wherever the host itself reaches them. */
  readonly exec: readonly string[];
  /** Where pods reach servers of the host, which must listen on this address; null where that is not known. */
  readonly hostAddress: string | null;
  /** Loads a docker or OCI archive (tar), so that pods can use the image by its name. */
  loadImage(archive: string): Promise<void>;
  /** Ends the cluster if this call of startCluster started it; one found up already, or given, is left alone. */
  stop(): Promise<void>;
}

export interface ClusterOptions {
  readonly name?: string;
  /** Without one, pods stay Pending; everything else of the API works. */
  readonly node: boolean;
  readonly log: Log;
  readonly env?: NodeJS.ProcessEnv;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { name = DEFAULT_NAME, node, log, env = process.env } = options;
  checkRigName(name);
  const given = env['DBBACKUP_KUBECONFIG'];
  // Asked for by name: to fall back to another cluster would be to test something else than was meant.
  if (given) return givenCluster({ name, node, kubeconfig: given, imageLoad: env['DBBACKUP_IMAGE_LOAD'], log });

  const failed: string[] = ['kubeconfig: DBBACKUP_KUBECONFIG is not set'];
  const attempt = async (way: string, start: () => Promise<Cluster>): Promise<Cluster | null> => {
    try {
      return await start();
    } catch (error) {
      failed.push(`${way}: ${shortened(error instanceof Error ? error.message : String(error))}`);
      return null;
    }
  };
  // A name that is up stays what it is, whichever way would come first now.
  const up = await readState(name);
  const viaKind = async () => startKind(name, await kindAvailable(log), log);
  const viaPrograms = async () => {
    const { state, started } = await startBuilt(name, node, log);
    return builtCluster(state, started, log);
  };
  // A control plane alone is seconds from its programs and needs no root; kind always brings a node.
  const programsFirst = !node || up?.provider === 'built';
  const cluster = programsFirst
    ? ((await attempt('built', viaPrograms)) ?? (await attempt('kind', viaKind)))
    : ((await attempt('kind', viaKind)) ?? (await attempt('built', viaPrograms)));
  if (cluster !== null) return cluster;
  throw new Error(`start a cluster: no way worked\n- ${failed.join('\n- ')}`);
}

/** Removes the rig of this name, in whatever state it is. Does nothing where there is none. */
export async function stopCluster(name: string, log: Log): Promise<void> {
  checkRigName(name);
  const state = await readState(name);
  if (state?.provider === 'kind') await stopKind(name, await kindAvailable(log), log);
  else await stopBuilt(name, log);
}

/** All reasons together fit one screen; the whole of each is in the log of the program it is about. */
function shortened(reason: string): string {
  const lines = reason.split('\n').map((line) => (line.length > 180 ? `${line.slice(0, 177)}...` : line));
  const kept = lines.length > 10 ? [...lines.slice(0, 4), '  ...', ...lines.slice(-5)] : lines;
  return kept.join('\n  ');
}
