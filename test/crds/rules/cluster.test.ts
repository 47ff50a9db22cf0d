// The lock's name: what it is computed to, and that it never moves.
import { describe, expect, it } from 'vitest';
import { defaultCluster, effective } from '../../../crds/rules/effective.ts';
import { sentence, validate } from '../../../crds/rules/validate.ts';
import { smallest } from '../backup.ts';

describe('the computed cluster', () => {
  it('is a name that the schema takes, also for an address as host and a name with dots', () => {
    expect(defaultCluster('10.0.0.7', 'orders.db')).toBe('orders-db');
    expect(defaultCluster('fd00::7', 'orders')).toBe('orders');
    expect(defaultCluster('Orders-DB.shop.svc', 'x')).toBe('orders-db');
  });
});

describe('a cluster that is written later', () => {
  it('must be the one that status has pinned while the webhook was away', () => {
    const old = structuredClone(smallest);
    delete old.spec.database.cluster;
    old.status = { effective: { cluster: 'orders-db' } };
    const next = structuredClone(smallest);
    next.spec.database.cluster = 'elsewhere';
    expect(validate(next, old).map(({ field }) => field)).toEqual(['spec.database.cluster']);
    next.spec.database.cluster = 'orders-db';
    expect(validate(next, old)).toEqual([]);
  });
});

describe('a stored object that lacks what the schema requires', () => {
  it('has computed values all the same, so that a condition can say what is wrong', () => {
    const bare = { apiVersion: smallest.apiVersion, kind: smallest.kind, metadata: smallest.metadata, spec: {} };
    expect(effective(bare as typeof smallest)).toMatchObject({ cluster: 'orders', port: 0, maxDeletesPerRun: 10 });
  });
});

describe('a value in a message', () => {
  it('never shows a password of an address or a secret key', () => {
    const wrong = structuredClone(smallest);
    wrong.spec.database.host = 'u:canary@host';
    wrong.spec.encryption = { age: { recipients: [`AGE-SECRET-KEY-1${'Q'.repeat(58)}`] } };
    if (wrong.spec.storage.s3 !== undefined) wrong.spec.storage.s3.endpoint = 'https://user:canary@host';
    const text = validate(wrong).map(sentence).join('\n');
    expect(text).toContain('spec.database.host');
    expect(text).toContain('is a secret key');
    expect(text).not.toMatch(/canary|QQQ/);
  });
});
