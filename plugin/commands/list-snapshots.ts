// `list-snapshots [NAME]`: what can be restored, newest first, from the status of one backup or of all.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { group, version } from '../../crds/rules/names.ts';
import { UsageError } from '../errors.ts';
import { nameOf, type TableOptions } from '../options.ts';
import { encodeData, isDataFormat } from '../output/data.ts';
import { age, local, size } from '../output/quantities.ts';
import { table } from '../output/table.ts';
import { fullName, type Snapshot, snapshotsOf, totalOf } from '../snapshots.ts';
import type { World } from '../world.ts';

export interface ListOptions extends TableOptions {
  name?: string | undefined;
  allNamespaces: boolean;
  selector?: string | undefined;
}

interface Entry {
  backup: DatabaseBackup;
  snapshot: Snapshot;
}

async function find(world: World, { name, allNamespaces, selector }: ListOptions): Promise<DatabaseBackup[]> {
  if (name === undefined)
    return world.kube.listBackups(allNamespaces ? { selector } : { namespace: world.namespace, selector });
  if (allNamespaces) throw new UsageError('a name and -A do not go together: name the namespace with -n');
  if (selector !== undefined) throw new UsageError('a name and -l do not go together');
  return [await world.kube.getBackup(world.namespace, nameOf(name))];
}

export async function listSnapshots(world: World, options: ListOptions): Promise<void> {
  const backups = await find(world, options);
  const { output } = options;
  const entries = backups.flatMap((backup) => snapshotsOf(backup).map((snapshot) => ({ backup, snapshot })));
  if (isDataFormat(output)) {
    world.terminal.printData(await encodeData(listOf(backups, entries), output));
    return;
  }
  if (output === 'name') {
    for (const { snapshot } of entries) world.terminal.print(snapshot.id);
    return;
  }
  for (const line of sayWhatIsMissing(world, options, backups)) world.terminal.note(line);
  if (entries.length > 0) world.terminal.print(tableOf(entries, options, world.now()));
}

function sayWhatIsMissing(world: World, options: ListOptions, backups: readonly DatabaseBackup[]): string[] {
  if (backups.length === 0)
    return [options.allNamespaces ? 'No resources found' : `No resources found in ${world.namespace} namespace.`];
  return backups.flatMap((backup) => {
    const listed = snapshotsOf(backup).length;
    const total = totalOf(backup, listed);
    if (total === 0) return [`${fullName(backup)} has no snapshot yet.`];
    return total > listed ? [`Showing the newest ${listed} of ${total} snapshots of ${fullName(backup)}.`] : [];
  });
}

function tableOf(entries: readonly Entry[], options: ListOptions, now: Date): string {
  const isWide = options.output === 'wide';
  const headers = [
    ...(options.allNamespaces ? ['NAMESPACE'] : []),
    ...['BACKUP', 'SNAPSHOT', 'TIME (UTC)', 'SIZE'],
    ...(isWide ? ['DUMP', 'ENGINE', 'ENCRYPTED', 'SHA256'] : []),
    'AGE',
  ];
  const rows = entries.map(({ backup, snapshot }) => [
    ...(options.allNamespaces ? [backup.metadata.namespace ?? ''] : []),
    backup.metadata.name,
    snapshot.id,
    local(snapshot.time, 'UTC'),
    size(snapshot.storedSize),
    ...(isWide ? wide(backup, snapshot) : []),
    age(now.getTime() - snapshot.time.getTime()),
  ]);
  return table(headers, rows, !options.noHeaders);
}

/** Status keeps these of the newest snapshot only; the others have them in their manifest. */
function wide(backup: DatabaseBackup, { details }: Snapshot): string[] {
  if (details === undefined) return ['<unknown>', '<unknown>', '<unknown>', '<unknown>'];
  const engine = `${backup.spec.database.engine} ${details.engineVersion ?? ''}`.trim();
  const encrypted = details.encrypted === undefined ? '<unknown>' : details.encrypted ? 'age' : 'no';
  return [size(details.size), engine, encrypted, details.sha256 ?? '<unknown>'];
}

/** A list in the manner of the API, so that the usual filters find their way; it is not a kind of the server. */
function listOf(backups: readonly DatabaseBackup[], entries: readonly Entry[]): object {
  const total = backups.reduce((sum, backup) => sum + totalOf(backup, snapshotsOf(backup).length), 0);
  return {
    apiVersion: `${group}/${version}`,
    kind: 'SnapshotList',
    metadata: { total, shown: entries.length },
    items: entries.map(({ backup, snapshot: { id, time, key, storedSize, details } }) => ({
      namespace: backup.metadata.namespace,
      backup: backup.metadata.name,
      id,
      time: time.toISOString(),
      key,
      storedSize,
      ...(details === undefined
        ? {}
        : {
            size: details.size,
            sha256: details.sha256,
            dumpStartedAt: details.dumpStartedAt,
            engineVersion: details.engineVersion,
            encrypted: details.encrypted,
          }),
    })),
  };
}
