// The controller against an unkind cluster, some histories of many (`npm run simulate` plays more), and that the simulation can be trusted.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { Job } from '../../controller/objects.ts';
import { ApiError } from '../../controller/transport.ts';
import { Api } from './api.ts';
import { historyOf } from './history.ts';
import { Broken } from './invariants.ts';
import { mutated, mutations } from './mutations.ts';
import { type Played, play } from './play.ts';
import { simulate } from './simulate.ts';

const seed = 1;
/** Some ten seconds of work, on a machine that may have other work. */
const patience = 600_000;

test('no history breaks a promise, and they reach every end of a run', { timeout: patience }, async () => {
  const { outcomes, histories } = await simulate(75, seed);
  expect(histories).toBe(75);
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(0);
});

test('a history goes the same way each time', { timeout: patience }, async () => {
  const [first, second] = [await play(historyOf(seed, 3), true), await play(historyOf(seed, 3), true)];
  expect(first.lines.length).toBeGreaterThan(10);
  expect(second.lines).toEqual(first.lines);
});

test('a failure tells the seed, the invariant and the smallest history that still fails', async () => {
  const number = 5;
  const [wanted] = historyOf(seed, number).actions;
  const player: typeof play = async (history) => {
    const fails = history.actions.some(({ at }) => at === wanted?.at);
    const outcomes = { Succeeded: 0, Failed: 0, Canceled: 0 };
    const played: Played = { broken: undefined, lines: ['a step'], reconciles: 0, writes: 0, outcomes };
    return fails ? { ...played, broken: new Broken('I1', 'Job j1 ran twice') } : played;
  };
  const told = await simulate(1, seed, { first: number, player }).catch((error: Error) => error.message);
  expect(told).toContain(`npm run simulate -- --seed ${seed} --history ${number}\nI1: Job j1 ran twice\nshrunk from`);
  expect(told).toContain('happenings to 1: I1');
  expect(told).toContain('a step');
});

describe('a bug put into the controller', () => {
  test.each(Object.keys(mutations))('fits what it is put into: %s', (name) => {
    expect(mutated(name)).toContain(mutations[name]?.to);
  });

  /** These went unseen once; `npm run simulate -- --mutations` plays all of them. */
  const unseen = [
    'a Job is started without a look at its claim',
    'a Job is started without a look at its Lease',
    'a run counts for a gate that has changed since its claim',
    'a foreign holder without a duration is passed over',
  ];
  test.each(unseen)('is found by some histories: %s', { timeout: patience }, async (name) => {
    const main = fileURLToPath(new URL('main.ts', import.meta.url));
    const args = [main, '--seed', String(seed), '--histories', '200', '--mutation', name];
    const { code, stderr } = await promisify(execFile)(process.execPath, args).then(
      ({ stderr: said }) => ({ code: 0, stderr: said }),
      (error: { code: number; stderr: string }) => error,
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining(`npm run simulate -- --seed ${seed} --history`)]);
  });
});

describe('the API server in memory', () => {
  const api = new Api(() => Date.parse('2025-03-27T01:00:00Z'));
  const made = api.create('jobs', 'shop', { metadata: { name: 'one' }, spec: { suspend: true } }, 'user');
  const code = (call: () => unknown): number => {
    try {
      call();
      return 200;
    } catch (error) {
      return error instanceof ApiError ? error.status : 0;
    }
  };
  const patch = (metadata: object, spec: object = {}): Job =>
    api.patch('jobs', 'shop', 'one', { metadata, spec }, 'user');

  test.each([
    ['a name that is taken', 409, () => api.create('jobs', 'shop', { metadata: { name: 'one' } }, 'user')],
    ['a patch of what is not there', 404, () => api.patch('jobs', 'shop', 'two', {}, 'user')],
    ['another uid', 409, () => patch({ uid: 'j99' })],
    ['an old version', 409, () => patch({ resourceVersion: '1' })],
    [
      'a PUT of an old version',
      409,
      () => api.put('jobs', { ...made, metadata: { ...made.metadata, resourceVersion: '1' } }, 'user'),
    ],
    [
      'its own uid and version',
      200,
      () => patch({ uid: made.metadata.uid, resourceVersion: made.metadata.resourceVersion }),
    ],
  ])('answers %s with %i', (_what, wanted, call) => {
    expect(code(call)).toBe(wanted);
  });

  test('counts a generation for a change of the spec only, and no version for no change', () => {
    const { metadata } = patch({ annotations: { a: '1' } });
    expect(metadata.generation).toBe(1);
    expect(patch({}).metadata.resourceVersion).toBe(metadata.resourceVersion);
    expect(patch({ annotations: { a: null } }, { suspend: false }).metadata).toMatchObject({
      generation: 2,
      annotations: {},
    });
  });

  test('hands out what nobody can change', () => {
    expect(() => {
      made.spec.suspend = false;
    }).toThrow(TypeError);
  });
});
