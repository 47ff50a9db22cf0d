// What the API server sends for a DatabaseBackup, with whatever a test wants different.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';

/** A key that was made for tests; nobody holds its identity. */
export const recipient = 'age1pud5ds2vv7lyfup4rtcemzjgauy9nz5kec6ydjy96lrqd28mjajq03nea9';

type Spec = DatabaseBackup['spec'];

export function backup(spec: Partial<Spec> = {}, metadata: Partial<DatabaseBackup['metadata']> = {}): DatabaseBackup {
  return {
    apiVersion: 'dbbackup.io/v1alpha1',
    kind: 'DatabaseBackup',
    metadata: { name: 'orders', namespace: 'shop', ...metadata },
    spec: {
      schedule: '0 1 * * *',
      database: database(),
      storage: { s3: { bucket: 'backups', region: 'eu-central-1', auth: { secretRef: { name: 's3' } } } },
      encryption: { age: { recipients: [recipient] } },
      retention: { keepLast: 3 },
      ...spec,
    },
  };
}

export function database(overrides: Partial<Spec['database']> = {}): Spec['database'] {
  return {
    engine: 'postgres',
    image: 'postgres:16',
    host: 'orders-db.shop.svc',
    name: 'orders',
    auth: { secretRef: { name: 'orders-db' } },
    ...overrides,
  };
}

/** An AdmissionReview; members set to undefined are absent. */
export function reviewOf(request: Record<string, unknown>, envelope: Record<string, unknown> = {}): object {
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'a-uid',
      kind: { group: 'dbbackup.io', version: 'v1alpha1', kind: 'DatabaseBackup' },
      resource: { group: 'dbbackup.io', version: 'v1alpha1', resource: 'databasebackups' },
      name: 'orders',
      namespace: 'shop',
      operation: 'CREATE',
      userInfo: { username: 'ada' },
      object: backup(),
      oldObject: null,
      ...request,
    },
    ...envelope,
  };
  return JSON.parse(JSON.stringify(review));
}
