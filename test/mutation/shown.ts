// What a Job is made of, as far as a spec shows in it, and where in it a value may be looked for.
import type { Backup } from '../../controller/objects.ts';
import type { Task } from '../../crds/rules/contract.ts';
import { at } from './mutations.ts';

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  env?: { name: string; value?: string }[];
  resources?: Record<string, Record<string, string>>;
}

interface Volume {
  name: string;
  secret?: { secretName: string; items?: { key: string }[] };
  configMap?: { name: string; items?: { key: string }[] };
  persistentVolumeClaim?: { claimName: string };
  projected?: { sources: { serviceAccountToken?: { audience?: string } }[] };
}

/** The parts of a Job that a spec shows in, as the API server has it. */
export interface WholeJob {
  metadata: { name: string; uid: string; annotations?: Record<string, string> };
  spec: {
    activeDeadlineSeconds?: number;
    backoffLimit?: number;
    template: {
      metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
      spec: Record<string, unknown> & {
        initContainers: Container[];
        containers: Container[];
        volumes: Volume[];
        securityContext: Record<string, number>;
      };
    };
  };
}

export interface Seen {
  job: WholeJob;
  pod: WholeJob['spec']['template']['spec'];
  task: Task;
  dump: Container;
  executor: Container;
  backup: Backup;
}

export interface Shown {
  of: (seen: Seen) => unknown;
  /** What is to be seen where the spec says nothing. */
  absent?: unknown;
  /** What is to be seen of a value that the spec says, where it is not the value itself. */
  as?: (value: never) => unknown;
}

export const inTask = (path: string, absent?: unknown): Shown => ({ of: ({ task }) => at(task, path), absent });
/** The API server leaves an empty value away. */
export function variableOf({ env = [] }: Container, name: string): string | undefined {
  const found = env.find((one) => one.name === name);
  return found && (found.value ?? '');
}
export const variable = (name: string, absent: Shown['absent']): Shown => ({
  of: ({ dump }) => variableOf(dump, name),
  absent,
});
export const volumeOf = ({ pod }: Seen, name: string): Volume | undefined =>
  pod.volumes.find((one) => one.name === name);
/** Certificate authorities, of which one key is mounted. */
export const authorities = (path: string, volume: string): Record<string, Shown> => ({
  [`${path}.configMapKeyRef.name`]: { of: (seen) => volumeOf(seen, volume)?.configMap?.name },
  [`${path}.configMapKeyRef.key`]: { of: (seen) => volumeOf(seen, volume)?.configMap?.items?.[0]?.key },
  [`${path}.secretKeyRef.name`]: { of: (seen) => volumeOf(seen, volume)?.secret?.secretName },
  [`${path}.secretKeyRef.key`]: { of: (seen) => volumeOf(seen, volume)?.secret?.items?.[0]?.key },
});
/** Acts at another time than a run's start: it is in the digest of the spec, and tests of decisions hold what it does. */
export const later: Shown = { of: () => undefined, as: () => undefined };
