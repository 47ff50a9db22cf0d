// What a backup takes of its server, in a person's words.
import type { Scope } from '../crds/rules/engines/engine.ts';

/** For the start of "... on orders-db:5432". */
export function contentName({ name, allDatabases }: Scope): string {
  if (name !== undefined && name !== '') return name;
  return allDatabases === true ? 'all databases' : 'everything';
}
