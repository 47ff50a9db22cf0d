// What a backup takes of its server, in a person's words.
import type { DatabaseTask, Scope } from '../crds/rules/engines/engine.ts';

/** For the start of "... on orders-db:5432". */
export function contentName({ name, allDatabases }: Scope): string {
  if (name !== undefined && name !== '') return name;
  return allDatabases === true ? 'all databases' : 'everything';
}

/** A server's address as people write it; a command may know its port by itself. */
export function serverName({ host, port }: Pick<DatabaseTask, 'host' | 'port'>): string {
  return port === 0 ? host : `${host}:${port}`;
}
