// Where each field of spec.database is to be seen: in the dump container, in its volumes and in the task.
import type { DatabaseBackupSpec } from '../../crds/databasebackup.gen.ts';
import { literal } from '../../crds/rules/contract.ts';
import type { Engine } from '../../crds/rules/engines/engine.ts';
import { engines } from '../../crds/rules/engines/table.ts';
import { authorities, inTask, type Shown, variable, variableOf, volumeOf } from './shown.ts';

/** The Secret of the database's login, where it holds a token or where it does not. */
const login = (isToken: boolean): Shown => ({
  of: (seen) =>
    (variableOf(seen.dump, 'DBBACKUP_TOKEN_KEY') !== '') === isToken
      ? volumeOf(seen, 'database')?.secret?.secretName
      : undefined,
});
const loginKey = (name: 'username' | 'password'): Shown =>
  variable(`DBBACKUP_${name.toUpperCase()}_KEY`, ({ database: { engine, auth } }: DatabaseBackupSpec) =>
    auth?.secretRef === undefined ? '' : ((engines[engine] as Engine).secretKeys[name] ?? ''),
  );
/** What only a login by a token of the service account has, and is set by default. */
const ofJwt =
  (value: string, otherwise?: string) =>
  ({ database: { auth } }: DatabaseBackupSpec) =>
    auth?.jwt === undefined ? otherwise : value;
/** What the manifest hands to the dump: the command, or arguments of the engine's own tool. */
const handed = (isCommand: boolean, absent?: string[]): Shown => ({
  of: ({ dump, task }) => ((task.engine === 'command') === isCommand ? dump.command?.slice(4) : absent),
  as: (list: string[]) => list.map(literal),
  absent,
});

export const databaseShows: Readonly<Record<string, Shown>> = {
  'database.engine': inTask('engine'),
  'database.image': { of: ({ dump, task }) => (dump.image === task.image ? dump.image : [dump.image, task.image]) },
  'database.cluster': inTask('cluster', 'stock-db'),
  'database.host': inTask('database.host'),
  'database.port': inTask(
    'database.port',
    ({ database: { engine } }: DatabaseBackupSpec) => engines[engine].defaultPort,
  ),
  'database.name': inTask('database.name'),
  'database.allDatabases': inTask('database.allDatabases'),
  'database.extraArgs': handed(false, []),
  'database.command': handed(true),
  'database.restoreCommand': inTask('database.restoreCommand'),
  'database.tls.mode': variable('DBBACKUP_TLS_MODE', ''),
  ...authorities('database.tls.ca', 'database-ca'),
  'database.auth.secretRef.name': login(false),
  'database.auth.secretRef.keys.username': loginKey('username'),
  'database.auth.secretRef.keys.password': loginKey('password'),
  'database.auth.jwt.role': variable('DBBACKUP_JWT_ROLE', ''),
  'database.auth.jwt.mount': variable('DBBACKUP_JWT_MOUNT', ofJwt('jwt', '')),
  'database.auth.jwt.audience': {
    of: (seen) => volumeOf(seen, 'database-token')?.projected?.sources[0]?.serviceAccountToken?.audience,
    absent: ofJwt('openbao'),
  },
  'database.auth.tokenSecretKeyRef.name': login(true),
  'database.auth.tokenSecretKeyRef.key': variable('DBBACKUP_TOKEN_KEY', ''),
};
