// A real MariaDB server on this host for one test file: its own data directory, password and port, gone after stop().
import { randomBytes } from 'node:crypto';
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, run } from '../command.ts';
import { debianPackages } from '../debian.ts';
import type { Log } from '../progress.ts';
import { NOBODY, startChild, wrapping } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface Mariadb {
  host: string;
  port: number;
  /** May do everything. */
  user: string;
  password: string;
  /** For example "10.11.19". */
  version: string;
  /** Runs SQL as the user that may do everything and gives its rows, columns separated by tabs. */
  sql(text: string, database?: string): Promise<string>;
  stop(): Promise<void>;
}

export interface MariadbOptions {
  log: Log;
  /** Further settings of the server, without the leading dashes. */
  settings?: Record<string, string>;
}

const bin = '/usr/bin';
const server = '/usr/sbin/mariadbd';

// Data that lives for one test needs no care about power cuts, and small memory lets several servers stand side by side.
const settings = {
  bind_address: '127.0.0.1',
  innodb_flush_log_at_trx_commit: '0',
  innodb_flush_method: 'nosync',
  innodb_doublewrite: 'OFF',
  innodb_buffer_pool_size: '32M',
  innodb_log_file_size: '16M',
  performance_schema: 'OFF',
  character_set_server: 'utf8mb4',
  event_scheduler: 'OFF',
  max_allowed_packet: '256M',
  'skip-name-resolve': 'ON',
};

async function installed(data: string, uid: number | undefined): Promise<void> {
  const as = await wrapping(uid);
  const install = [join(bin, 'mariadb-install-db'), '--no-defaults', `--datadir=${data}`, '--skip-test-db'];
  const [program = '', ...args] = [
    ...as,
    ...install,
    '--auth-root-authentication-method=normal',
    '--innodb-flush-method=nosync',
  ];
  await run([program, ...args], { env: { PATH: `${process.env['PATH']}:/usr/sbin`, LC_ALL: 'C' } });
}

/** The core packages alone: the others would start a server of their own. */
export async function startMariadb({ log, settings: further = {} }: MariadbOptions): Promise<Mariadb> {
  await debianPackages(['mariadb-server-core', 'mariadb-client'], log);
  const place = await newPlace('mariadb');
  const data = join(place, 'data');
  const password = randomBytes(12).toString('hex');
  // The server refuses to run as root.
  const uid = process.getuid?.() === 0 ? NOBODY : undefined;
  try {
    if (uid !== undefined) await chown(place, uid, uid);
    await installed(data, uid);
    const start = join(place, 'start.sql');
    await writeFile(start, `set password for root@'127.0.0.1' = password('${password}');\n`);
    if (uid !== undefined) await chown(start, uid, uid);
    return await withFreePort(async (port) => {
      const options = {
        ...settings,
        datadir: data,
        port: String(port),
        socket: join(place, 'socket'),
        init_file: start,
      };
      const flags = Object.entries({ ...options, ...further }).map(([name, value]) => `--${name}=${value}`);
      const child = await startChild([server, '--no-defaults', ...flags], {
        cwd: place,
        env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
        ...(uid === undefined ? {} : { uid }),
      });
      const client = [
        join(bin, 'mariadb'),
        '--no-defaults',
        '--host=127.0.0.1',
        `--port=${port}`,
        '--user=root',
      ] as const;
      const sql = (text: string, database = 'mysql'): Promise<string> =>
        run(
          [
            ...client,
            '--default-character-set=utf8mb4',
            '--batch',
            '--skip-column-names',
            '--raw',
            '--max-allowed-packet=256M',
            `--database=${database}`,
          ],
          {
            env: { PATH: process.env['PATH'], MYSQL_PWD: password },
            input: text,
          },
        );
      const ready = () =>
        sql('select 1').then(
          () => true,
          (error) => {
            if (error instanceof CommandError) return false;
            throw error;
          },
        );
      await untilReady('MariaDB', child, ready);
      const version = (await sql('select version()')).split('-')[0] ?? '';
      const stop = async () => {
        await child.stop();
        await removePlace(place);
      };
      return { host: '127.0.0.1', port, user: 'root', password, version, sql, stop };
    });
  } catch (error) {
    await removePlace(place);
    throw error;
  }
}
