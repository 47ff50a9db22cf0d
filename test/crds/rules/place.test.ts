// Which backups write to one place: the controller and offline validation name two that do.
import { describe, expect, test } from 'vitest';
import { storageOf } from '../../../crds/rules/place.ts';
import { withField } from '../backup.ts';

const at = (storage: unknown): string | undefined => storageOf(withField('spec.storage', storage));
const s3 = { bucket: 'backups', region: 'eu-central-1', auth: { default: {} } };
const gcs = { bucket: 'backups', auth: { applicationDefault: {} } };
const azure = { container: 'backups', account: 'mybackups', auth: { managedIdentity: {} } };

describe('one place', () => {
  test.each<[string, unknown, unknown]>([
    ['however it is logged in to', { s3 }, { s3: { ...s3, auth: { secretRef: { name: 'a' } } } }],
    ['whatever becomes of its objects', { s3 }, { s3: { ...s3, objectLock: { mode: 'COMPLIANCE', days: 1 } } }],
    ['of Google', { gcs }, { gcs: { ...gcs, project: 'company-backups' } }],
    ['of Azure', { azure }, { azure: { ...azure, auth: { workloadIdentity: {} } } }],
  ])('is one %s', (_what, one, other) => {
    expect(at(one)).toBeDefined();
    expect(at(one)).toBe(at(other));
  });

  test.each<[string, unknown, unknown]>([
    ['of another store', { s3 }, { gcs }],
    ['of another bucket', { gcs }, { gcs: { ...gcs, bucket: 'others' } }],
    ['at another address', { gcs }, { gcs: { ...gcs, endpoint: 'https://storage.example' } }],
    ['of another account', { azure }, { azure: { ...azure, account: 'others' } }],
    ['of another container', { azure }, { azure: { ...azure, container: 'others' } }],
    ['below another prefix', { azure }, { azure, pathPrefix: 'daily' }],
  ])('is not one %s', (_what, one, other) => {
    expect(at(one)).not.toBe(at(other));
  });
});
