// Values that nobody means well: texts that break parsers, shells, terminals and matchers, and values of every wrong shape.
import type { Random } from './chance.ts';

const ages = 'age1pud5ds2vv7lyfup4rtcemzjgauy9nz5kec6ydjy96lrqd28mjajq03nea9';

export const schedules = [
  ...[
    '0 1 * * *',
    '*/15 * * * *',
    'H H * * *',
    'H/20 * * * *',
    '@daily',
    '@hourly',
    '@yearly',
    '0 0 29 2 *',
    '0 0 31 1-12/2 *',
  ],
  ...[
    '30 2 * * sun',
    '0 0 1 jan *',
    '5,10,15 0-6,22-23 * * mon-fri',
    ' 0  1 * * * ',
    '0\t1 * * *',
    '59 23 31 12 7',
    '0 0 1 * 1',
  ],
];
export const nearSchedules = [
  ...[
    '',
    ' ',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '*/0 * * * *',
    '5-1 * * * *',
  ],
  ...[
    '1,,2 * * * *',
    '0 0 30 2 *',
    '0 0 31 4,6,9,11 *',
    '@reboot',
    '@every 5s',
    'TZ=UTC 0 0 * * *',
    '* * * * 8',
    '? * * * *',
    'L * * * *',
  ],
  ...[
    '* * * * mon#2',
    '*/61 * * * *',
    '1e1 * * * *',
    '0x5 * * * *',
    '-1 * * * *',
    '٣ * * * *',
    '1/2/3 * * * *',
    'H(1-5) * * * *',
    '@DAILY',
  ],
];
export const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Etc/GMT+12',
  'utc',
  'Local',
  'UTC+2',
  'Mars/Phobos',
  '../../etc/passwd',
  '+02:00',
  'posixrules',
];
export const addresses = [
  ...[
    '169.254.169.254',
    'fd00:ec2::254',
    '127.0.0.1',
    '0',
    '0x7f.1',
    '2852039166',
    '0177.0.0.1',
    '127.1',
    '::1',
    '::',
    '::ffff:127.0.0.1',
  ],
  ...[
    '0:0:0:0:0:0:0:1',
    '::ffff:a9fe:a9fe',
    'fe80::1',
    '[::1]',
    '[::1]%eth0',
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    'kubernetes.default.svc',
  ],
  ...[
    'metadata.google.internal',
    '10.0.0.7',
    '255.255.255.255',
    '224.0.0.1',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '100.100.100.200',
    'a..b',
    '-a',
    'xn--a',
  ],
  ...[
    'orders-db.shop.svc',
    'fd12::7',
    '::ffff:10.0.0.1',
    '1:2:3:4:5:6:7:8:9',
    ':::',
    '1.2.3.4.',
    '0.0.0.0',
    '08.1.1.1',
    '4294967295',
    '4294967296',
  ],
];
const urls = [
  ...[
    'http://store:9000',
    'https://minio.example:9000',
    'https://u:p@h',
    'https://h?x#y',
    'https://h/path',
    'https://h:0',
    'https://h:65536',
    'https://h:',
  ],
  ...[
    'file:///etc/passwd',
    'gopher://h',
    'javascript:1',
    'https://',
    'https://[::1]',
    'https://[fd12::7]:9000',
    'https://169.254.169.254',
    'HTTPS://h',
    'https://0x7f.1',
  ],
  ...[
    'https://2130706433',
    'https://h\r\nHost: x',
    'https:\\\\h',
    'https://[',
    'https://]',
    'https://h:00443',
    'https://a.-b',
    'https://xn--a',
    'https://[::ffff:7f00:1]',
  ],
];
const injections = [
  '$(id)',
  '`id`',
  '; rm -rf /',
  '../x',
  '../../token',
  '/x',
  'a//b',
  'a/./b',
  '%2e%2e/',
  '--file=/tmp/x',
  '-h',
  '--host=evil',
  '@file',
  'host=evil dbname=x',
  'postgres://u:p@evil/x',
  '$(DBBACKUP_X)',
  '{{.Values}}',
  '${x}',
  "' or 1=1",
  '<script>',
  '../..\\',
];
const letters = [
  '\u0000',
  'a\u0000b',
  '\u001b[2J',
  'a\nb',
  '\r\n',
  '\u202eabc',
  'e\u0301',
  '\u0301'.repeat(50),
  '\ud800',
  '\udfff',
  'a\ud83d',
  '\ufeffa',
  '\u2028',
  '😀',
  'ſ',
  'K',
  'ı',
  '\u00a0',
  '１２',
  '\u200b',
  '\ufffe',
];
const baits = ['a', 'A', '0', '.', '-', '/', ':', 'a:', 'a.', 'a-', 'a/', '--a', '=', ' ', '\\', '[', '*', '漢', '@a:'];
const keys = [
  'AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX',
  ages.toUpperCase(),
  ages.slice(0, -1),
  `${ages.slice(0, -1)}q`,
  `age1${'q'.repeat(58)}`,
  'ssh-ed25519 AAAA',
  '-----BEGIN PRIVATE KEY-----',
];
export const quantities = [
  '500m',
  '0',
  '0.5',
  '1e3',
  '-1',
  '1Mi',
  '64Mi',
  '1Gi',
  '999999999999Gi',
  '1.0000',
  '1E',
  '1Ti',
  'abc',
  '+1',
  '1e99',
  '.5',
  '5.',
  '0.000m',
];
const words = [
  'null',
  'true',
  'NaN',
  'Infinity',
  '1e308',
  '-0',
  '__proto__',
  'constructor',
  'toString',
  'yes',
  '0x10',
  '1_000',
  '',
  ' ',
  'default',
  'latest',
];
const lengths = [1, 48, 49, 52, 62, 63, 64, 127, 128, 129, 253, 254, 512, 513, 1024, 1025, 10_240];

export function hostileText(random: Random): string {
  const list = random.pick([
    nearSchedules,
    schedules,
    zones,
    addresses,
    urls,
    injections,
    letters,
    keys,
    quantities,
    words,
  ]);
  if (random.chance(0.7)) return random.pick(list);
  const bait = random.pick(baits);
  const text = bait.repeat(random.pick(lengths) / bait.length + 1).slice(0, random.pick(lengths));
  return random.chance(0.5) ? text : `${text}${random.pick(['!', '\n', 'a', ':', '\u0000'])}`;
}

export const numbers = [
  0,
  -0,
  1,
  -1,
  2.5,
  0.1,
  5432.5,
  65535,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
  2 ** 64,
  1e12,
  1e21,
  1e308,
  -1e308,
  5e-324,
];
export const specialKeys = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'length',
  '',
  'a.b',
  'a/b',
  'a~1b',
  '0',
  ' ',
  'retentoin',
  'Spec',
  'namespace',
  'password',
  'insecureSkipVerify',
  '\u0000',
  '😀',
];

/** A value of any shape. */
export function hostileValue(random: Random): unknown {
  const kind = random.below(10);
  if (kind < 4) return hostileText(random);
  if (kind < 6) return random.pick(numbers);
  if (kind === 6) return nested(random.pick([2, 40, 70, 1500]), random);
  if (kind === 7)
    return Array.from({ length: random.pick([0, 1, 16, 17, 1000, 1001, 5000]) }, () =>
      random.pick([null, 1, 'x', ages, {}]),
    );
  if (kind === 8) return withKey({}, random.pick(specialKeys), random.pick([{}, 1, 'x', null, { s3: {} }]));
  return random.pick<unknown>([null, true, false, [], {}, [null], [[]], '']);
}

export function nested(depth: number, random: Random): unknown {
  const asList = random.chance(0.5);
  let value: unknown = random.pick<unknown>(['x', 1, null, {}]);
  for (let level = 0; level < depth; level++) value = asList ? [value] : { a: value };
  return value;
}

/** A field of its own whatever it is called: an assignment to __proto__ would be something else. */
export function withKey<T extends object>(object: T, key: string, value: unknown): T {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return object;
}
