// What the controller tells a pod and what it hears back: both ways through, cut anywhere, and with rubbish.
import { describe, expect, test } from 'vitest';
import {
  decodeFacts,
  decodeResult,
  decodeTask,
  encodeResult,
  encodeTask,
  type Inventory,
  literal,
  type Result,
  resultLimit,
  type Success,
  type Task,
} from '../../../crds/rules/contract.ts';
import { reasons } from '../../../crds/rules/reasons.ts';
import { repeatedly } from '../seeded.ts';

const task: Task = {
  version: 1,
  owner: { clusterUid: 'c0ffee', namespace: 'shop', name: 'orders' },
  cluster: 'orders-db',
  pathPrefix: 'postgres/daily',
  trigger: 'Schedule',
  time: '2025-03-27T01:00:00Z',
  engine: 'postgres',
  image: 'postgres:16',
  database: { host: 'orders-db', port: 5432, name: 'orders' },
  storage: { kind: 's3', bucket: 'backups', region: 'eu-central-1', forcePathStyle: false },
  compression: { algorithm: 'zstd', level: 3 },
  recipients: [],
  retention: { keepLast: 3, maxDeletesPerRun: 10 },
  limits: { firstByteSeconds: 600, stallSeconds: 1800, deadlineSeconds: 21600 },
};

const fields = { lockEpoch: 'dbbackup.io/lock-epoch', lastSize: 'dbbackup.io/last-size' };

/** What the kubelet makes of a value: $$ is $, $(NAME) is the variable's value, or stays where there is none. */
function expand(value: string, known: Record<string, string>): string {
  return value.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string) => (whole === '$$' ? '$' : (known[name] ?? whole)));
}

function environment(from: Task): Record<string, string | undefined> {
  const known = { DBBACKUP_JOB_UID: 'job-1', PATH: '/bin', HOME: '/root' };
  const variables = encodeTask(from, fields).map(({ name, value }) => [name, expand(value ?? '', known)]);
  return {
    ...(Object.fromEntries(variables) as Record<string, string>),
    DBBACKUP_JOB_UID: 'job-1',
    DBBACKUP_LOCK_EPOCH: '7',
    DBBACKUP_LAST_SIZE: '123456789',
  };
}

describe('a task', () => {
  test.each([
    'orders',
    '$',
    '$$',
    '$(PATH)',
    '$$(PATH)',
    '$(HOME',
    '${HOME}',
    '"\\',
    'naïve 漢字 \u{1f4be}',
    '`id`; rm -rf',
    '\n',
  ])('with the name %j arrives as it was sent', (name) => {
    const sent = { ...task, database: { ...task.database, name } };
    expect(decodeTask(environment(sent))).toEqual({ task: sent, jobUid: 'job-1', lockEpoch: 7, lastSize: 123456789 });
  });

  test('gets from the pod what is known only when it starts', () => {
    expect(encodeTask(task, fields).slice(1)).toEqual([
      {
        name: 'DBBACKUP_JOB_UID',
        valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']" } },
      },
      {
        name: 'DBBACKUP_LOCK_EPOCH',
        valueFrom: { fieldRef: { fieldPath: "metadata.annotations['dbbackup.io/lock-epoch']" } },
      },
      {
        name: 'DBBACKUP_LAST_SIZE',
        valueFrom: { fieldRef: { fieldPath: "metadata.annotations['dbbackup.io/last-size']" } },
      },
    ]);
  });

  test('is read though epoch and size are not there or are no numbers', () => {
    for (const odd of [undefined, '', 'many'])
      expect(decodeTask({ ...environment(task), DBBACKUP_LOCK_EPOCH: odd, DBBACKUP_LAST_SIZE: odd })).toMatchObject({
        lockEpoch: 0,
        lastSize: 0,
      });
  });

  test.each([
    ['is not set', { DBBACKUP_TASK: undefined }, 'read DBBACKUP_TASK: it is not set'],
    ['is empty', { DBBACKUP_TASK: '' }, 'read DBBACKUP_TASK: it is not set'],
    ['is not JSON', { DBBACKUP_TASK: '{"version":1' }, 'read DBBACKUP_TASK: it is not JSON'],
    ['is of another release', { DBBACKUP_TASK: '{"version":2}' }, 'read DBBACKUP_TASK: version 2: this executor'],
    ['has no version', { DBBACKUP_TASK: '{}' }, 'read DBBACKUP_TASK: version undefined: this executor'],
    ['is null', { DBBACKUP_TASK: 'null' }, 'read DBBACKUP_TASK: version undefined: this executor'],
    ['is a number', { DBBACKUP_TASK: '1' }, 'read DBBACKUP_TASK: version undefined: this executor'],
    ['comes without a uid', { DBBACKUP_JOB_UID: undefined }, 'read DBBACKUP_JOB_UID: it is not set'],
    ['comes with an empty uid', { DBBACKUP_JOB_UID: '' }, 'read DBBACKUP_JOB_UID: it is not set'],
  ])('that %s is refused, and the variable named', (_name, change, message) => {
    expect(() => decodeTask({ ...environment(task), ...change })).toThrow(message);
  });
});

test('literal text has every dollar doubled and nothing else changed', () => {
  expect(literal('a $(B) $$ $c')).toBe('a $$(B) $$$$ $$c');
  expect(literal('')).toBe('');
});

const success: Success = {
  outcome: 'Succeeded',
  id: '20250327T010000Z-1a2b3c4d',
  key: `${'p'.repeat(512)}/shop/orders-db/20250327T010000Z-1a2b3c4d.snap`,
  size: 2 ** 53 - 1,
  storedSize: 12_345_678,
  sha256: 'a'.repeat(64),
  dumpStartedAt: '2025-03-27T01:00:03Z',
  durationSeconds: 61,
  engineVersion: '16.4 (Debian 16.4-1.pgdg120+2)',
  identity: '7412345678901234567/16384',
  encrypted: true,
};
const snapshots = Array.from({ length: 40 }, (_, index) => ({
  id: `202503${10 + (index % 20)}T010000Z-1a2b3c4d`,
  size: 1e12 + index,
}));
const inventory: Inventory = { snapshots, count: 1234, deleted: 10, foreign: 2, pruneError: '' };

describe('a result', () => {
  test('of a success comes back as it was, with the newest 25 at the most', () => {
    const short = { ...success, key: 'shop/orders-db/20250327T010000Z-1a2b3c4d.snap' };
    const some = { ...inventory, snapshots: snapshots.slice(0, 3) };
    expect(decodeResult(encodeResult({ run: short, inventory: some }))).toEqual({ run: short, inventory: some });
    expect(decodeResult(encodeResult({ run: success }))).toEqual({ run: success });
    const kept = decodeResult(encodeResult({ run: short, inventory }))?.inventory?.snapshots ?? [];
    expect(kept.length).toBeLessThanOrEqual(25);
    expect(kept).toEqual(snapshots.slice(0, kept.length));
  });

  test.each(Object.keys(reasons))('of the failure %s comes back as it was', (word) => {
    const run = {
      outcome: 'Failed',
      reason: word as keyof typeof reasons,
      message: 'line one, "quoted" \\ 漢',
    } as const;
    expect(decodeResult(encodeResult({ run }))).toEqual({ run });
  });

  const letters = ['a', '"', '\\', '\n', '\0', '\u001b', 'é', '漢', '\u{1f4be}', '\ud800', '\u2028', ' '];

  test('never takes more than its limit, and its first line is valid by itself', () => {
    repeatedly(400, (random) => {
      const text = (): string => Array.from({ length: random.below(3000) }, () => random.pick(letters)).join('');
      const plain = random.pick(letters).repeat(random.below(3000));
      const run: Result['run'] = random.chance(0.5)
        ? { ...success, key: success.key.slice(random.below(500)) }
        : { outcome: 'Failed', reason: 'DumpFailed', message: random.chance(0.5) ? text() : plain };
      const size = random.pick([0, 1, 2 ** 53 - 1]);
      const some = snapshots.slice(random.below(40)).map(({ id }) => ({ id, size }));
      const encoded = encodeResult({ run, inventory: { ...inventory, snapshots: some, pruneError: text() } });
      expect(Buffer.byteLength(encoded)).toBeLessThanOrEqual(resultLimit);
      const [first = ''] = encoded.split('\n');
      expect(decodeResult(first)?.run.outcome).toBe(run.outcome);
      expect(decodeResult(encoded)?.run).toEqual(decodeResult(first)?.run);
    });
  });

  test.each([
    ['success', { run: success, inventory }],
    ['failure', { run: { outcome: 'Failed', reason: 'DumpFailed', message: 'fehlgeschlagen: naïve 漢字' }, inventory }],
  ] as [string, Result][])(
    'of a %s that is cut at any byte is whole, without inventory, or nothing',
    (_name, result) => {
      const bytes = Buffer.from(encodeResult(result));
      const end = bytes.indexOf('\n');
      for (let length = 0; length <= bytes.length; length++) {
        const back = decodeResult(bytes.subarray(0, length).toString());
        if (length < end) expect(back, `cut at ${length}`).toBeUndefined();
        else expect(back?.run, `cut at ${length}`).toEqual(result.run);
        if (length < bytes.length) expect(back?.inventory).toBeUndefined();
      }
    },
  );

  test.each([
    ['', 'nothing'],
    ['null', 'null'],
    ['[]', 'a list'],
    ['"Succeeded"', 'a text'],
    ['{}', 'an empty object'],
    ['{"outcome":"Succeeded"}', 'a bare success'],
    ['{"outcome":"Succeeded","id":"a","key":"b"}', 'a success without its facts'],
    ['{"outcome":"Failed"}', 'a failure without a reason'],
    ['{"outcome":"Failed","reason":1}', 'a reason that is a number'],
    ['{"outcome":"Running","reason":"Unknown"}', 'another outcome'],
    ['{"__proto__":{"outcome":"Succeeded","id":"a","key":"b"}}', 'a prototype'],
    ['panic: runtime error', 'the words of another program'],
    ['['.repeat(12_000), 'a deep nest'],
  ])('that is %j is none of ours', (text) => {
    expect(decodeResult(text)).toBeUndefined();
  });

  test.each([
    ['size', -1],
    ['size', 1.5],
    ['storedSize', '12'],
    ['durationSeconds', 2 ** 60],
    ['dumpStartedAt', 'yesterday'],
    ['dumpStartedAt', '2025-13-27T01:00:03Z'],
    ['sha256', null],
    ['identity', {}],
    ['encrypted', 'true'],
  ])('of a success with %s %j is none of ours: status could not hold it', (field, value) => {
    expect(decodeResult(JSON.stringify({ ...success, [field]: value }))).toBeUndefined();
  });

  test.each([
    ['a day that its month lacks', '2026-02-30T10:00:00Z'],
    ['a leap day of a common year', '2026-02-29T10:00:00Z'],
    ['hour 24', '2026-02-28T24:00:00Z'],
    ['second 60', '2026-06-30T23:59:60Z'],
    ['an offset of a day', '2026-02-28T10:00:00+24:00'],
    ['an offset without a colon', '2026-02-28T10:00:00+0100'],
    ['no offset', '2026-02-28T10:00:00'],
    ['words behind it', '2026-02-28T10:00:00Z '],
  ])('of a success that started at %s is none of ours: the API server would refuse it', (_what, dumpStartedAt) => {
    expect(decodeResult(JSON.stringify({ ...success, dumpStartedAt }))).toBeUndefined();
  });

  test.each(['2028-02-29T23:59:59Z', '2026-12-31T00:00:00.123456789+05:30', '2026-02-28T10:00:00-23:59'])(
    'of a success that started at %s comes back',
    (dumpStartedAt) => {
      const run = { ...success, key: 'k', dumpStartedAt };
      expect(decodeResult(JSON.stringify(run))?.run).toEqual(run);
    },
  );

  test('with a store that could not be listed tells that alone', () => {
    const result: Result = { run: { ...success, key: 'k' }, inventory: { pruneError: 'list "p/": 503' } };
    expect(decodeResult(encodeResult(result))).toEqual(result);
    expect(decodeResult(`${JSON.stringify(result.run)}\n{"count":3}`)).toEqual({ run: result.run });
  });

  test('of a failure with a word of another release counts as Unknown', () => {
    const text = '{"outcome":"Failed","reason":"constructor","message":{"toString":1}}';
    expect(decodeResult(text)).toEqual({ run: { outcome: 'Failed', reason: 'Unknown', message: '' } });
  });

  test('with an inventory of rubbish keeps what can be understood', () => {
    const line = JSON.stringify({
      snapshots: [['a', 1], ['b', -1], ['c', 1.5], ['d'], 5, null, [1, 2]],
      count: -3,
      deleted: 'x',
    });
    expect(decodeResult(`${JSON.stringify(success)}\n${line}`)?.inventory).toEqual({
      snapshots: [{ id: 'a', size: 1 }],
      count: 0,
      deleted: 0,
      foreign: 0,
      pruneError: '',
    });
  });
});

test('facts are read a line at a time, unknown and broken lines passed over', () => {
  const text =
    'startedAt=2025-03-27T01:00:03Z\nserverVersion=16.4\n=x\nrubbish\ntoolVersion=pg_dump = 16\n__proto__=1\n';
  expect(decodeFacts(text)).toEqual({
    startedAt: '2025-03-27T01:00:03Z',
    serverVersion: '16.4',
    toolVersion: 'pg_dump = 16',
    identity: '',
    onlyRoles: false,
  });
  expect(decodeFacts('only=roles\n').onlyRoles).toBe(true);
});
