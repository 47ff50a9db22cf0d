// list-snapshots as transcripts, in every form of output.
import { expect, it } from 'vitest';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { type ListOptions, listSnapshots } from '../../plugin/commands/list-snapshots.ts';
import { backup, healthy, newest, older, world } from './objects.ts';

async function list(backups: DatabaseBackup[], options: Partial<ListOptions> = {}): Promise<string> {
  const here = world({ listBackups: async () => backups, getBackup: async () => backups[0] ?? backup() });
  await listSnapshots(here, { output: 'table', noHeaders: false, allNamespaces: false, ...options });
  return `\n${here.stderr()}---\n${here.stdout()}`;
}

it('a table, and how many there are beyond it', async () => {
  const many = backup({ status: { ...healthy, snapshotCount: 40 } });
  const empty = backup({ name: 'new', status: null });
  expect(await list([many, empty])).toMatchInlineSnapshot(`
    "
    Showing the newest 2 of 40 snapshots of shop/orders.
    shop/new has no snapshot yet.
    ---
    BACKUP   SNAPSHOT                    TIME (UTC)            SIZE      AGE
    orders   20250327T000000Z-1a2b3c4d   2025-03-27 00:00:05   1.2 GiB   26h
    orders   20250326T000000Z-1a2b5e6f   2025-03-26 00:00:00   1.1 GiB   2d
    "
  `);
});

it('all namespaces, wide', async () => {
  expect(await list([backup()], { allNamespaces: true, output: 'wide' })).toMatchInlineSnapshot(`
    "
    ---
    NAMESPACE   BACKUP   SNAPSHOT                    TIME (UTC)            SIZE      DUMP        ENGINE          ENCRYPTED   SHA256                                                             AGE
    shop        orders   20250327T000000Z-1a2b3c4d   2025-03-27 00:00:05   1.2 GiB   5.0 GiB     postgres 16.4   age         abababababababababababababababababababababababababababababababab   26h
    shop        orders   20250326T000000Z-1a2b5e6f   2025-03-26 00:00:00   1.1 GiB   <unknown>   <unknown>       <unknown>   <unknown>                                                          2d
    "
  `);
});

it('without headers, as names', async () => {
  expect(await list([backup()], { noHeaders: true })).toMatchInlineSnapshot(`
    "
    ---
    orders   20250327T000000Z-1a2b3c4d   2025-03-27 00:00:05   1.2 GiB   26h
    orders   20250326T000000Z-1a2b5e6f   2025-03-26 00:00:00   1.1 GiB   2d
    "
  `);
  expect(await list([backup()], { output: 'name', name: 'orders' })).toBe(`\n---\n${newest}\n${older}\n`);
});

it('as JSON and YAML', async () => {
  const json = (await list([backup()], { output: 'json' })).replace('\n---\n', '');
  const value: unknown = JSON.parse(json);
  expect(value).toMatchObject({ kind: 'SnapshotList', metadata: { total: 2, shown: 2 } });
  expect(await list([backup()], { output: 'yaml' })).toMatchInlineSnapshot(`
    "
    ---
    apiVersion: dbbackup.io/v1alpha1
    kind: SnapshotList
    metadata:
      total: 2
      shown: 2
    items:
      - namespace: shop
        backup: orders
        id: 20250327T000000Z-1a2b3c4d
        time: 2025-03-27T00:00:05.000Z
        key: postgres/daily/shop/orders-db/20250327T000000Z-1a2b3c4d.snap
        storedSize: 1288490188
        size: 5368709120
        sha256: abababababababababababababababababababababababababababababababab
        dumpStartedAt: 2025-03-27T00:00:05Z
        engineVersion: "16.4"
        encrypted: true
      - namespace: shop
        backup: orders
        id: 20250326T000000Z-1a2b5e6f
        time: 2025-03-26T00:00:00.000Z
        key: postgres/daily/shop/orders-db/20250326T000000Z-1a2b5e6f.snap
        storedSize: 1200000000
    "
  `);
});

it('nothing there', async () => {
  expect(await list([])).toBe('\nNo resources found in shop namespace.\n---\n');
  expect(await list([], { allNamespaces: true })).toBe('\nNo resources found\n---\n');
  expect(await list([backup({ status: null })])).toBe('\nshop/orders has no snapshot yet.\n---\n');
});

it('ids that are none of ours are left out, and the newest is there even when the inventory was cut', async () => {
  const odd = backup({
    status: {
      ...healthy,
      snapshots: [
        { id: '../../etc', size: 1 },
        { id: older, size: 1 },
      ],
    },
  });
  expect(await list([odd], { output: 'name' })).toBe(`\n---\n${newest}\n${older}\n`);
});

it('a name goes with neither -A nor -l', async () => {
  await expect(list([], { name: 'x', allNamespaces: true })).rejects.toMatchObject({ exitCode: 2 });
  await expect(list([], { name: 'x', selector: 'a=b' })).rejects.toMatchObject({ exitCode: 2 });
});
