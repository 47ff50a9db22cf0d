// The script of `restore-locate -o shell`, run by the three shells against a real database and a real store: it restores what was
// dumped, with nothing on its PATH but stock tools, and whatever is wrong it stops before the target is touched.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeManifest } from '../../crds/rules/manifest.ts';
import { planOf } from '../../plugin/restore/plan.ts';
import { failingScript, restoreScript } from '../../plugin/restore/script.ts';
import { choose } from '../../plugin/snapshots.ts';
import { type Format, key, type Made, type Outcome, RestoreWorld, shells } from './plugin-restore-world.ts';

let world: RestoreWorld;
let path: string;
let sealed: Made;

beforeAll(async () => {
  world = await RestoreWorld.start();
  path = await world.path();
  sealed = await world.snapshot({ compression: 'zstd', encryption: 'age' });
});

afterAll(() => world?.stop());

const sealedFormat = { compression: 'zstd', encryption: 'age' } as const;
const shellNames = Object.entries(shells);
const volumeStorage = { pathPrefix: 'postgres/daily', pvc: { claimName: 'backups', subPath: 'sub' } };

function scriptOf(made: Made, where: 's3' | 'volume', overrides: { host?: string; name?: string } = {}): string {
  const backup = world.backupOf(made, where === 's3' ? world.s3Storage() : volumeStorage);
  Object.assign(backup.spec.database, overrides);
  return restoreScript(planOf(backup, choose(backup, {})));
}

async function environment(made: Made, target: string): Promise<Record<string, string>> {
  const VOLUME_DIR = await world.volume(made);
  return { PATH: path, VOLUME_DIR, AGE_IDENTITY_FILE: world.identity, ...world.clientEnvironment(target) };
}

describe.each(shellNames)('%s', (_, shell) => {
  it.each<['s3' | 'volume', Format]>([
    ['s3', sealedFormat],
    ['volume', sealedFormat],
    ['volume', { compression: 'gzip', encryption: 'none' }],
    ['volume', { compression: 'none', encryption: 'none' }],
  ])('restores every row, large object and key from %s, %o', async (where, format) => {
    const made = await world.snapshot(format);
    if (where === 's3') await world.upload(made);
    const target = await world.newTarget();
    const env = { ...(await environment(made, target)), ...(where === 's3' ? world.s3Environment() : {}) };
    const outcome = await world.pipe(shell, scriptOf(made, where), env);
    expect(outcome).toEqual({
      ok: true,
      output: `restored snapshot ${made.manifest.id} into ${target} on ${env['PGHOST']}\n`,
      left: '',
    });
    expect(await world.contents(target)).toBe(await world.contents('source'));
    expect(await world.sql(target, 'select md5(lo_get(4242)), count(*) from café.orders group by 1')).toBe(
      await world.sql('source', 'select md5(lo_get(4242)), count(*) from café.orders group by 1'),
    );
  });

  it('neither runs nor mistakes names with quotes, spaces and substitutions', async () => {
    const odd = `it's "a" $(touch pwned) \`touch pwned\` ; touch pwned`;
    const target = await world.newTarget(`${odd} ${shell.join(' ')}`.slice(0, 63));
    const script = scriptOf(sealed, 'volume', { host: odd, name: `${odd}\n touch pwned` });
    const outcome = await world.pipe(shell, script, await environment(sealed, target));
    expect(outcome.left).toBe('');
    expect(outcome.output).toBe(`restored snapshot ${sealed.manifest.id} into ${target} on ${world.postgres.host}\n`);
    expect(await world.contents(target)).toBe(await world.contents('source'));
    const elsewhere = { ...(await environment(sealed, target)), PGHOST: odd };
    expect(await world.pipe(shell, script, elsewhere)).toMatchObject({ ok: false, left: '' });
  });

  it('does nothing when its end was lost on the way', async () => {
    const target = await world.newTarget();
    const script = scriptOf(sealed, 'volume');
    const before = await world.contents(target);
    for (const part of [0.3, 0.6, 0.9, 0.999]) {
      const cut = script.slice(0, Math.floor(script.length * part));
      expect((await world.pipe(shell, cut, await environment(sealed, target))).output).not.toContain('restored');
    }
    expect(await world.contents(target)).toBe(before);
  });

  it('fails when restore-locate itself failed', async () => {
    expect(await world.pipe(shell, failingScript, { PATH: path })).toMatchObject({ ok: false });
  });

  /** Runs the script with one thing wrong; the target must be as it was and nothing left behind. */
  async function stops(
    change: (env: Record<string, string>) => Promise<Made | undefined>,
    target?: string,
  ): Promise<Outcome> {
    const database = target ?? (await world.newTarget());
    const env = await environment(sealed, database);
    const before = await world.contents(database);
    const made = (await change(env)) ?? sealed;
    const outcome = await world.pipe(shell, scriptOf(made, 'volume'), env);
    expect(await world.contents(database)).toBe(before);
    expect(outcome).toMatchObject({ ok: false, left: '' });
    return outcome;
  }

  const dataFile = (env: Record<string, string>) => join(env['VOLUME_DIR'] ?? '', 'sub', key);

  it('stops at a cut snapshot', async () => {
    const { output } = await stops(async (env) => {
      await writeFile(dataFile(env), sealed.stored.subarray(0, -1));
      return undefined;
    });
    expect(output).toContain(`has ${sealed.stored.length - 1} bytes, its manifest says ${sealed.stored.length}`);
  });

  it('stops at a flipped bit', async () => {
    const { output } = await stops(async (env) => {
      const bytes = Buffer.from(sealed.stored);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(dataFile(env), bytes);
      return undefined;
    });
    expect(output).toContain('it is damaged');
  });

  it('stops at a manifest that says something else than the cluster', async () => {
    const { output } = await stops(async (env) => {
      const bytes = Buffer.from(sealed.stored.subarray(0, -1));
      await writeFile(dataFile(env), bytes);
      const manifest = { ...sealed.manifest, storedSize: bytes.length };
      await writeFile(`${dataFile(env)}.json`, encodeManifest(manifest));
      return undefined;
    });
    expect(output).toContain('the cluster says');
  });

  it('stops at a manifest of another snapshot, at one that is cut, and at none', async () => {
    const manifests = [encodeManifest({ ...sealed.manifest, key: 'other.snap' }), '{\n', undefined];
    for (const manifest of manifests) {
      const { output } = await stops(async (env) => {
        await writeFile(`${dataFile(env)}.json`, manifest ?? '');
        if (manifest === undefined) env['VOLUME_DIR'] = world.folder;
        return undefined;
      });
      expect(output).toMatch(/restore stopped: (the manifest|cannot read)/);
    }
  });

  it('stops at a dump that is not the one of the manifest', async () => {
    const { output } = await stops(async (env) => {
      const other = { ...sealed, manifest: { ...sealed.manifest, plainSha256: '0'.repeat(64) } };
      await writeFile(`${dataFile(env)}.json`, encodeManifest(other.manifest));
      return other;
    });
    expect(output).toContain(`the dump has the sha256 ${sealed.manifest.plainSha256}`);
  });

  it('stops at a wrong, a missing and an unset age identity', async () => {
    const wrong = await stops(async (env) => {
      env['AGE_IDENTITY_FILE'] = world.otherIdentity;
      return undefined;
    });
    expect(wrong.output).toContain('age could not decrypt');
    const missing = await stops(async (env) => {
      env['AGE_IDENTITY_FILE'] = join(world.folder, 'none');
      return undefined;
    });
    expect(missing.output).toContain('cannot read AGE_IDENTITY_FILE');
    const unset = await stops(async (env) => {
      delete env['AGE_IDENTITY_FILE'];
      return undefined;
    });
    expect(unset.output).toContain('AGE_IDENTITY_FILE is not set');
  });

  it.each(['age', 'zstd', 'psql', 'pg_restore'])('stops when %s is missing', async (tool) => {
    const { output } = await stops(async (env) => {
      env['PATH'] = await world.path([tool]);
      return undefined;
    });
    expect(output).toContain(`the program ${tool} is missing`);
  });

  it.each(['PGHOST', 'PGDATABASE', 'VOLUME_DIR'])('stops when %s is unset', async (variable) => {
    const { output } = await stops(async (env) => {
      delete env[variable];
      return undefined;
    });
    expect(output).toContain(variable);
  });

  it('stops at a target that holds something, unless told otherwise', async () => {
    for (const thing of ['create table mine (n int)', 'select lo_create(1)', 'create sequence app']) {
      const target = await world.newTarget();
      await world.sql(target, thing);
      expect((await stops(async () => undefined, target)).output).toContain('is not empty');
      const forced = { ...(await environment(sealed, target)), DBBACKUP_RESTORE_NONEMPTY: '1' };
      expect(await world.pipe(shell, scriptOf(sealed, 'volume'), forced)).toMatchObject({ ok: true, left: '' });
      expect(await world.sql(target, 'select count(*) from customers')).toBe('500\n');
    }
  });

  it('leaves the target as it was when the restore itself fails', async () => {
    const target = await world.newTarget();
    await world.sql(target, 'create table customers (already int); insert into customers values (1)');
    const { output } = await stops(async (env) => {
      env['DBBACKUP_RESTORE_NONEMPTY'] = '1';
      return undefined;
    }, target);
    expect(output).toContain(`the restore into ${target} on ${world.postgres.host} failed`);
  });
});

it('reads no digest but its own where only shasum exists', async () => {
  const target = await world.newTarget();
  const env = { ...(await environment(sealed, target)), PATH: await world.path(['sha256sum'], ['shasum']) };
  const outcome = await world.pipe(['/bin/dash'], scriptOf(sealed, 'volume'), env);
  expect(outcome).toMatchObject({ ok: true, left: '' });
});

it('stops when the store refuses, has no such object or a cut one', async () => {
  const target = await world.newTarget();
  const before = await world.contents(target);
  const good = { ...(await environment(sealed, target)), ...world.s3Environment() };
  const script = scriptOf(sealed, 's3');
  const pipe = async (env: Record<string, string>, text = script) =>
    (await world.pipe(['/bin/dash'], text, env)).output;
  await world.upload({ ...sealed, stored: sealed.stored.subarray(0, 1000) });
  expect(await pipe(good)).toContain('has 1000 bytes, its manifest says');
  expect(await pipe({ ...good, AWS_SECRET_ACCESS_KEY: 'wrong' })).toContain('that of Secret shop/s3-credentials');
  expect(await pipe(good, script.replaceAll('postgres/daily/', 'elsewhere/'))).toContain('cannot download');
  expect(await world.contents(target)).toBe(before);
});
