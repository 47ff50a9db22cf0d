// One PostgreSQL server of a test file, with the database "orders" that holds awkward things, and backups of it.
import { join } from 'node:path';
import { expect } from 'vitest';
import { run } from '../rig/command.ts';
import { type Postgres, startPostgres } from '../rig/servers/postgres.ts';
import { type Backup, EngineRuns, type Source } from './engine-run.ts';
import { awkwardTables, contentQuery } from './postgres-content.ts';
import { clientEnv } from './world.ts';

export class PostgresRuns {
  readonly runs = new EngineRuns();
  readonly log = (line: string): void => console.error(line);
  #server: Postgres | undefined;

  /** A dump and a restore in one transaction need a lock for every object: ten thousand tables are more than the default has room for. */
  async start(): Promise<Postgres> {
    const settings = { max_locks_per_transaction: '1024', max_prepared_transactions: '2' };
    this.#server = await startPostgres({ log: this.log, settings });
    await this.sql('create database orders');
    await this.sql(awkwardTables, 'orders');
    return this.#server;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  get server(): Postgres {
    if (this.#server === undefined) throw new Error('the server has not been started');
    return this.#server;
  }

  readonly sqlOf =
    (one: Postgres) =>
    (text: string, database: string): Promise<string> =>
      run([join(one.bin, 'psql'), '-XAtqw', '-v', 'ON_ERROR_STOP=1'], { env: clientEnv(one, database), input: text });
  readonly sql = (text: string, database = 'postgres'): Promise<string> => this.sqlOf(this.server)(text, database);
  readonly contentOf = (database: string, one = this.server): Promise<string> =>
    this.sqlOf(one)(contentQuery, database);

  readonly source = (over: Partial<Source> = {}): Source => ({
    engine: 'postgres',
    database: { host: this.server.host, port: this.server.port, name: 'orders' },
    access: { secret: { name: 'orders-db', keys: { username: 'username', password: 'password' } } },
    keys: { username: this.server.user, password: this.server.password },
    tools: [this.server.bin],
    ...over,
  });
  readonly database = (name: string): Source => this.source({ database: { ...this.source().database, name } });
  readonly whole = (over: Partial<Source> = {}): Source =>
    this.source({ database: { host: this.server.host, port: this.server.port, allDatabases: true }, ...over });

  /** An empty database, and what its clients log in with. */
  readonly fresh = async (name: string): Promise<NodeJS.ProcessEnv> => {
    await this.sql(`drop database if exists ${name}`);
    await this.sql(`create database ${name}`);
    return clientEnv(this.server, name);
  };

  readonly expectSuccess = (backup: Backup): void => {
    expect(backup.result?.run, backup.output).toMatchObject({ outcome: 'Succeeded' });
    expect(backup.output).not.toContain(this.server.password);
  };
}
