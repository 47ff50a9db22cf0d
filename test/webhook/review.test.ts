// What is admitted, what is refused and in which words: reviews as literal objects.
import { describe, expect, test } from 'vitest';
import { type AnsweredReview, type Entry, MalformedReview, review as reviewAt } from '../../webhook/review.ts';
import { backup, database, reviewOf } from './objects.ts';

const now = new Date('2026-03-01T12:00:00Z');
const review = (entry: Entry, body: unknown) => reviewAt(entry, body, now);

interface Status {
  code: number;
  reason: string;
  message: string;
  details: { kind: string; name?: string; causes: { field: string; message: string }[] };
}

const statusOf = ({ response }: AnsweredReview) => response.status as Status;
const patchOf = ({ response }: AnsweredReview): unknown =>
  JSON.parse(Buffer.from(response.patch ?? 'bnVsbA==', 'base64').toString());
const requestOf = (request: object) => (reviewOf({ ...request }) as { request: object }).request;
const broken = backup({ schedule: '99 1 * * *', retention: {} });

test('the answer names the request and is of the version asked', () => {
  expect(review('validate', reviewOf({ uid: 'seven' }))).toEqual({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'seven', allowed: true },
  });
});

describe.each(['mutate', 'validate'] as const)('%s', (half) => {
  test('refuses with every error at once, a line each, with field, value and fix', () => {
    const answer = review(half, reviewOf({ object: broken }));
    expect(answer.response.allowed).toBe(false);
    expect(statusOf(answer)).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(statusOf(answer).message.split('\n')).toEqual([
      'spec.schedule: "99 1 * * *": minute "99" is out of range 0-59; use 0 to 59',
      'spec.retention: keeps nothing; set at least one of keepLast, keepWithin, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly, for example keepLast: 3',
    ]);
  });

  test('lists the same as causes, which kubectl prints', () => {
    const { details } = statusOf(review(half, reviewOf({ object: broken })));
    expect(details).toMatchObject({ kind: 'DatabaseBackup', name: 'orders' });
    expect(details.causes.map(({ field }) => field)).toEqual(['spec.schedule', 'spec.retention']);
    expect(details.causes[1]?.message).toBe(
      'keeps nothing; set at least one of keepLast, keepWithin, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly, for example keepLast: 3',
    );
  });

  test('names what the schema refuses together with what only rules know', () => {
    const object = { ...broken, spec: { ...broken.spec, database: { ...database(), port: 'x', engine: 'oracle' } } };
    const { message } = statusOf(review(half, reviewOf({ object })));
    for (const field of ['spec.database.port', 'spec.database.engine', 'spec.schedule', 'spec.retention'])
      expect(message).toContain(`${field}: `);
  });

  test.each([
    ['no spec at all', { ...backup(), spec: undefined }],
    ['a spec that is text', { ...backup(), spec: 'x' }],
    ['a database that is null', backup({ database: null as never })],
    ['a database that is a list', backup({ database: [] as never })],
    ['a storage that is null', backup({ storage: null as never })],
    ['a host that is a number', backup({ database: database({ host: 7 as never }) })],
  ])('refuses %s without stumbling', (_what, object) => {
    expect(review(half, reviewOf({ object })).response.allowed).toBe(false);
  });

  test('keeps the answer small however much is wrong', () => {
    const recipients = Array.from({ length: 1000 }, () => 'age1wrong');
    const answer = review(half, reviewOf({ object: backup({ encryption: { age: { recipients } } }) }));
    const lines = statusOf(answer).message.split('\n');
    expect(lines).toHaveLength(51);
    expect(lines.at(-1)).toMatch(/^and \d+ more$/);
    expect(statusOf(answer).details.causes).toHaveLength(50);
  });

  test('answers at once to a text on which a pattern would take days', () => {
    const host = `${':'.repeat(2_900_000)}!`;
    const answer = review(half, reviewOf({ object: backup({ database: database({ host }) }) }));
    expect(statusOf(answer).message).toContain('must NOT have more than 253 characters');
  });

  test('answers at once to a list with more items than memory has findings for', () => {
    const recipients = Array.from({ length: 700_000 }, () => '');
    const answer = review(half, reviewOf({ object: backup({ encryption: { age: { recipients } } }) }));
    expect(statusOf(answer).message).toBe('spec.encryption.age.recipients: has more than 1000 items; shorten it');
  });

  test('refuses a nest without end, new or changed, and reads none as the old object', () => {
    const text = JSON.stringify(backup({ schedule: '@' })).replace('"@"', `${'['.repeat(50_000)}${']'.repeat(50_000)}`);
    const object = JSON.parse(text);
    for (const request of [{ object }, { operation: 'UPDATE', object, oldObject: backup() }])
      expect(statusOf(review(half, { ...reviewOf({}), request: { ...requestOf({}), ...request } })).message).toMatch(
        /^spec\.schedule(\[0\]){32}: is nested deeper than 32 levels; flatten it$/,
      );
    const request = { ...requestOf({ operation: 'UPDATE' }), oldObject: object };
    expect(() => review(half, { ...reviewOf({}), request })).toThrow(MalformedReview);
  });

  test('lets a deletion and a status write pass, whatever the object', () => {
    for (const request of [
      { operation: 'DELETE', object: null, oldObject: broken },
      { operation: 'UPDATE', subResource: 'status', object: broken, oldObject: broken },
    ])
      expect(review(half, reviewOf(request)).response).toEqual({ uid: 'a-uid', allowed: true });
  });

  test('lets a stored object that is no longer valid be labelled and finish its deletion', () => {
    const labelled = { ...broken, metadata: { ...broken.metadata, labels: { team: 'shop' } } };
    const leaving = { ...labelled, metadata: { ...labelled.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    for (const object of [labelled, leaving])
      expect(review(half, reviewOf({ operation: 'UPDATE', object, oldObject: broken })).response.allowed).toBe(true);
  });

  test('refuses a change of the cluster', () => {
    const old = backup({ database: database({ cluster: 'orders-db' }) });
    const object = backup({ database: database({ cluster: 'other' }) });
    const answer = review(half, reviewOf({ operation: 'UPDATE', object, oldObject: old }));
    expect(statusOf(answer).message).toBe(
      'spec.database.cluster: "other": is immutable, it was "orders-db"; create another DatabaseBackup instead',
    );
  });

  test.each([
    ['another version', reviewOf({}, { apiVersion: 'admission.k8s.io/v1beta1' })],
    ['another kind', reviewOf({}, { kind: 'ConversionReview' })],
    ['no request', reviewOf({}, { request: undefined })],
    ['no uid', reviewOf({ uid: undefined })],
    ['an empty uid', reviewOf({ uid: '' })],
    ['a uid without end', reviewOf({ uid: 'u'.repeat(10_240) })],
    ['a kind of somebody else', reviewOf({ kind: { group: 'apps', version: 'v1', kind: 'Deployment' } })],
    ['no kind', reviewOf({ kind: undefined })],
    ['a resource of somebody else', reviewOf({ resource: { group: 'apps', version: 'v1', resource: 'deployments' } })],
    ['an operation nobody knows', reviewOf({ operation: 'CONNECT' })],
    ['a subresource nobody knows', reviewOf({ subResource: 'scale' })],
    ['a creation without an object', reviewOf({ object: null })],
    ['an object without metadata', reviewOf({ object: { spec: {} } })],
    ['an update without the old object', reviewOf({ operation: 'UPDATE' })],
    ['a list', []],
    ['nothing', undefined],
  ])('throws at %s, which refuses it', (_what, body) => {
    expect(() => review(half, body)).toThrow(MalformedReview);
  });
});

test('the mutating half sets the cluster at creation', () => {
  const answer = review('mutate', reviewOf({}));
  expect(answer.response).toMatchObject({ allowed: true, patchType: 'JSONPatch' });
  expect(patchOf(answer)).toEqual([{ op: 'add', path: '/spec/database/cluster', value: 'orders-db' }]);
});

test('the mutating half copies the cluster into an update that omits it', () => {
  const oldObject = backup({ database: database({ cluster: 'legacy' }) });
  const answer = review('mutate', reviewOf({ operation: 'UPDATE', oldObject }));
  expect(patchOf(answer)).toEqual([{ op: 'add', path: '/spec/database/cluster', value: 'legacy' }]);
});

test('nothing is patched when the cluster is there or the object is refused', () => {
  const named = review('mutate', reviewOf({ object: backup({ database: database({ cluster: 'mine' }) }) }));
  expect(named.response).toEqual({ uid: 'a-uid', allowed: true });
  expect(review('mutate', reviewOf({ object: broken })).response).not.toHaveProperty('patch');
  expect(review('validate', reviewOf({})).response).not.toHaveProperty('patch');
});

test('only the mutating half warns, so that each warning is shown once, with a refusal too', () => {
  const risky = backup({ encryption: { none: {} }, database: database({ image: 'postgres:latest' }) });
  const warnings = [
    'spec.encryption.none: snapshots are stored unencrypted; set encryption.age.recipients',
    'spec.database.image: "postgres:latest": its version may change under the dump; name a version or a digest',
  ];
  expect(review('mutate', reviewOf({ object: risky })).response).toMatchObject({ allowed: true, warnings });
  const both = { ...risky, spec: { ...risky.spec, retention: {} } };
  expect(review('mutate', reviewOf({ object: both })).response).toMatchObject({ allowed: false, warnings });
  expect(review('validate', reviewOf({ object: risky })).response).toEqual({ uid: 'a-uid', allowed: true });
});

test('what is to come is warned of: a window in a daylight gap, snapshots that a change would delete', () => {
  const gap = backup({ schedule: '30 2 * * *', timeZone: 'Europe/Berlin' });
  expect(review('mutate', reviewOf({ object: gap })).response.warnings).toEqual([
    expect.stringContaining('daylight saving'),
  ]);
  const snapshots = [1, 2, 3].map((day) => ({ id: `2026020${day}T010000Z-00000000` }));
  const oldObject = { ...backup(), status: { snapshots } };
  const object = { ...backup({ retention: { keepLast: 1 } }), status: { snapshots } };
  expect(review('mutate', reviewOf({ operation: 'UPDATE', object, oldObject })).response.warnings).toEqual([
    expect.stringContaining('would delete 2 of the 3 newest snapshots'),
  ]);
});
