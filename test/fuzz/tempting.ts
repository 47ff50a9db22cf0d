// Values that the schema takes and a rule may not: what each rule beyond the schema is about, right, wrong and nearly wrong.
import type { Random } from './chance.ts';
import { addresses, nearSchedules, quantities, schedules, zones } from './hostile.ts';
import { slip } from './sample.ts';

const options = [
  ...[
    '--exclude-table-data=audit_*',
    '--exclude-table-data',
    '--table=',
    '--no-owner',
    '--no-owner=x',
    '--blobs',
    '--file=x',
    '--host=evil',
  ],
  ...[
    '--dbname=x',
    '--format=d',
    '--jobs=2',
    '--schema==',
    '--schemas=a',
    '--no-blobs-',
    '--lock-wait-timeout=5s',
    '--encoding=UTF8',
  ],
];
const keys = [
  ...[
    'team',
    'example.com/team',
    'dbbackup.io/name',
    'app.kubernetes.io/managed-by',
    'kubernetes.io/x',
    'job-name',
    'controller-uid',
    'Team/x',
  ],
  ...[
    'a/b/c',
    '-a',
    'a-',
    'a b',
    '',
    '/',
    'a/',
    '/a',
    'x'.repeat(63),
    'x'.repeat(64),
    `${'a.'.repeat(120)}b/c`,
    `${'x'.repeat(254)}/a`,
    'a..b/c',
  ],
  ...[
    'sidecar.istio.io/inject',
    'batch.kubernetes.io/job',
    'K8s.io/a',
    'k8s.io/',
    'container.apparmor.security.beta.kubernetes.io/dump',
    '__proto__',
  ],
];
const labels = ['', 'shop', '-a', 'a-', 'a b', 'ä', 'x'.repeat(63), 'a/b', 'A_b.c-9'];
const names = [
  'orders',
  'é'.repeat(31),
  'é'.repeat(32),
  '漢'.repeat(21),
  '漢'.repeat(22),
  '😀'.repeat(15),
  '😀'.repeat(16),
  'postgres:',
  'a b',
  '$(id)',
  "o'rders",
  'ORDERS',
];
const ports = ['', '', ':9000', ':0', ':00', ':65535', ':65536', ':', ':99999999999999999999', ':080'];
const buckets = ['backups', '1.2.3.4', '1.2.3', '999.1.1.1', '01.2.3.4', 'a.1', '1a.2.3.4'];

/** Fields by their path, and what to try there. */
export const tempting: Record<string, (random: Random) => unknown> = {
  'spec.schedule': (random) =>
    random.pick([random.pick(nearSchedules), random.pick(schedules), slip(random.pick(schedules), random)]),
  'spec.timeZone': (random) => random.pick(zones),
  'spec.database.host': host,
  'spec.database.name': (random) => random.pick(names),
  'spec.database.extraArgs[]': (random) => random.pick(options),
  'spec.storage.s3.bucket': (random) => random.pick(buckets),
  'spec.storage.s3.endpoint': endpoint,
  'spec.storage.s3.serverSideEncryption': (random) => ({
    algorithm: random.pick(['AES256', 'aws:kms', 'aws:fsx']),
    kmsKeyId: random.pick(['alias/backups', '', 'a b']),
  }),
  'spec.storage.gcs.bucket': (random) => random.pick([...buckets, 'a_b', 'a..b', '_a']),
  'spec.storage.gcs.endpoint': endpoint,
  'spec.storage.azure.endpoint': (random) =>
    endpoint(random) + random.pick(['', '', '/mybackups', '/other', '/', '/mybackups/', '/MyBackups']),
  'spec.job.resources.requests.cpu': (random) => random.pick<unknown>([...quantities, 0, 1, -1, 2]),
  'spec.job.resources.limits.cpu': (random) => random.pick<unknown>([...quantities, 0, 1, 2]),
  'spec.job.resources.requests.memory': (random) => random.pick<unknown>([...quantities, 0, 67_108_863, 67_108_864]),
  'spec.job.resources.limits.memory': (random) => random.pick<unknown>([...quantities, 0, 67_108_863, 67_108_864]),
  'spec.job.tolerations[].key': (random) => random.pick(keys),
  'spec.job.nodeSelector': texts,
  'spec.job.podLabels': texts,
  'spec.job.podAnnotations': texts,
  'spec.job.imagePullSecrets': (random) =>
    Array.from({ length: random.below(4) }, () => ({ name: random.pick(['a', 'b', 'c']) })),
};

function endpoint(random: Random): string {
  return `${random.pick(['https', 'http'])}://${endpointHost(random)}${random.pick(ports)}`;
}

function texts(random: Random): object {
  return Object.fromEntries(
    Array.from({ length: 1 + random.below(2) }, () => [random.pick(keys), random.pick(labels)]),
  );
}

function host(random: Random): string {
  const written = random.pick(addresses);
  return random.chance(0.7) ? written : slip(written, random);
}

function endpointHost(random: Random): string {
  const written = host(random);
  return written.includes(':') && !written.startsWith('[') ? `[${written}]` : written;
}
