// A real PostgreSQL server on this host for one test file: its own data directory, password and port, gone after stop().
import { randomBytes } from 'node:crypto';
import { access, chown, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';
import { debianPackages } from '../debian.ts';
import type { Log } from '../progress.ts';
import { NOBODY, startChild, wrapping } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface Postgres {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** For example "15.14". */
  version: string;
  /** The directory of psql, pg_dump, pg_dumpall, pg_restore and the server's own programs. */
  bin: string;
  stop(): Promise<void>;
}

const root = '/usr/lib/postgresql';

/** Debian keeps each major version apart, none of them on the PATH. 15 is what the images carry, so it is preferred. */
async function programs(log: Log): Promise<string> {
  const find = async () => {
    const versions = await readdir(root).catch(() => []);
    const byPreference = versions.sort((a, b) => Number(b === '15') - Number(a === '15') || Number(b) - Number(a));
    for (const version of byPreference) {
      const bin = join(root, version, 'bin');
      const server = await access(join(bin, 'initdb')).then(
        () => true,
        () => false,
      );
      if (server) return bin;
    }
    return undefined;
  };
  const found = await find();
  if (found !== undefined) return found;
  await debianPackages(['postgresql'], log);
  const installed = await find();
  if (installed === undefined) throw new Error(`find PostgreSQL: no initdb under ${root}: install postgresql-15`);
  return installed;
}

// Data that lives for one test needs no care about power cuts, and small memory lets several servers stand side by side.
const settings = {
  listen_addresses: '127.0.0.1',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  shared_buffers: '32MB',
  max_connections: '50',
};

/** @param further settings of the server */
export async function startPostgres({
  log,
  settings: further = {},
}: {
  log: Log;
  settings?: Record<string, string>;
}): Promise<Postgres> {
  const bin = await programs(log);
  const place = await newPlace('postgres');
  const data = join(place, 'data');
  const password = randomBytes(12).toString('hex');
  // The server refuses to run as root.
  const uid = process.getuid?.() === 0 ? NOBODY : undefined;
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  try {
    const passwordFile = join(place, 'password');
    await writeFile(passwordFile, password);
    if (uid !== undefined) for (const path of [place, passwordFile]) await chown(path, uid, uid);
    const as = await wrapping(uid);
    const initdb = [join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '-E', 'UTF8'];
    const [program = '', ...args] = [...as, ...initdb, `--pwfile=${passwordFile}`, '--locale=C', '--no-sync'];
    await run([program, ...args], { cwd: place, env });
    const version = /[\d.]+/.exec(await run([join(bin, 'postgres'), '--version']))?.[0] ?? 'unknown';

    return await withFreePort(async (port) => {
      const options = Object.entries({ ...settings, unix_socket_directories: place, port: String(port), ...further });
      const flags = options.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      const child = await startChild([join(bin, 'postgres'), '-D', data, ...flags], {
        env,
        cwd: place,
        ...(uid === undefined ? {} : { uid }),
        // Killed, the postmaster would leave its shared memory behind; quit, it takes everything down at once.
        hardSignal: 'SIGQUIT',
      });
      // The eighth line of the lock file is the server's own word on whether it takes connections.
      const ready = async () =>
        (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[7]?.trim() === 'ready';
      await untilReady(`PostgreSQL ${version}`, child, ready);
      const stop = async () => {
        await child.stop('SIGINT');
        await removePlace(place);
      };
      return { host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres', version, bin, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
