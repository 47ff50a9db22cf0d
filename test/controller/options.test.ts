// The controller's command line: what it takes for granted, and what it refuses before it does anything.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readOptions } from '../../controller/options.ts';

const defaults = { executorImage: 'executor:1', namespace: 'system', identity: 'me' };
const read = (...args: string[]) => readOptions(args, defaults, '1.0.0');

afterEach(() => vi.restoreAllMocks());

/** What is printed where the arguments are refused. */
function refusal(...args: string[]): string {
  const ended = new Error('ended');
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    expect(code).toBe(2);
    throw ended;
  });
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  expect(() => read(...args)).toThrow(ended);
  return String(printed.mock.calls[0]?.[0]);
}

describe('limits on what is asked of the API server', () => {
  test('are 50 a second and 100 at once unless given', () => {
    expect(read()).toMatchObject({ kubeApiQps: 50, kubeApiBurst: 100 });
    expect(read('--kube-api-qps', '2000', '--kube-api-burst=4000')).toMatchObject({
      kubeApiQps: 2000,
      kubeApiBurst: 4000,
    });
  });
});

describe('a number', () => {
  const names = ['kube-api-qps', 'kube-api-burst', 'workers', 'max-running', 'max-running-per-namespace'];

  test.each([...names, 'start-timeout-seconds'])('--%s is a whole one of at least 1', (name) => {
    for (const value of ['0', '-1', '1.5', 'many', ''])
      expect(refusal(`--${name}=${value}`)).toMatch(new RegExp(`^--${name} .*: must be a whole number of at least 1`));
  });
});

test('an option that does not exist is refused', () => {
  expect(refusal('--kube-api-rate', '5')).toContain('kube-api-rate');
});
