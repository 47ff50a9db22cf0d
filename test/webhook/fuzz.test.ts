// The review fuzzer on a small number of raw requests over TLS; `npm run fuzz` sends as many as wanted.
import { expect, test } from 'vitest';
import { checkReply } from '../fuzz/review-checks.ts';
import { fuzzReviews } from '../fuzz/run-reviews.ts';
import { backup, reviewOf } from './objects.ts';

test('500 raw requests get a proper status each, none is allowed by error, and the server stays up', async () => {
  const answers = await fuzzReviews(500, Number(process.env['TEST_SEED'] ?? '20250327'));
  for (const answer of ['allowed', 'refused', '400', '415']) expect(Object.keys(answers)).toContain(answer);
}, 60_000);

const asked = (request: object) => ({
  method: 'POST',
  path: '/validate',
  headers: {},
  body: Buffer.from(JSON.stringify(reviewOf({ ...request }))),
});
const said = (response: object, status = 200) => ({
  status,
  body: JSON.stringify({ response: { uid: 'a-uid', ...response } }),
});

test('the checks themselves find an answer that must not be', () => {
  expect(checkReply(asked({}), said({ allowed: true }))).toBe('allowed');
  expect(() => checkReply(asked({ object: backup({ retention: {} }) }), said({ allowed: true }))).toThrow(
    'the rules refuse it',
  );
  expect(() => checkReply(asked({}), said({ allowed: true, uid: 'b' }))).toThrow('another review');
  expect(() => checkReply(asked({}), said({ allowed: 'yes' }))).toThrow('neither');
  expect(() => checkReply(asked({}), said({ allowed: true, patch: 'W10=' }))).toThrow('patch');
  expect(() => checkReply(asked({}), said({ allowed: true }, 500))).toThrow('status 500');
  expect(() => checkReply({ ...asked({}), body: Buffer.from('{') }, said({ allowed: true }))).toThrow('JSON');
});
