// Tells what storage holds below the prefix: every snapshot, whoever owns it, and what is no snapshot and why, a line each; the newest of
// our own also as the result's inventory.
import type { Inventory } from '../crds/rules/contract.ts';
import type { Listed, ListedSnapshot, ListLine } from '../crds/rules/contract-commands.ts';
import type { Manifest } from '../crds/rules/manifest.ts';
import type { Run } from './run.ts';
import { isOurs } from './stock.ts';
import { openStorage } from './storage/open.ts';
import { type Survey, survey } from './survey.ts';

const inventoryLength = 25;

function standing(run: Run, manifest: Manifest): 'own' | 'foreign' | 'neighbour' {
  if (isOurs(run, manifest)) return 'own';
  return manifest.owner.clusterUid === run.task.owner.clusterUid ? 'neighbour' : 'foreign';
}

function lineOf(run: Run, manifest: Manifest): ListedSnapshot {
  const { id, key, owner, dumpStartedAt, engine, identity } = manifest;
  return {
    listed: standing(run, manifest),
    id,
    key,
    owner: { clusterUid: owner.clusterUid, namespace: owner.namespace, name: owner.name },
    window: manifest.time,
    dumpStartedAt,
    size: manifest.plainSize,
    storedSize: manifest.storedSize,
    sha256: manifest.storedSha256,
    engine,
    engineVersion: String(manifest.serverVersion ?? ''),
    identity,
    encrypted: manifest.encryption !== 'none',
  };
}

function linesOf(run: Run, { snapshots, orphans, broken }: Survey): ListLine[] {
  return [
    ...snapshots.map((manifest) => lineOf(run, manifest)),
    ...orphans.map(({ id, key, size, modifiedAt }) => ({
      listed: 'orphan' as const,
      id,
      key,
      storedSize: size,
      modifiedAt: modifiedAt.toISOString(),
    })),
    ...broken.map((one) => ({ listed: 'broken' as const, ...one })),
  ];
}

export async function list(run: Run, tell: (told: Listed, inventory: Inventory) => void): Promise<void> {
  const storage = await openStorage(run);
  let lines: ListLine[];
  try {
    lines = linesOf(run, await survey(run, storage));
  } finally {
    storage.close();
  }
  for (const line of lines) run.log.info(line, 'listed');
  const count = (what: ListLine['listed']): number => lines.filter(({ listed }) => listed === what).length;
  const own = lines.filter((line): line is ListedSnapshot => line.listed === 'own');
  tell(
    {
      outcome: 'Succeeded',
      command: 'list',
      own: own.length,
      foreign: count('foreign'),
      neighbours: count('neighbour'),
      orphans: count('orphan'),
      broken: count('broken'),
      storedBytes: own.reduce((sum, { storedSize }) => sum + storedSize, 0),
    },
    {
      snapshots: own.slice(0, inventoryLength).map(({ id, storedSize }) => ({ id, size: storedSize })),
      count: own.length,
      deleted: 0,
      foreign: count('foreign'),
      pruneError: '',
    },
  );
}
