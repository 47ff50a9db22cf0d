// What the caches keep: all that is read of an object, little else, and one spec object for one spec.
import { describe, expect, test } from 'vitest';
import { adoptSpec, keepAll, keepJob, keepPod } from '../../controller/keep.ts';
import type { Job, Pod } from '../../controller/objects.ts';
import { backup, job } from './builders.ts';

const managedFields = [{ manager: 'controller', operation: 'Update', fieldsV1: { 'f:spec': {} } }];
const containers = [
  { name: 'dump', image: 'postgres:16' },
  { name: 'executor', image: 'executor:1' },
];
const template = {
  metadata: { labels: { app: 'x' } },
  spec: { containers: containers.map((container) => ({ ...container, env: [{ name: 'A', value: 'b' }] })) },
};

describe('of a Job', () => {
  const whole = job({ started: '2025-03-27T01:00:10Z', ended: 'Failed', reason: 'BackoffLimitExceeded' });
  const served = (suspend: boolean): Job => ({
    ...whole,
    metadata: { ...whole.metadata, ...{ managedFields } },
    spec: { suspend, activeDeadlineSeconds: 3600, ...{ template, parallelism: 1 } },
  });

  test.each([true, false])('is kept all that is read of it: %j', (suspend) => {
    const spec = { suspend, activeDeadlineSeconds: 3600, template: { spec: { containers } } };
    expect(keepJob(served(suspend))).toEqual({ ...whole, spec });
  });

  test('is kept nothing that the server does not send', () => {
    expect(Object.keys(keepJob({ ...served(false), spec: {} }).spec)).toEqual([]);
  });
});

describe('of a pod', () => {
  const metadata = { ...job().metadata, name: 'orders-1' };
  const status = { phase: 'Running', containerStatuses: [{ name: 'executor', state: { running: {} } }] };

  test('are kept its node and its status', () => {
    const pod: Pod = { metadata: { ...metadata, ...{ managedFields } }, spec: { nodeName: 'n', ...template }, status };
    expect(keepPod(pod)).toEqual({ metadata, spec: { nodeName: 'n' }, status });
  });

  test('without a spec is made up none', () => {
    expect(keepPod({ metadata, status })).toEqual({ metadata, status });
  });
});

describe('of anything else', () => {
  test('is left away who wrote which field, and the object that came is not changed', () => {
    const orders = backup();
    const served = { ...orders, metadata: { ...orders.metadata, managedFields } };
    expect(keepAll(served)).toEqual(orders);
    expect(served.metadata.managedFields).toBe(managedFields);
  });
});

describe('a spec', () => {
  const known = backup();
  const again = (metadata: object = {}) => structuredClone(backup({ metadata }));

  test('that says the same is the object known before, the rest is new', () => {
    const fresh = again({ resourceVersion: '2' });
    const adopted = adoptSpec(known, fresh);
    expect(adopted.spec).toBe(known.spec);
    expect(adopted).toEqual(fresh);
  });

  test.each([
    ['of another generation', again({ generation: 2 })],
    ['of another object of this name', again({ uid: 'backup-2' })],
  ])('%s is its own', (_name, fresh) => {
    expect(adoptSpec(known, fresh)).toBe(fresh);
  });

  test('that a new default of the CRD has changed is its own, though the generation is the same', () => {
    const fresh = again();
    fresh.spec.suspend = false;
    expect(adoptSpec(known, fresh).spec.suspend).toBe(false);
  });

  test('that nobody knew before is its own', () => {
    const fresh = again();
    expect(adoptSpec(undefined, fresh)).toBe(fresh);
  });
});
