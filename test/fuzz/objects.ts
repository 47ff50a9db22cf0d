// DatabaseBackups made from the CRD's schema: every field now and then, values at and around their boundaries. Most are good ones.
import { schema } from '../../crds/databasebackup.gen.ts';
import { oneOf, type Random } from './chance.ts';
import { fittingDatabase, joinStorage } from './databases.ts';
import { hostileText, schedules } from './hostile.ts';
import { parsePattern } from './pattern.ts';
import { sample } from './sample.ts';
import { tempting } from './tempting.ts';

export interface SchemaNode {
  type?: string;
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  required?: string[];
  items?: SchemaNode;
  enum?: unknown[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
}

const recipients = [
  'age1pud5ds2vv7lyfup4rtcemzjgauy9nz5kec6ydjy96lrqd28mjajq03nea9',
  'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
  'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg',
];
const endpoints = [
  'https://minio.example:9000',
  'https://s3.eu',
  'http://store:9000',
  'https://[fd12::7]:9000',
  'https://10.0.0.7',
];
const resources = ['500m', '1', 2, '0.25', '64Mi', '512Mi', '2Gi', 67_108_864];

/** What the schema alone would seldom hit: values with a meaning beyond their pattern. */
const meaningful: Record<string, readonly unknown[]> = {
  'spec.schedule': schedules,
  'spec.timeZone': ['Etc/UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata', 'UTC'],
  'spec.database.host': ['orders-db', 'orders-db.shop.svc', 'Orders.Example', '10.0.0.7', 'fd12::7', 'a'.repeat(63)],
  'spec.database.extraArgs[]': [
    '--exclude-table-data=audit_*',
    '--no-blobs',
    '--lock-wait-timeout=5s',
    '--schema=a=b',
    '--no-owner',
  ],
  'spec.storage.s3.bucket': ['backups', 'a.b', '0-0', 'x'.repeat(63)],
  'spec.storage.gcs.bucket': ['backups', 'a_b', '0-0', 'x'.repeat(222)],
  'spec.storage.azure.container': ['backups', 'a-b', 'x'.repeat(63)],
  'spec.storage.s3.endpoint': endpoints,
  'spec.storage.s3.serverSideEncryption': [
    { algorithm: 'AES256' },
    { algorithm: 'aws:kms', kmsKeyId: 'alias/backups' },
  ],
  'spec.storage.gcs.endpoint': [
    'https://storage.example',
    'https://[fd12::7]:4443',
    'https://10.0.0.7',
    'http://fake-gcs:4443',
  ],
  'spec.storage.azure.account': ['orders', 'orders', 'a0'.repeat(12), 'shop1'],
  'spec.storage.azure.endpoint': [
    'https://mybackups.blob.core.usgovcloudapi.net',
    'https://blobs.example/mybackups',
    'http://azurite:10000/mybackups',
  ],
  'spec.encryption.age.recipients[]': recipients,
  'spec.retention.pin[]': ['20250327T010000Z-1a2b3c4d', '20240229T235959Z-00000000', '19700101T000000Z-ffffffff'],
  'spec.job.resources.requests.cpu': resources.slice(0, 4),
  'spec.job.resources.limits.cpu': resources.slice(0, 4),
  'spec.job.resources.requests.memory': resources.slice(4),
  'spec.job.resources.limits.memory': resources.slice(4),
  'spec.job.tolerations[].key': ['dedicated', 'example.com/dedicated', 'node.kubernetes.io/not-ready'],
};
/** Of these members one is chosen, now and then none or all. */
const alternatives: Record<string, readonly string[]> = {
  'spec.database.auth': ['secretRef', 'jwt', 'tokenSecretKeyRef'],
  'spec.database.tls.ca': ['configMapKeyRef', 'secretKeyRef'],
  'spec.storage': ['s3', 's3', 'gcs', 'azure', 'pvc', 'pvc'],
  // Seldom workloadIdentity, which needs a service account that most objects have not.
  'spec.storage.s3.auth': ['secretRef', 'secretRef', 'secretRef', 'default', 'default', 'workloadIdentity'],
  'spec.storage.s3.ca': ['configMapKeyRef', 'secretKeyRef'],
  'spec.storage.gcs.auth': [
    ...['serviceAccountKeySecretKeyRef', 'serviceAccountKeySecretKeyRef'],
    ...['applicationDefault', 'applicationDefault', 'workloadIdentity'],
  ],
  'spec.storage.azure.auth': [
    ...['accountKeySecretKeyRef', 'connectionStringSecretKeyRef', 'sasTokenSecretKeyRef'],
    ...['managedIdentity', 'managedIdentity', 'workloadIdentity'],
  ],
  'spec.encryption': ['age', 'none'],
};
const mapKeys = ['team', 'example.com/team', 'a', 'x.y-z_0', 'topology.kubernetes.io/zone'];
const mapValues = ['', 'shop', 'a-b_c.d', 'x'.repeat(63)];

/** A wild object oversteps a boundary at some field or other, a careful one stays within them all. */
interface Mood extends Random {
  wild: boolean;
}

export function generated(chance: Random): Record<string, unknown> {
  const random: Mood = { ...chance, wild: chance.chance(0.4) };
  const own = metadata(random);
  const spec = fieldOf((schema as SchemaNode).properties?.['spec'] ?? {}, 'spec', random) as object;
  if (!random.wild) joinStorage(spec);
  return { apiVersion: 'dbbackup.io/v1alpha1', kind: 'DatabaseBackup', metadata: own, spec };
}

function metadata(random: Mood): object {
  const name = random.pick([
    'orders',
    'orders',
    'a',
    'a'.repeat(48),
    random.wild ? 'a'.repeat(49) : 'b',
    'orders.daily',
    '0-a',
    'x'.repeat(47),
  ]);
  const front = random.wild
    ? random.pick(['x'.repeat(43), 'x'.repeat(44), 'Made-', 'a.', 'a.-', 'a..', '-', ''])
    : 'made-';
  const unnamed = random.chance(0.06);
  const names = unnamed ? { generateName: front } : { name, ...(random.chance(0.03) ? { generateName: front } : {}) };
  const own = { ...names, namespace: 'shop' };
  const annotated = random.chance(0.2)
    ? {
        annotations: texts(random, [
          'note',
          'dbbackup.io/trigger',
          'dbbackup.io/trigger',
          random.wild ? 'dbbackup.io/oops' : 'b',
        ]),
      }
    : {};
  return { ...own, ...(random.chance(0.2) ? { labels: texts(random, mapKeys) } : {}), ...annotated };
}

const texts = (random: Mood, keys: readonly string[]): object =>
  Object.fromEntries(Array.from({ length: random.below(3) }, () => [random.pick(keys), random.pick(mapValues)]));

function fieldOf(node: SchemaNode, path: string, random: Mood): unknown {
  const tempt = tempting[path];
  if (tempt !== undefined && random.wild && random.chance(0.15)) return tempt(random);
  const meant = meaningful[path];
  if (meant !== undefined && !(random.wild && random.chance(0.05))) return random.pick(meant);
  if (node.enum !== undefined) return random.pick(node.enum);
  switch (node.type) {
    case 'object':
      return objectOf(node, path, random);
    case 'array':
      return listOf(node, path, random);
    case 'boolean':
      return random.chance(0.5);
    case 'integer':
      return integer(node, random);
    default:
      return text(node, random);
  }
}

/** Lists of the schema that may not name one item twice are told from others by the careful alone. */
function listOf({ minItems = 0, maxItems = 3, items = {} }: SchemaNode, path: string, random: Mood): unknown[] {
  const list = Array.from({ length: count(minItems, maxItems, random) }, () => fieldOf(items, `${path}[]`, random));
  return random.wild ? list : [...new Map(list.map((item) => [JSON.stringify(item), item])).values()];
}

/** What a member of a node's is to be, by the path to it. */
function memberOf(node: SchemaNode, path: string, member: string, random: Mood): unknown {
  const inner = member.split('.').reduce<SchemaNode>((at, step) => at.properties?.[step] ?? {}, node);
  return fieldOf(inner, `${path}.${member}`, random);
}

function objectOf(node: SchemaNode, path: string, random: Mood): unknown {
  if (path === 'spec.database' && !random.wild)
    return fittingDatabase((member) => memberOf(node, path, member, random), random);
  if (typeof node.additionalProperties === 'object') return texts(random, mapKeys);
  const choice = alternatives[path];
  const chosen = choice === undefined ? undefined : random.pick(choice);
  const present = (name: string): boolean =>
    choice?.includes(name) === true
      ? name === chosen
        ? !(random.wild && random.chance(0.05))
        : random.wild && random.chance(0.05)
      : node.required?.includes(name) === true || random.chance(path === 'spec.retention' ? 0.8 : 0.35);
  const members = Object.entries(node.properties ?? {}).filter(([name]) => present(name));
  return Object.fromEntries(members.map(([name, inner]) => [name, fieldOf(inner, `${path}.${name}`, random)]));
}

/** Mostly few; the greatest number now and then, and one too many or too few seldom. */
const count = (least: number, most: number, random: Mood): number =>
  oneOf(random, [
    [6, () => least + random.below(3)],
    [1, () => most],
    [random.wild ? 1 : 0, () => random.pick([Math.max(0, least - 1), most + 1])],
  ]);

function integer({ minimum = 0, maximum = 2 ** 31 }: SchemaNode, random: Mood): number {
  return oneOf(random, [
    [4, () => minimum + random.below(maximum - minimum + 1)],
    [4, () => random.pick([minimum, minimum + 1, maximum - 1, maximum])],
    [random.wild ? 1 : 0, () => random.pick([minimum - 1, maximum + 1])],
  ]);
}

function text({ pattern, minLength = 0, maxLength = 40 }: SchemaNode, random: Mood): string {
  const accepted = pattern === undefined ? random.pick(mapValues) : sample(parsePattern(pattern), random);
  const plain = [...accepted].slice(0, maxLength).join('').padEnd(minLength, 'a');
  const over = random.wild ? 1 : 0;
  return oneOf(random, [
    [24, () => plain],
    [2, () => plain.padEnd(maxLength, 'a')],
    [over, () => plain.padEnd(maxLength + 1, 'a')],
    [over, () => plain.slice(0, minLength - 1)],
    [over, () => hostileText(random)],
  ]);
}
