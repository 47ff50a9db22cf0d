// The lock's name: what it is computed to, and that it never moves.
import { describe, expect, it } from 'vitest';
import { defaultCluster } from '../../../crds/rules/effective.ts';
import { validate } from '../../../crds/rules/validate.ts';
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
