// What every step of one run works with: its task, its folders, its clock and log, and the one way to call it off.
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type DecodedTask, paths } from '../crds/rules/contract.ts';
import { clusterPrefix } from '../crds/rules/names.ts';
import type { Secrets } from './log.ts';

export interface Folders {
  run: string;
  storageSecret: string;
  storageAuthorities: string;
  cloudToken: string;
  volume: string;
  identity: string;
}

export interface Run extends DecodedTask {
  folders: Folders;
  /** Prefix of this database cluster's keys, with a final slash. */
  prefix: string;
  /** dbbackup's own version. */
  version: string;
  now(): Date;
  log: Logger;
  secrets: Secrets;
  /** The store may be on this machine, or where clouds keep their metadata. Only tests say so; the controller never does. */
  storeMayBeLocal: boolean;
  /** What the cloud's own machinery put into the pod, such as AZURE_CLIENT_ID; nothing of ours is read from it. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGTERM and by the first failure; its reason is a RunError. */
  signal: AbortSignal;
}

/** The pod's folders, below another root where one is given: tests run outside a pod. */
export function foldersBelow(root: string): Folders {
  return {
    run: join(root, paths.run),
    storageSecret: join(root, paths.storageSecret),
    storageAuthorities: join(root, paths.storageAuthorities),
    cloudToken: join(root, paths.cloudToken),
    volume: join(root, paths.volume),
    identity: join(root, paths.identity),
  };
}

export function createRun(decoded: DecodedTask, rest: Omit<Run, keyof DecodedTask | 'prefix'>): Run {
  const { task } = decoded;
  return { ...decoded, ...rest, prefix: clusterPrefix(task.pathPrefix, task.owner.namespace, task.cluster) };
}
