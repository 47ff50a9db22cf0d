// restore-locate and describe for every engine: which tools and variables a restore needs, and a script that any shell can read.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DatabaseSpec } from '../../crds/databasebackup.gen.ts';
import { type EngineName, engines } from '../../crds/rules/engines/table.ts';
import { restoreLocate } from '../../plugin/commands/restore-locate.ts';
import { backup, world } from './objects.ts';

async function locate(database: Omit<DatabaseSpec, 'image' | 'host'>, output: string): Promise<string> {
  const spec = { database: { image: 'image:1', host: 'db', ...database } };
  const here = world({ getBackup: async () => backup({ spec }) });
  await restoreLocate(here, { name: 'orders', latest: false, output });
  return here.stdout();
}

const secretRef = { name: 'login' };
const whole: Record<string, Omit<DatabaseSpec, 'image' | 'host'>> = {
  'all databases of postgres': { engine: 'postgres', allDatabases: true, auth: { secretRef } },
  mysql: { engine: 'mysql', name: 'orders', auth: { secretRef } },
  'all databases of mysql': { engine: 'mysql', allDatabases: true, auth: { secretRef } },
  mariadb: { engine: 'mariadb', name: 'orders', auth: { secretRef } },
  mongodb: { engine: 'mongodb', name: 'orders', auth: { secretRef } },
  'all databases of mongodb': { engine: 'mongodb', allDatabases: true },
  redis: { engine: 'redis' },
  openbao: { engine: 'openbao', auth: { tokenSecretKeyRef: { name: 'bao', key: 'token' } } },
  command: { engine: 'command', command: ['dump'], restoreCommand: ['no-such-program', "it's $(id) `id`"] },
};

describe.each(Object.entries(whole))('%s', (_name, database) => {
  const byHand = engines[database.engine].byHand(database);

  test('is told with its tools and the variables of its target', async () => {
    const text = await locate(database, 'text');
    for (const tool of byHand.tools) expect(text).toContain(tool);
    for (const line of byHand.exports) expect(text).toContain(line);
    expect(text).toMatch(/Database: {3}(orders|all databases|everything) on db(:\d+)? \(/);
    expect(text).not.toContain('db:0');
  });

  test('has a script that a shell can read, whose manifest must be of the format that it restores', async () => {
    const script = await locate(database, 'shell');
    execFileSync('sh', ['-n'], { input: script });
    expect(script).toContain(`format='${engines[database.engine].dumpFormat(database)}'`);
    expect(script).toContain(byHand.command);
    for (const line of byHand.checks) expect(script).toContain(line);
  });

  test('stops before anything is downloaded where the target is not said', async () => {
    const script = await locate(database, 'shell');
    const folder = mkdtempSync(join(tmpdir(), 'dbbackup-tools-'));
    const tools = byHand.tools.filter((tool) => tool !== 'no-such-program');
    for (const tool of [...tools, 'aws', 'age', 'zstd'])
      writeFileSync(join(folder, tool), `#!/bin/sh\necho "ran ${tool}"\nexit 7\n`, { mode: 0o755 });
    const env = { PATH: `${folder}:/usr/bin:/bin`, AGE_IDENTITY_FILE: '/dev/null' };
    const run = (): string => execFileSync('sh', [], { input: script, env, stdio: 'pipe' }).toString();
    expect(run).toThrow(/: set |restore stopped: (?!cannot download)/);
    rmSync(folder, { recursive: true });
  });
});

test('an engine without databases, and a login with a token, are told as they are', async () => {
  const text = await locate(whole['openbao'] as DatabaseSpec, 'text');
  expect(text).toContain('everything on db:8200 (openbao');
  expect(text).toMatch(/Secret shop\/bao: +login of the source \(token\)/);
});

test('every engine is here', () => {
  const seen = new Set<EngineName>(['postgres', ...Object.values(whole).map(({ engine }) => engine)]);
  expect([...seen].sort()).toEqual(Object.keys(engines).sort());
});
