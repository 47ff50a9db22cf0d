// The variables of the container that talks to the database: values of the manifest and names of files, never a secret. The scripts in
// engine.ts and script.ts read them.
import type { DatabaseBackupSpec } from '../../databasebackup.gen.ts';
import type { Access, DatabaseTask, Engine } from './engine.ts';
import { engines } from './table.ts';

export interface Variable {
  name: string;
  value: string;
}

/** All variables are always set, so that a script under `set -u` can ask for any of them. */
export function dumpEnvironment(engine: Engine, database: DatabaseTask, { secret, jwt, tls }: Access): Variable[] {
  const keys = { username: '', password: '', token: '', ...secret?.keys };
  return [
    ...engine.variables(database),
    { name: 'DBBACKUP_SECRET', value: secret?.name ?? '' },
    ...Object.entries(keys).map(([name, value]) => ({ name: `DBBACKUP_${name.toUpperCase()}_KEY`, value })),
    { name: 'DBBACKUP_JWT_ROLE', value: jwt?.role ?? '' },
    { name: 'DBBACKUP_JWT_MOUNT', value: jwt?.mount ?? '' },
    { name: 'DBBACKUP_TLS_MODE', value: tls?.mode ?? '' },
    { name: 'DBBACKUP_TLS_AUTHORITIES', value: tls?.authorities ?? '' },
  ];
}

/** How a spec logs in, its defaults filled in. */
export function accessOf({ engine, auth, tls }: DatabaseBackupSpec['database']): Access {
  const { secretRef, jwt, tokenSecretKeyRef } = auth ?? {};
  const secret =
    secretRef === undefined
      ? tokenSecretKeyRef && { name: tokenSecretKeyRef.name, keys: { token: tokenSecretKeyRef.key } }
      : { name: secretRef.name, keys: { ...engines[engine].secretKeys, ...secretRef.keys } };
  return {
    ...(secret === undefined ? {} : { secret }),
    ...(jwt === undefined ? {} : { jwt: { role: jwt.role, mount: jwt.mount ?? 'jwt' } }),
    ...(tls === undefined ? {} : { tls: { mode: tls.mode, ...authoritiesOf(tls.ca) } }),
  };
}

function authoritiesOf(ca: NonNullable<DatabaseBackupSpec['database']['tls']>['ca']): { authorities?: string } {
  const place = ca?.configMapKeyRef ?? ca?.secretKeyRef;
  if (place === undefined) return {};
  const kind = ca?.configMapKeyRef === undefined ? 'Secret' : 'ConfigMap';
  return { authorities: `${kind} "${place.name}", key "${place.key}"` };
}
