// Which snapshot a restore or a verification means. Pure. `latest` and `asOf` never mean a dump of the very database that is to be filled:
// a window that came before the restore has dumped it while it was still empty.
import type { Scope } from './engines/engine.ts';
import type { Manifest } from './manifest.ts';

export type Choice = { snapshot: string } | { latest: true } | { asOf: string };

/** What is known of a committed snapshot. */
export type Candidate = Pick<Manifest, 'id' | 'owner' | 'dumpStartedAt' | 'identity' | 'database' | 'allDatabases'>;

export type Selection =
  | { found: string }
  | { reason: 'SnapshotNotFound' | 'SnapshotAmbiguous' | 'ConfigInvalid'; detail: string };

/** The database that is to be filled. */
export interface Target extends Scope {
  /** As it is now; empty when it has none or it cannot be read. */
  identity: string;
}

export interface Wanted {
  choice: Choice;
  /** uid of kube-system of the cluster that asks. */
  clusterUid: string;
  /** Absent: nothing is to be filled, the snapshot is only read. */
  target?: Target;
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

/** What a dump holds or a target takes, in words. */
export function extent({ name = '', allDatabases }: Scope): string {
  if (allDatabases === true) return 'all databases';
  return name === '' ? 'what a server holds' : `the database ${JSON.stringify(name)}`;
}

export const scopeOf = ({ database: name, allDatabases }: Pick<Manifest, 'database' | 'allDatabases'>): Scope =>
  allDatabases === true ? { allDatabases } : { name };

const isOfKind = (candidate: Candidate, target: Target): boolean =>
  (candidate.allDatabases === true) === (target.allDatabases === true);

function misfit(newest: Candidate, target: Target): Selection {
  const detail = `the newest, ${describe(newest)}, is a dump of ${extent(scopeOf(newest))}, the target is ${extent(target)}: name one that fits by its id, or another target`;
  return { reason: 'ConfigInvalid', detail };
}

/** What does not go into the target is not meant. Nor is what is older than such a dump of the same Kubernetes cluster: it is no latest state. */
function chooseFitting(candidates: readonly Candidate[], target: Target, wanted: Wanted): Selection {
  const fitting = candidates.filter((one) => isOfKind(one, target));
  const [newest] = candidates;
  if (fitting.length === 0 && newest !== undefined) return misfit(newest, target);
  const selection = choose(fitting, wanted);
  if ('reason' in selection) return selection;
  const found = candidates.findIndex(({ id }) => id === selection.found);
  const newer = candidates
    .slice(0, found)
    .find((one) => !isOfKind(one, target) && one.owner.clusterUid === candidates[found]?.owner.clusterUid);
  return newer === undefined ? selection : misfit(newer, target);
}

/** The newest that is our own, of whichever database; of strangers one has to be meant. */
function chooseToRead(candidates: readonly Candidate[], wanted: Wanted): Selection {
  const own = candidates.find(({ owner }) => owner.clusterUid === wanted.clusterUid);
  return own === undefined ? choose(candidates, wanted) : { found: own.id };
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
  if (target === undefined) return chooseToRead(early, wanted);
  const others = target.identity === '' ? early : early.filter(({ identity }) => identity !== target.identity);
  if (others.length === 0)
    return missing(
      `each of ${early.length} snapshots is of the database that is to be filled; name one by its id if it is meant`,
    );
  return chooseFitting(others, target, wanted);
}
