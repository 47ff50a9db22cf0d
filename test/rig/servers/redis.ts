// A real Redis server on this host for one test file: its own data folder, password and port, gone after stop().
import { randomBytes } from 'node:crypto';
import { chown, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';
import { debianPackages } from '../debian.ts';
import type { Log } from '../progress.ts';
import { NOBODY, startChild } from './child.ts';
import { newPlace, removePlace, untilReady, withFreePort } from './place.ts';

export interface Redis {
  host: string;
  port: number;
  password: string;
  /** For example "7.0.15". */
  version: string;
  /** Where its files are. */
  directory: string;
  /** redis-cli with the server's own login; what it prints, without the last newline. */
  cli(...args: string[]): Promise<string>;
  /** The same with commands on standard input. */
  pipe(commands: string): Promise<string>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface RedisOptions {
  log: Log;
  /** Further lines of the command line, such as "--appendonly". */
  options?: string[];
  /** A folder that is there already and stays when the server stops; otherwise one is made and removed. */
  directory?: string;
}

export async function startRedis({ log, options = [], directory }: RedisOptions): Promise<Redis> {
  await debianPackages(['redis-server', 'redis-tools'], log);
  const place = directory ?? (await newPlace('redis'));
  const password = randomBytes(12).toString('hex');
  const uid = process.getuid?.() === 0 ? NOBODY : undefined;
  if (uid !== undefined)
    for (const name of ['', ...(await readdir(place, { recursive: true }))]) await chown(join(place, name), uid, uid);
  const version = /v=([\d.]+)/.exec(await run(['redis-server', '--version']))?.[1] ?? 'unknown';
  try {
    return await withFreePort(async (port) => {
      const settings = [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', place, '--requirepass', password, '--save', ''],
        // Otherwise each dump waits for other replicas that might want one too.
        ...['--repl-diskless-sync-delay', '0', '--enable-debug-command', 'local'],
      ];
      const child = await startChild(['redis-server', ...settings, ...options], {
        cwd: place,
        ...(uid === undefined ? {} : { uid }),
      });
      const env = { ...process.env, REDISCLI_AUTH: password };
      const command: [string, ...string[]] = ['redis-cli', '-h', '127.0.0.1', '-p', String(port)];
      const cli = async (...args: string[]) => (await run([...command, ...args], { env })).replace(/\n$/, '');
      await untilReady('Redis', child, () =>
        cli('PING').then(
          (answer) => answer === 'PONG',
          () => false,
        ),
      );
      return {
        ...{ host: '127.0.0.1', port, password, version, directory: place, cli },
        pipe: (commands) => run(command, { env, input: commands }),
        async stop(signal) {
          await child.stop(signal);
          if (directory === undefined) await removePlace(place);
        },
      };
    });
  } catch (error) {
    if (directory === undefined) await removePlace(place);
    throw error;
  }
}
