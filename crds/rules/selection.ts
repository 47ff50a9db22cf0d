// Which snapshot a restore or a verification means. Pure. `latest` and `asOf` never mean a dump of the very database that is to be filled:
// a window that came before the restore has dumped it while it was still empty.
import type { Manifest } from './manifest.ts';

export type Choice = { snapshot: string } | { latest: true } | { asOf: string };

/** What is known of a committed snapshot. */
export type Candidate = Pick<Manifest, 'id' | 'owner' | 'dumpStartedAt' | 'identity'>;

export type Selection = { found: string } | { reason: 'SnapshotNotFound' | 'SnapshotAmbiguous'; detail: string };

export interface Wanted {
  choice: Choice;
  /** uid of kube-system of the cluster that asks. */
  clusterUid: string;
  /** Identity of the database as it is now; empty when it has none, it cannot be read, or nothing is to be filled. */
  target: string;
}

/** Snapshots that a message names. */
const named = 5;

const newestFirst = (a: Candidate, b: Candidate): number =>
  Date.parse(b.dumpStartedAt) - Date.parse(a.dumpStartedAt) || (a.id < b.id ? 1 : -1);

const describe = ({ id, dumpStartedAt }: Candidate): string => `${id} (dumped ${dumpStartedAt})`;

/** The newest of each group, one a line of the message. */
function ambiguous(what: string, groups: Iterable<readonly Candidate[]>): Selection {
  const newest = [...groups].map((group) => group[0]).filter((one) => one !== undefined);
  const more = newest.length > named ? ` and ${newest.length - named} more` : '';
  const list = newest.slice(0, named).map(describe).join(', ');
  return { reason: 'SnapshotAmbiguous', detail: `snapshots of ${newest.length} ${what}: ${list}${more}` };
}

function missing(detail: string): Selection {
  return { reason: 'SnapshotNotFound', detail };
}

function notAfter(limit: string | undefined, candidates: readonly Candidate[]): Candidate[] {
  if (limit === undefined) return [...candidates];
  // What it holds is what the database held when the dump started, whatever window it is named after.
  return candidates.filter(({ dumpStartedAt }) => Date.parse(dumpStartedAt) <= Date.parse(limit));
}

function choose(candidates: readonly Candidate[], { clusterUid }: Wanted): Selection {
  const identities = Map.groupBy(candidates, ({ identity }) => identity);
  if (identities.size > 1) return ambiguous('databases', identities.values());
  const own = candidates.filter(({ owner }) => owner.clusterUid === clusterUid);
  // Without an identity our own dumps cannot be told from those of another cluster, and may be of a database that was empty.
  const hasIdentity = candidates[0]?.identity !== '';
  const pool = hasIdentity && own.length > 0 ? own : candidates;
  const owners = Map.groupBy(pool, ({ owner }) => owner.clusterUid);
  if (owners.size > 1) return ambiguous('Kubernetes clusters', owners.values());
  const [newest] = pool;
  return newest === undefined ? missing('there is none') : { found: newest.id };
}

/**
 * @param candidates committed snapshots of one namespace, name and database cluster, of any Kubernetes cluster: after a disaster those
 * of the lost one are what is wanted
 */
export function select(candidates: readonly Candidate[], wanted: Wanted): Selection {
  const { choice, target } = wanted;
  if ('snapshot' in choice) {
    const found = candidates.find(({ id }) => id === choice.snapshot);
    return found === undefined ? missing(`there is no whole snapshot "${choice.snapshot}"`) : { found: found.id };
  }
  const limit = 'asOf' in choice ? choice.asOf : undefined;
  if (limit !== undefined && Number.isNaN(Date.parse(limit))) return missing(`asOf "${limit}" is not a time`);
  const early = notAfter(limit, candidates).sort(newestFirst);
  if (early.length === 0)
    return missing(
      candidates.length === 0
        ? 'there is no snapshot'
        : `none of ${candidates.length} snapshots was dumped at or before ${limit}`,
    );
  const others = target === '' ? early : early.filter(({ identity }) => identity !== target);
  if (others.length === 0)
    return missing(
      `each of ${early.length} snapshots is of the database that is to be filled; name one by its id if it is meant`,
    );
  return choose(others, wanted);
}
