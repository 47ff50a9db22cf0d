// How far a running backup is, from the JSON lines of its executor's log.
import { containers } from '../crds/rules/contract.ts';
import { ApiError } from './errors.ts';
import { size } from './output/quantities.ts';
import type { World } from './world.ts';

/** The newest progress is near the end of the log. */
const tailLines = 20;

export interface Progress {
  /** Bytes read from the dump. */
  plain: number;
  /** Bytes handed to the store. */
  stored: number;
}

/** The newest progress in a piece of the log; undefined when it has none. */
export function decodeProgress(log: string): Progress | undefined {
  for (const line of log.split('\n').reverse()) {
    try {
      const value = JSON.parse(line) as { msg?: unknown; plain?: unknown; stored?: unknown } | null;
      if (value?.msg === 'progress' && typeof value.plain === 'number' && typeof value.stored === 'number')
        return { plain: value.plain, stored: value.stored };
    } catch {
      // The first line of a tail may be half a line; other programs may write there too.
    }
  }
  return undefined;
}

/** Reads the progress of one Job's newest pod. Answers undefined for all that is not there yet; throws when it may not look. */
export async function readProgress(world: World, jobUid: string): Promise<Progress | undefined> {
  try {
    const pods = await world.kube.podsOf(world.namespace, jobUid);
    const newest = pods.sort((a, b) =>
      (a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? 1 : -1,
    )[0];
    if (newest === undefined) return undefined;
    return decodeProgress(
      await world.kube.logTail(world.namespace, newest.metadata.name, containers.executor, tailLines),
    );
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) throw error;
    return undefined;
  }
}

/** @param expected size of the last dump, to measure against */
export function progressLine({ plain, stored }: Progress, expected: number | undefined): string {
  const before = expected === undefined ? '' : ` (last time ${size(expected)})`;
  return `dumped ${size(plain)}${before}, stored ${size(stored)}`;
}
