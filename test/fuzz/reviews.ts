// Raw requests to the admission server: reviews that are right, wrong anywhere, cut, flipped, in another encoding, or no reviews at all.
import { gzipSync } from 'node:zlib';
import { caseOf } from './cases.ts';
import { oneOf, type Random, roundOf } from './chance.ts';
import { mutate } from './mutate.ts';

export interface RawRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

const paths = ['/mutate', '/validate', '/mutate-trigger', '/mutate?timeout=5s', '/validate?timeout=5s'];
const otherPaths = [
  '/',
  '/Validate',
  '/validate/',
  '/%76alidate',
  '/validate/../mutate',
  '//validate',
  '/mutate;x',
  '/healthz',
  '/__proto__',
];
const types = [
  'application/json; charset=utf-8',
  'text/plain',
  'application/json; charset=utf-16',
  'application/yaml',
  'application/json-patch+json',
  'APPLICATION/JSON',
  ';',
  '',
];

export function requestOf(seed: number, round: number): RawRequest {
  const random = roundOf(seed, round);
  const text = JSON.stringify(envelope(seed, round, random));
  const body = oneOf(random, [
    [8, () => Buffer.from(text)],
    [2, () => Buffer.from(inText(text, random))],
    [2, () => Buffer.from(text).subarray(0, random.below(text.length))],
    [2, () => flipped(Buffer.from(text), random)],
    [2, () => encoded(text, random)],
    [1, () => Buffer.from(Array.from({ length: random.below(400) }, () => random.below(256)))],
    [
      1,
      () =>
        Buffer.from(
          random.pick(['', ' ', 'null', '0', '"x"', '[]', '{}', '[{}]', '{"request":{}}', 'NaN', '{"a":1}{"b":2}']),
        ),
    ],
  ]);
  const type = random.chance(0.92) ? 'application/json' : random.pick(types);
  return {
    method: random.chance(0.98) ? 'POST' : random.pick(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']),
    path: random.chance(0.97) ? random.pick(paths) : random.pick(otherPaths),
    headers: {
      'content-type': type,
      ...(random.chance(0.02) ? { 'content-encoding': random.pick(['gzip', 'identity', 'br', 'x']) } : {}),
    },
    body,
  };
}

/** A review of a case, a third of them with up to three things wrong anywhere in it. */
function envelope(seed: number, round: number, random: Random): object {
  const { next, old } = caseOf(seed, round);
  const type = { group: 'dbbackup.io', version: 'v1alpha1' };
  const operation = random.chance(0.95)
    ? old === undefined
      ? 'CREATE'
      : 'UPDATE'
    : random.pick(['DELETE', 'CONNECT', 'UPDATE', '']);
  const request = {
    uid: random.pick(['0b0d5a9e-63d7-4b2c-9d4b-2f0e8a1c7f11', 'a']),
    kind: { ...type, kind: 'DatabaseBackup' },
    resource: { ...type, resource: 'databasebackups' },
    ...(random.chance(0.05) ? { subResource: random.pick(['status', 'scale', '']) } : {}),
    name: 'orders',
    namespace: 'shop',
    operation,
    userInfo: { username: 'ada', groups: ['system:masters'] },
    object: operation === 'DELETE' ? null : next,
    oldObject: old ?? null,
    dryRun: random.chance(0.5),
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  };
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
  if (random.chance(0.3)) for (let times = 1 + random.below(3); times > 0; times--) mutate(review, random);
  return review;
}

/** What only text can say: a member twice, numbers and nests that no object here holds, special names. */
function inText(text: string, random: Random): string {
  const member = random.pick([
    '"request"',
    '"spec"',
    '"metadata"',
    '"database"',
    '"uid"',
    '"operation"',
    '"object"',
    '"oldObject"',
  ]);
  const value = oneOf(random, [
    [1, () => '['.repeat(random.pick([100, 20_000, 100_000]))],
    [1, () => nest('[', ']', random.pick([40, 5_000, 50_000]))],
    [1, () => nest('{"a":', '}', random.pick([40, 5_000, 50_000]), '1')],
    [
      1,
      () =>
        random.pick([
          '1e999',
          '-1e999',
          '-0',
          '1E400',
          '123456789012345678901234567890',
          '1.0',
          '"\\ud800"',
          '"\\u0000"',
          '{"__proto__":{"allowed":true}}',
        ]),
    ],
    [1, () => `[${'{},'.repeat(random.pick([900, 1_001, 60_000]))}{}]`],
    [1, () => `{${Array.from({ length: random.pick([900, 20_000]) }, (_, key) => `"k${key}":1`).join()}}`],
  ]);
  const extra = `${random.chance(0.2) ? '"__proto__"' : member}:${value},`;
  return random.chance(0.5)
    ? text.replace(member, extra + member)
    : text.replace(new RegExp(`(${member}:)("[^"]*"|[{\\[])`), (whole, name: string) =>
        whole.endsWith('"') ? name + value : `${extra}${whole}`,
      );
}

const nest = (open: string, close: string, depth: number, core = ''): string =>
  open.repeat(depth) + core + close.repeat(depth);

function flipped(bytes: Buffer, random: Random): Buffer {
  for (let times = 1 + random.below(4); times > 0; times--) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

function encoded(text: string, random: Random): Buffer {
  const ways = [
    () => Buffer.from(text, 'utf16le'),
    () => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]),
    () => Buffer.from(`\ufeff${text}`),
    () => Buffer.from(text.replace('ada', 'Ädä'), 'latin1'),
    () => gzipSync(text),
    () => Buffer.from(Buffer.from(text).toString('base64')),
    () => Buffer.concat([Buffer.from(text), Buffer.from([0xc3])]),
    () =>
      Buffer.from(
        text.replace(/[a-z]/g, (letter) =>
          random.chance(0.05) ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter,
        ),
      ),
  ];
  return random.pick(ways)();
}

/** The envelope around an object of one's own, for what the shrinker made smaller. */
export const withBody = (request: RawRequest, review: unknown): RawRequest => ({
  ...request,
  body: Buffer.from(JSON.stringify(review)),
});
