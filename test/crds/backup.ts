// A good DatabaseBackup and a way to change one field of it by its path.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';

export const recipient = 'age1pud5ds2vv7lyfup4rtcemzjgauy9nz5kec6ydjy96lrqd28mjajq03nea9';

export const smallest: DatabaseBackup = {
  apiVersion: 'dbbackup.io/v1alpha1',
  kind: 'DatabaseBackup',
  metadata: { name: 'orders', namespace: 'shop' },
  spec: {
    schedule: '0 1 * * *',
    database: {
      engine: 'postgres',
      image: 'postgres:16',
      host: 'orders-db',
      name: 'orders',
      auth: { secretRef: { name: 'orders-db' } },
    },
    storage: { s3: { bucket: 'backups', region: 'eu-central-1', auth: { secretRef: { name: 's3-credentials' } } } },
    encryption: { age: { recipients: [recipient] } },
    retention: { keepLast: 3 },
  },
};

/** The object with the value at a path such as spec.database.host; undefined takes the field away. */
export function withField(path: string, value: unknown, object: object = smallest): Record<string, unknown> {
  const copy = structuredClone(object) as Record<string, unknown>;
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let at = copy;
  for (const step of steps) {
    at[step] ??= {};
    at = at[step] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else Object.defineProperty(at, last, { value, enumerable: true, configurable: true, writable: true });
  return copy;
}
