// The reviews that both sides of `npm run bench -- review` are asked: what the API server sends, right and wrong objects among it.
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { backup, database, reviewOf } from '../webhook/objects.ts';

/** As the API server adds it to an object that was applied server-side. */
const managedFields = [
  {
    manager: 'argocd-controller',
    operation: 'Apply',
    apiVersion: 'dbbackup.io/v1alpha1',
    time: '2026-11-21T07:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': { 'f:annotations': { 'f:argocd.argoproj.io/tracking-id': {} }, 'f:labels': { 'f:team': {} } },
      'f:spec': {
        'f:database': { 'f:auth': { 'f:secretRef': { 'f:name': {} } }, 'f:engine': {}, 'f:host': {}, 'f:image': {} },
        'f:encryption': { 'f:age': { 'f:recipients': {} } },
        'f:retention': { 'f:keepLast': {}, 'f:keepWithin': {} },
        'f:schedule': {},
        'f:storage': { 'f:s3': { 'f:auth': { 'f:secretRef': { 'f:name': {} } }, 'f:bucket': {}, 'f:region': {} } },
      },
    },
  },
];

type Spec = DatabaseBackup['spec'];

function applied(spec: Partial<Spec> = {}): object {
  const object = backup({ timeZone: 'Europe/Berlin', retention: { keepLast: 7, keepWithin: '336h' }, ...spec });
  const labels = { team: 'shop', 'app.kubernetes.io/instance': 'orders' };
  const annotations = { 'argocd.argoproj.io/tracking-id': 'shop:dbbackup.io/DatabaseBackup:shop/orders' };
  const uid = '7d3c5b6e-1f1e-4f0e-9a55-4f1c2f1d9b11';
  const metadata = { ...object.metadata, uid, generation: 1, labels, annotations, managedFields };
  return { ...object, metadata };
}

const stored = applied({ database: database({ cluster: 'orders-db' }) });
const created = (spec: Partial<Spec>) => reviewOf({ object: applied(spec) });
const changed = (spec: Partial<Spec>) => reviewOf({ operation: 'UPDATE', object: applied(spec), oldObject: stored });
const wrongKey = `age1${'q'.repeat(58)}`;

/** What is asked in the runs: mostly right, as admission is. */
export const reviews: readonly object[] = [
  created({}),
  changed({ suspend: true }),
  created({ schedule: '*/15 2-5 * * mon-fri', storage: { pvc: { claimName: 'backups' } } }),
  changed({ database: database({ host: 'new-db.shop.svc' }), compression: { algorithm: 'gzip', level: 9 } }),
  created({ schedule: '99 1 * * *', retention: {} }),
];

/** What both sides must judge alike before anything is measured. */
export const judged: readonly object[] = [
  ...reviews,
  created({ schedule: 'every day' }),
  created({ timeZone: 'Europe/Berlinn' }),
  created({ encryption: { age: { recipients: [wrongKey] } } }),
  created({ encryption: {} }),
  created({ encryption: { none: {} } }),
  created({ database: database({ host: '127.0.0.1' }) }),
  created({ database: database({ port: 70_000 }) }),
  created({ database: database({ name: 'x=y' }) }),
  created({ storage: {} }),
  created({ compression: { algorithm: 'gzip', level: 12 } }),
  changed({ database: database({ cluster: 'other' }) }),
  reviewOf({ operation: 'DELETE', object: null, oldObject: stored }),
  reviewOf({ operation: 'UPDATE', object: stored, oldObject: stored }),
];

/** A review just below 3 MiB, all of it an annotation: the largest that an API server could send. */
export function largeReview(): string {
  const object = backup({}, { annotations: { note: 'x'.repeat(3 * 1024 * 1024 - 4096) } });
  return JSON.stringify(reviewOf({ object }));
}
