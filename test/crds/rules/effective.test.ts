// What a spec means once what it leaves out is computed, and how conditions are merged.
import { describe, expect, test } from 'vitest';
import type { Condition, DatabaseBackup } from '../../../crds/databasebackup.gen.ts';
import { findCondition, mergeConditions, type NewCondition } from '../../../crds/rules/conditions.ts';
import { defaultCluster, effective } from '../../../crds/rules/effective.ts';
import { smallest, withField } from '../backup.ts';

const of = (path: string, value: unknown) => effective(withField(path, value) as unknown as DatabaseBackup);

describe('what a spec leaves out', () => {
  test('is computed', () => {
    expect(effective(smallest)).toEqual({
      cluster: 'orders-db',
      port: 5432,
      timeZone: 'Etc/UTC',
      suspend: false,
      startingDeadlineSeconds: 3600,
      gateTimeoutSeconds: 3600,
      compression: { algorithm: 'zstd', level: 3 },
      activeDeadlineSeconds: 21_600,
      backoffLimit: 1,
      runAsUser: 65_532,
      fsGroup: 65_532,
      maxDeletesPerRun: 10,
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 3,
    });
  });

  test('is not computed where it is given, a zero included', () => {
    expect(of('spec.job', { backoffLimit: 0, activeDeadlineSeconds: 60, runAsUser: 1, fsGroup: 2 })).toMatchObject({
      backoffLimit: 0,
      activeDeadlineSeconds: 60,
      runAsUser: 1,
      fsGroup: 2,
    });
    expect(of('spec.successfulJobsHistoryLimit', 0).successfulJobsHistoryLimit).toBe(0);
    expect(of('spec.failedJobsHistoryLimit', 0).failedJobsHistoryLimit).toBe(0);
    expect(of('spec.database.port', 6432).port).toBe(6432);
    expect(of('spec.suspend', true).suspend).toBe(true);
  });

  test.each([
    ['zstd', 3],
    ['gzip', 6],
    ['none', 0],
  ])('is for %s level %d', (algorithm, level) => {
    expect(of('spec.compression', { algorithm }).compression).toEqual({ algorithm, level });
  });
});

describe('the cluster', () => {
  test('is the given one before the pinned one before a computed one', () => {
    const pinned = withField('status', { effective: { cluster: 'pinned' } });
    const given = withField('spec.database.cluster', 'given', pinned);
    expect(effective(given as unknown as DatabaseBackup).cluster).toBe('given');
    expect(effective(pinned as unknown as DatabaseBackup).cluster).toBe('pinned');
    const moved = withField('spec.database.host', 'elsewhere', pinned);
    expect(effective(moved as unknown as DatabaseBackup).cluster).toBe('pinned');
  });

  test.each([
    ['orders-db', 'orders-db'],
    ['Orders-DB.shop.svc', 'orders-db'],
    ['orders-db.', 'orders-db'],
    [`${'a'.repeat(48)}.example`, 'a'.repeat(48)],
    [`${'a'.repeat(49)}.example`, 'backup'],
    ['10.0.0.1', 'backup'],
    ['10', 'backup'],
    ['2001:db8::1', 'backup'],
    ['-a.example', 'backup'],
    ['a-.example', 'backup'],
    ['.example', 'backup'],
    ['', 'backup'],
  ])('of the host %j is %s', (host, cluster) => {
    expect(defaultCluster(host, 'backup')).toBe(cluster);
  });
});

describe('conditions', () => {
  const condition = (type: NewCondition['type'], status: NewCondition['status'], message = ''): NewCondition => ({
    type,
    status,
    reason: 'Because',
    message,
  });
  const before: Condition[] = mergeConditions(
    [],
    [condition('Ready', 'True'), condition('Stalled', 'True')],
    1,
    'monday',
  );

  test('begin with the time they are first seen', () => {
    expect(before.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual(['monday', 'monday']);
    expect(before[0]).toEqual({
      type: 'Ready',
      status: 'True',
      reason: 'Because',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: 'monday',
    });
  });

  test('keep their time while only words or generation change', () => {
    const [after] = mergeConditions(before, [condition('Ready', 'True', 'other words')], 2, 'tuesday');
    expect(after).toMatchObject({ message: 'other words', observedGeneration: 2, lastTransitionTime: 'monday' });
  });

  test('get a new time when their status changes, there and back', () => {
    const down = mergeConditions(before, [condition('Ready', 'False')], 1, 'tuesday');
    const up = mergeConditions(down, [condition('Ready', 'True')], 1, 'wednesday');
    expect(findCondition(down, 'Ready')?.lastTransitionTime).toBe('tuesday');
    expect(findCondition(up, 'Ready')?.lastTransitionTime).toBe('wednesday');
  });

  test('that are not wanted any more are gone', () => {
    const after = mergeConditions(before, [condition('Ready', 'True')], 1, 'tuesday');
    expect(findCondition(after, 'Stalled')).toBeUndefined();
    expect(findCondition(undefined, 'Ready')).toBeUndefined();
  });

  test('are the same list when nothing changed', () => {
    expect(mergeConditions(before, [condition('Ready', 'True'), condition('Stalled', 'True')], 1, 'later')).toEqual(
      before,
    );
  });
});
