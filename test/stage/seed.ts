// Fills a team's database: pgbench's tables for size, and a schema of everything that breaks careless dumps.
import { readFile } from 'node:fs/promises';
import { database } from './manifests.ts';
import type { Team } from './team.ts';

export async function seed(team: Team, { pgbenchScale }: { pgbenchScale: number }): Promise<void> {
  await team.inDatabase([
    'pgbench',
    '-i',
    '-q',
    '-s',
    String(pgbenchScale),
    '--foreign-keys',
    '-U',
    database.user,
    database.name,
  ]);
  await team.sql(await readFile(new URL('orders.sql', import.meta.url), 'utf8'));
}
