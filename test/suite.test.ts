// What counts as passed: a run must not look good because something was never run.
import { expect, test } from 'vitest';
import { count, type Report } from './suite.ts';

function report(over: Partial<Report> = {}): Report {
  return { numPassedTests: 3, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [], ...over };
}

test('a run that passed is counted as it reports itself', () => {
  expect(count(report({ numPendingTests: 1, numTodoTests: 1 }), 0)).toEqual({ passed: 3, failed: 0, skipped: 2 });
});

test('a failed test is one failure, not a second one for its file or for the exit code', () => {
  const file = { name: 'a.test.ts', status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'passed' }] };
  expect(count(report({ numFailedTests: 1, testResults: [file] }), 1)).toEqual({ passed: 3, failed: 1, skipped: 0 });
});

test('a file that could not be loaded is a failure', () => {
  const file = { name: 'a.test.ts', status: 'failed', assertionResults: [] };
  expect(count(report({ testResults: [file] }), 1).failed).toBe(1);
});

test('an error outside every test is a failure', () => {
  expect(count(report(), 1)).toEqual({ passed: 3, failed: 1, skipped: 0 });
});

test('a run without a single test is a failure', () => {
  expect(count(report({ numPassedTests: 0 }), 0).failed).toBe(1);
});

test('a run that wrote no report is a failure', () => {
  expect(count(undefined, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
