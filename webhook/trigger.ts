// Who asked for a backup: written beside the trigger by the API server's word, whatever the object itself claims.
import type { DatabaseBackup } from '../crds/databasebackup.gen.ts';
import { annotations } from '../crds/rules/names.ts';

const path = `/metadata/annotations/${annotations.triggeredBy.replace('/', '~1')}`;

/** A JSON patch; empty where the trigger is as it was. One that is taken away takes the name of who set it along. */
export function triggerPatch(next: DatabaseBackup, old: DatabaseBackup | undefined, username: string): object[] {
  const token = read(next, annotations.trigger);
  if (token === read(old, annotations.trigger)) return [];
  if (token !== undefined) return [{ op: 'add', path, value: username }];
  return read(next, annotations.triggeredBy) === undefined ? [] : [{ op: 'remove', path }];
}

/** The metadata of an AdmissionReview is decoded here: whoever sends one may have put anything into it. */
function read(backup: DatabaseBackup | undefined, name: string): string | undefined {
  const found: unknown = backup?.metadata.annotations;
  if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
  const value: unknown = Reflect.get(found, name);
  return typeof value === 'string' ? value : undefined;
}
