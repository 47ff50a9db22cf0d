// Who asked for a backup: recorded from the request's user whenever the trigger changes, and only then.
import { describe, expect, test } from 'vitest';
import { annotations } from '../../crds/rules/names.ts';
import { type Entry, MalformedReview, review as reviewAt } from '../../webhook/review.ts';
import { backup, reviewOf } from './objects.ts';

const now = new Date('2026-03-01T12:00:00Z');
const review = (entry: Entry, body: unknown) => reviewAt(entry, body, now);

const { trigger, triggeredBy } = annotations;
const path = '/metadata/annotations/dbbackup.io~1triggered-by';
const annotated = (values: Record<string, string> | undefined) =>
  backup({}, values === undefined ? {} : { annotations: values });
const recorded = [{ op: 'add', path, value: 'ada' }];

function patchOf(next: object, old?: object): unknown {
  const operation = old === undefined ? 'CREATE' : 'UPDATE';
  const { response } = review('mutate-trigger', reviewOf({ operation, object: next, oldObject: old ?? null }));
  expect(response.allowed).toBe(true);
  return response.patch === undefined ? undefined : JSON.parse(Buffer.from(response.patch, 'base64').toString());
}

describe('records who asked', () => {
  test.each([
    ['at creation', annotated({ [trigger]: 'one' }), undefined],
    ['when a trigger is added', annotated({ [trigger]: 'one' }), annotated(undefined)],
    ['when it changes', annotated({ [trigger]: 'two' }), annotated({ [trigger]: 'one' })],
    ['over a forged name', annotated({ [trigger]: 'two', [triggeredBy]: 'eve' }), annotated({ [trigger]: 'one' })],
    ['over a name of before', annotated({ [trigger]: '2', [triggeredBy]: 'bob' }), annotated({ [triggeredBy]: 'bob' })],
    ['for an empty token', annotated({ [trigger]: '' }), annotated({})],
  ])('%s', (_when, next, old) => {
    expect(patchOf(next, old)).toEqual(recorded);
  });

  test('whatever is wrong with the spec, which others refuse', () => {
    expect(patchOf({ ...annotated({ [trigger]: 'one' }), spec: 7 })).toEqual(recorded);
  });
});

describe('leaves alone', () => {
  test.each([
    ['an object without a trigger', annotated({ [triggeredBy]: 'bob' }), undefined],
    ['a trigger that is as it was', annotated({ [trigger]: 'one', a: 'b' }), annotated({ [trigger]: 'one' })],
    ['annotations that are none', { ...backup(), metadata: { name: 'a', annotations: 'x' } }, undefined],
    ['a token that is no text', { ...backup(), metadata: { name: 'a', annotations: { [trigger]: 7 } } }, undefined],
    ['a trigger taken away with its name', annotated({}), annotated({ [trigger]: 'one', [triggeredBy]: 'bob' })],
  ])('%s', (_what, next, old) => {
    expect(patchOf(next, old)).toBeUndefined();
  });

  test('a deletion, a status write and an object on its way out', () => {
    const object = annotated({ [trigger]: 'one' });
    const leaving = { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    for (const request of [
      { operation: 'DELETE', object: null, oldObject: object },
      { operation: 'UPDATE', subResource: 'status', object, oldObject: backup() },
      { operation: 'UPDATE', object: leaving, oldObject: backup() },
    ])
      expect(review('mutate-trigger', reviewOf(request)).response).toEqual({ uid: 'a-uid', allowed: true });
  });
});

test('a trigger that is taken away takes the name along', () => {
  const old = annotated({ [trigger]: 'one', [triggeredBy]: 'bob' });
  expect(patchOf(annotated({ [triggeredBy]: 'bob' }), old)).toEqual([{ op: 'remove', path }]);
});

test('a request of nobody is an error, which lets the trigger pass without a name', () => {
  for (const userInfo of [undefined, {}, { username: '' }, { username: 7 }])
    expect(() => review('mutate-trigger', reviewOf({ userInfo }))).toThrow(MalformedReview);
});
