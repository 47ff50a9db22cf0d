// The table of reasons: codes that nothing else uses, and words for a person in every row.
import { describe, expect, test } from 'vitest';
import { explain, isReason, permanentExitCodes, reasonOfExitCode, reasons } from '../../../crds/rules/reasons.ts';

const rows = Object.entries(reasons);

test('no two reasons share an exit code', () => {
  expect(new Set(rows.map(([, { exitCode }]) => exitCode)).size).toBe(rows.length);
});

describe.each(rows)('%s', (reason, { exitCode, sentence, fix }) => {
  test('has a code that no shell, runtime or signal ends with', () => {
    expect(Number.isInteger(exitCode)).toBe(true);
    expect(exitCode).toBeGreaterThan(2);
    expect(exitCode).toBeLessThan(126);
    // Codes that Node itself ends with while it runs a program; 13 is an await at the top level that never settles.
    expect([5, 6, 7, 13]).not.toContain(exitCode);
    expect(reasonOfExitCode(exitCode)).toBe(reason);
  });

  test('says what happened and what to do, without the ends that explain adds', () => {
    expect(sentence).toMatch(/^[A-Z].*[^.]$/);
    expect(fix).toMatch(/^.*[^.]$/);
    expect(fix.length).toBeGreaterThan(5);
  });

  test('is a word that conditions and events may carry', () => {
    expect(reason).toMatch(/^[A-Z][A-Za-z]{1,40}$/);
    expect(isReason(reason)).toBe(true);
  });
});

test('a code or word of anything else is no reason', () => {
  for (const code of [0, 1, 2, 125, 126, 127, 137, 139, 143, 255, -1, 10.5])
    expect(reasonOfExitCode(code)).toBeUndefined();
  for (const word of ['', 'unknown', 'constructor', '__proto__', 'toString']) expect(isReason(word)).toBe(false);
});

test('the codes that end a Job at once are those of the permanent rows, ascending', () => {
  const permanent = rows.filter(([, row]) => row.permanent).map(([, { exitCode }]) => exitCode);
  expect(permanentExitCodes()).toEqual([...permanent].sort((a, b) => a - b));
  expect(permanentExitCodes()).toContain(reasons.SecretInvalid.exitCode);
  expect(permanentExitCodes()).not.toContain(reasons.DatabaseUnreachable.exitCode);
  expect(permanentExitCodes()).not.toContain(reasons.Unknown.exitCode);
});

test('an explanation holds the detail where there is one', () => {
  expect(explain('DumpEmpty', '')).toBe(
    'The dump wrote nothing. Fix: check that spec.database.image holds the real dump tool.',
  );
  expect(explain('Canceled', 'by hand')).toBe(
    'The run was canceled: by hand. Fix: nothing; trigger another when it is wanted.',
  );
});
