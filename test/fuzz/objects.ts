// DatabaseBackups made from the CRD's schema: every field now and then, values at and around their boundaries. Most are good ones.
import { schema } from '../../crds/databasebackup.gen.ts';
import { oneOf, type Random } from './chance.ts';
import { fitted } from './database.ts';
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
  'spec.storage.s3.endpoint': [
    'https://minio.example:9000',
    'https://s3.eu',
    'http://store:9000',
    'https://[fd12::7]:9000',
    'https://10.0.0.7',
  ],
  'spec.encryption.age.recipients[]': recipients,
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
  'spec.storage': ['s3', 'pvc'],
  'spec.storage.s3.auth': ['secretRef', 'default'],
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
  return {
    apiVersion: 'dbbackup.io/v1alpha1',
    kind: 'DatabaseBackup',
    metadata: metadata(random),
    spec: fieldOf((schema as SchemaNode).properties?.['spec'] ?? {}, 'spec', random),
  };
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

function objectOf(node: SchemaNode, path: string, random: Mood): unknown {
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
  const made = Object.fromEntries(members.map(([name, inner]) => [name, fieldOf(inner, `${path}.${name}`, random)]));
  return path === 'spec.database' && !(random.wild && random.chance(0.2)) ? fitted(made, random) : made;
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
  const plain = [...accepted].slice(0, maxLength).join('');
  const over = random.wild ? 1 : 0;
  return oneOf(random, [
    [24, () => plain],
    [2, () => plain.padEnd(maxLength, 'a')],
    [over, () => plain.padEnd(maxLength + 1, 'a')],
    [over, () => plain.slice(0, minLength - 1)],
    [over, () => hostileText(random)],
  ]);
}
