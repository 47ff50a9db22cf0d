// Orders and reports survive the way through a pod's environment and its termination message, and fit there.
import { expect, test } from 'vitest';
import { resultLimit } from '../../../crds/rules/contract.ts';
import {
  decodeOrder,
  decodeReport,
  encodeOrder,
  encodeReport,
  type Order,
  type Report,
  type Told,
} from '../../../crds/rules/contract-commands.ts';

const orders: Order[] = [
  { command: 'list' },
  { command: 'prune', newest: '20260301T010000Z-1a2b3c4d' },
  { command: 'verify', choice: { latest: true } },
  { command: 'verify', choice: { snapshot: 'x' }, identity: { secret: 'age', key: 'identity' } },
  {
    command: 'restore',
    choice: { asOf: '2026-03-01T00:00:00Z' },
    verifyFirst: true,
    ifNotEmpty: 'Skip',
    ifNoSnapshot: 'Fail',
    notAfter: '2026-04-01T00:00:00Z',
  },
];

const told: Told[] = [
  { outcome: 'Succeeded', command: 'list', own: 3, foreign: 1, neighbours: 0, orphans: 2, broken: 1, storedBytes: 5 },
  { outcome: 'Succeeded', command: 'prune' },
  {
    outcome: 'Succeeded',
    command: 'verify',
    id: 'a',
    key: 'p/a.snap',
    storedSize: 4,
    sha256: 'ff',
    opened: true,
    durationSeconds: 3,
  },
  {
    outcome: 'Succeeded',
    command: 'restore',
    id: 'a',
    key: 'p/a.snap',
    size: 9,
    storedSize: 4,
    sha256: 'ff',
    dumpStartedAt: '2026-03-01T01:00:00Z',
    durationSeconds: 3,
    engineVersion: '16.4',
  },
  { outcome: 'Skipped', command: 'restore', why: 'TargetNotEmpty', message: 'it holds 3 things' },
];

test.each(orders)('the order $command comes through the environment', (order) => {
  const { name, value = '' } = encodeOrder(order);
  // As the kubelet hands it on.
  expect(decodeOrder({ [name]: value.replaceAll('$$', '$') }, order.command)).toEqual(order);
});

test('an order that is missing, broken or for another command is refused', () => {
  for (const text of [undefined, '', '{', '[]', 'null', '{"command":"list"}'])
    expect(() => decodeOrder({ DBBACKUP_ORDER: text }, 'restore')).toThrow(/^read DBBACKUP_ORDER: /);
});

test.each(told)('the report of $command comes through the message: $outcome', (run) => {
  const inventory = { snapshots: [{ id: 'a', size: 4 }], count: 1, deleted: 0, foreign: 0, pruneError: '' };
  for (const report of [{ run }, { run, inventory }]) expect(decodeReport(encodeReport(report))).toEqual(report);
});

test('a failure comes through, and an unknown reason is Unknown', () => {
  const run = { outcome: 'Failed', reason: 'SnapshotAmbiguous', message: 'two' } as const;
  expect(decodeReport(encodeReport({ run }))).toEqual({ run });
  expect(decodeReport('{"outcome":"Failed","reason":"constructor"}')).toMatchObject({ run: { reason: 'Unknown' } });
});

test('the longest report fits, and its first line is valid by itself', () => {
  const snapshots = Array.from({ length: 25 }, (_, n) => ({ id: `20260301T0100${n}Z-1a2b3c4d`, size: 2 ** 50 }));
  const inventory = { snapshots, count: 400, deleted: 10, foreign: 3, pruneError: '漢'.repeat(500) };
  const message = '\u0000"漢'.repeat(2000);
  const report: Report = { run: { outcome: 'Skipped', command: 'restore', why: 'NoSnapshot', message }, inventory };
  const text = encodeReport(report);
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(resultLimit);
  expect(() => JSON.parse(text.split('\n')[0] ?? '')).not.toThrow();
});

test('what is none of their messages is not read as one', () => {
  const restored = JSON.parse(encodeReport({ run: told[3] as Told })) as Record<string, unknown>;
  for (const broken of [
    '',
    'killed',
    '{}',
    '{"outcome":"Succeeded"}',
    '{"outcome":"Succeeded","command":"__proto__"}',
    '{"outcome":"Skipped","command":"restore","why":"tired","message":""}',
    ...Object.keys(restored).map((name) => JSON.stringify({ ...restored, [name]: -1 })),
  ])
    expect(decodeReport(broken), broken).toBeUndefined();
});
